"""A picture and what travels with it."""

from dataclasses import dataclass, replace

import numpy as np

from leansr.image.arrays import Pixels

# Channels of each mode; the last one of "LA" and "RGBA" is alpha.
MODES = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


@dataclass(frozen=True)
class Picture:
    """Pixels `(H, W, C)` of `mode`, upright, with the ICC profile and EXIF they came with.

    `exif` says nothing of an orientation any more: it has been applied. `jpeg_quality`, 1 to 100 on
    the IJG's scale, is that of the JPEG they came in, None if they came in none that tells it.
    """

    pixels: Pixels
    mode: str
    icc_profile: bytes | None = None
    exif: bytes | None = None
    jpeg_quality: int | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"a picture's mode is one of {', '.join(MODES)}, not {self.mode}")
        if self.pixels.ndim != 3 or self.pixels.shape[2] != MODES[self.mode]:
            raise ValueError(f"{self.mode} pixels are not of shape {self.pixels.shape}")

    @property
    def has_alpha(self) -> bool:
        """Whether the last channel is alpha."""
        return self.mode.endswith("A")

    def with_pixels(self, pixels: Pixels) -> "Picture":
        """The same picture with other pixels of the same mode."""
        return replace(self, pixels=np.ascontiguousarray(pixels))
