"""What figures are made from: pictures and their patches. Needs no torch."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from leansr.errors import PictureError, UsageError
from leansr.image import codecs
from leansr.image.arrays import Pixels
from leansr.image.resize import resize
from leansr.runtime.evaluate import cut_to_multiple

# SSIM's window, which a patch must hold.
_SMALLEST = 11


@dataclass(frozen=True)
class Patch:
    """A rectangle of a picture, in pixels of the HR."""

    left: int
    top: int
    width: int
    height: int

    def of(self, picture: Pixels) -> Pixels:
        """The patch of `picture` `(H, W, 3)`; UsageError if it is not inside or too small."""
        height, width = picture.shape[:2]
        right, bottom = self.left + self.width, self.top + self.height
        if min(self.left, self.top) < 0 or right > width or bottom > height:
            raise UsageError(
                f"the patch reaches from {self.left},{self.top} to {right},{bottom}, and the "
                f"picture to {width},{height}"
            )
        if min(self.width, self.height) < _SMALLEST:
            raise UsageError(
                f"a patch is {_SMALLEST} pixels a side or more, for SSIM, not "
                f"{self.width} x {self.height}"
            )
        return picture[self.top : bottom, self.left : right]


def read_rgb(path: Path, patch: Patch | None = None) -> Pixels:
    """The picture in `path`, or a patch of it, as uint8 `(H, W, 3)`.

    PictureError for one with alpha.
    """
    picture = codecs.read(path)
    if picture.has_alpha:
        raise PictureError(f"{path}: has an alpha channel; save it without")
    pixels = picture.pixels
    rgb = pixels if pixels.shape[2] == 3 else pixels.repeat(3, axis=2)
    return rgb if patch is None else patch.of(rgb)


def hr_and_lr(rgb: Pixels, scale: int) -> tuple[Pixels, Pixels]:
    """`rgb` cut to a multiple of `scale`, and its LR by MATLAB's bicubic.

    UsageError if nothing is left of it.
    """
    hr = cut_to_multiple(rgb, scale)
    if not hr.size:
        raise UsageError(f"the picture is smaller than {scale} pixels a side, and x{scale} asked")
    return hr, resize(hr, Fraction(1, scale))
