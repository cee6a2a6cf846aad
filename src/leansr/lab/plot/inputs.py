"""What figures are made from: pictures, and networks with their weights."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from leansr import zoo
from leansr.errors import PictureError, UsageError
from leansr.image import codecs
from leansr.image.arrays import Pixels, to_unit
from leansr.image.colour import luma
from leansr.image.resize import resize
from leansr.lab.nets import build
from leansr.lab.nets.network import Network
from leansr.lab.weights import load_network, load_strictly, read_tensors
from leansr.zoo.release import release_of
from leansr.zoo.variant import Variant

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
    height, width = (side // scale * scale for side in rgb.shape[:2])
    if not min(height, width):
        raise UsageError(f"the picture is smaller than {scale} pixels a side, and x{scale} asked")
    hr = rgb[:height, :width]
    return hr, resize(hr, Fraction(1, scale))


def as_input(lr: Pixels, variant: Variant) -> Tensor:
    """`(1, C, H, W)` of what `variant` sees of `lr` `(H, W, 3)`; UsageError if that is too small.

    Figures are of real pictures alone, so a smaller one is not continued by its edges.
    """
    if min(lr.shape[:2]) < variant.smallest:
        raise UsageError(
            f"{variant.name}: sees pictures of {variant.smallest} pixels a side or more, and the "
            f"LR has {lr.shape[1]} x {lr.shape[0]}; give a larger picture"
        )
    unit = to_unit(lr)
    seen = luma(unit)[..., None] if variant.colour == "y" else unit
    return torch.from_numpy(seen).permute(2, 0, 1)[None].contiguous()


def network_of(model: str, scale: int, weights: Path | None = None) -> Network:
    """`model` with `weights` in the form they are in, or with the released ones of the deploy form.

    WeightsError if there are none, or they are another network's.
    """
    variant = zoo.find(model, scale)
    if weights is not None:
        return load_network(weights, model, scale)[0]
    tensors = release_of(model, scale).tensors
    network = build(variant, scale).deploy()
    load_strictly(network, read_tensors(tensors), str(tensors))
    return network
