"""PSNR and SSIM of a network as it ships, on a folder of pictures."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from leansr.errors import DataError
from leansr.image import codecs
from leansr.image.arrays import Pixels
from leansr.image.quality import compare
from leansr.image.resize import resize

Upscale = Callable[[Pixels], Pixels]


@dataclass(frozen=True)
class Protocol:
    """What a figure was measured by."""

    colour: str
    border: int
    rounding: str
    resizer: str
    images: int

    def __str__(self) -> str:
        return (
            f"{self.colour}; border of {self.border} pixels cut; {self.rounding}; "
            f"LR {self.resizer}; {self.images} images"
        )


@dataclass(frozen=True)
class Evaluation:
    """Means over the images of a folder, and the protocol they hold under."""

    psnr_y: float
    ssim_y: float
    psnr_rgb: float
    ssim_rgb: float
    protocol: Protocol

    def as_json(self) -> dict[str, Any]:
        """The contract's keys."""
        return {"schema": 1, **asdict(self), "images": self.protocol.images}


def evaluate(upscale: Upscale, scale: int, data: Path) -> Evaluation:
    """Means over `data/HR/*.png`, from `data/LR/*.png` where that folder is, else from bicubic LR.

    HR is cut to a multiple of the scale. Raises DataError for a folder without pictures, an HR
    without its LR, or a pair whose sizes do not fit.
    """
    originals = sorted((data / "HR").glob("*.png"))
    if not originals:
        raise DataError(f"{data}: has no HR/*.png")
    is_given = (data / "LR").is_dir()
    rows = []
    for path in originals:
        hr = _read(path)
        height, width = (side // scale * scale for side in hr.shape[:2])
        hr = hr[:height, :width]
        lr = _lr_of(path, hr, scale) if is_given else resize(hr, Fraction(1, scale))
        try:
            rows.append(compare(upscale(lr), hr, border=scale))
        except ValueError as cause:
            raise DataError(f"{path}: cannot be measured ({cause})") from cause
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    protocol = Protocol(
        colour="BT.601 luma (16..235) and RGB",
        border=scale,
        rounding="of the 8-bit picture; SSIM 11 x 11 Gaussian, sigma 1.5, valid",
        resizer="as given" if is_given else "by MATLAB's bicubic",
        images=len(rows),
    )
    return Evaluation(**means, protocol=protocol)


def _lr_of(original: Path, hr: Pixels, scale: int) -> Pixels:
    path = original.parent.parent / "LR" / original.name
    if not path.exists():
        raise DataError(f"{original}: has no LR picture {path}")
    lr = _read(path)
    if (lr.shape[0] * scale, lr.shape[1] * scale) != hr.shape[:2]:
        sizes = f"{lr.shape[1]} x {lr.shape[0]} and {hr.shape[1]} x {hr.shape[0]}"
        raise DataError(f"{path}: does not fit its HR at x{scale} ({sizes})")
    return lr


def _read(path: Path) -> Pixels:
    picture = codecs.read(path)
    if picture.has_alpha:
        raise DataError(f"{path}: a benchmark picture has no alpha channel")
    return picture.pixels
