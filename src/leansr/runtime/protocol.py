"""What PSNR and SSIM are measured by: each part of it moves the figure."""

from dataclasses import dataclass
from typing import Literal

from leansr.errors import UsageError

Colour = Literal["y", "rgb"]
Rounding = Literal["8-bit", "none"]
COLOURS: dict[Colour, str] = {"y": "BT.601 luma (16..235)", "rgb": "RGB"}
_ROUNDINGS: dict[Rounding, str] = {
    "8-bit": "of the 8-bit picture",
    "none": "of the unrounded output",
}


@dataclass(frozen=True)
class Preset:
    """How a paper or a challenge measures; `border` in HR pixels, None for as many as the scale."""

    colour: Colour
    border: int | None
    rounding: Rounding


PRESETS = {
    "paper": Preset("y", border=None, rounding="8-bit"),
    "ntire": Preset("rgb", border=4, rounding="8-bit"),
    # SESR (section 4.1) measures what its network gives, before it is a picture.
    "sesr": Preset("y", border=None, rounding="none"),
}


@dataclass(frozen=True)
class Protocol:
    """What figures were measured by.

    `colour` is the one that the named protocol reports, `border` the pixels cut on every side,
    `resizer` where the LR came from, `images` how many the means are over. SSIM is always that of
    `leansr.image.quality`.
    """

    name: str
    colour: Colour
    border: int
    rounding: Rounding
    resizer: str
    images: int

    def __str__(self) -> str:
        border = f"border of {self.border} pixels cut"
        images = "1 image" if self.images == 1 else f"{self.images} images"
        return (
            f"{self.name}, {COLOURS[self.colour]} {_ROUNDINGS[self.rounding]}, {border}; "
            f"LR {self.resizer}; {images}"
        )


def preset(name: str) -> Preset:
    """The protocol of that name; UsageError if there is none."""
    try:
        return PRESETS[name]
    except KeyError:
        known = ", ".join(PRESETS)
        raise UsageError(f"{name}: no such protocol; one of {known}") from None
