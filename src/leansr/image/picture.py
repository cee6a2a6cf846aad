"""A picture and what travels with it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from leansr.image.arrays import Pixels

# Channels of each mode; the last one of "LA" and "RGBA" is alpha.
MODES = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


@dataclass(frozen=True)
class Picture:
    """Pixels `(H, W, C)` of `mode`, upright, with what they came with.

    uint8, uint16 over the whole of 0..65535, or float32 in [0, 1]; alpha is not multiplied into the
    colour. `exif` says nothing of an orientation any more: it has been applied. `jpeg_quality`,
    1 to 100 on the IJG's scale, is that of the JPEG they came in, None if they came in none that
    tells it.

    `png_colour` are PNG's chunks on colour (gAMA, cHRM ...) by name; `dpi` is across and down;
    `text` are names with their texts. `bits` is 10 or 12 where uint16 came from so few. `levels`
    are the values that a float file has where `pixels` are 0 and 1.

    Frames of an animation, and pages of a document, that follow are pictures themselves, in `more`.
    A frame is shown for `duration` milliseconds, a page has None; the animation is shown `loops`
    times, 0 for without an end. `notes` say, a line each, what reading could not keep.
    """

    pixels: Pixels
    mode: str
    icc_profile: bytes | None = None
    exif: bytes | None = None
    jpeg_quality: int | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    text: tuple[tuple[str, str], ...] = ()
    png_colour: tuple[tuple[bytes, bytes], ...] = ()
    bits: int | None = None
    levels: tuple[float, float] = (0.0, 1.0)
    more: tuple["Picture", ...] = ()
    duration: float | None = None
    loops: int = 0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"a picture's mode is one of {', '.join(MODES)}, not {self.mode}")
        if self.pixels.ndim != 3 or self.pixels.shape[2] != MODES[self.mode]:
            raise ValueError(f"{self.mode} pixels are not of shape {self.pixels.shape}")

    @property
    def has_alpha(self) -> bool:
        """Whether the last channel is alpha."""
        return self.mode.endswith("A")

    @property
    def frames(self) -> Iterator["Picture"]:
        """This picture and all that follow it."""
        yield self
        yield from self.more

    @property
    def is_animation(self) -> bool:
        """Whether there are several frames, each shown for its time."""
        return bool(self.more) and self.duration is not None

    def with_pixels(self, pixels: Pixels) -> "Picture":
        """The same picture with other pixels of the same mode; what follows it stays as it is."""
        return replace(self, pixels=np.ascontiguousarray(pixels))

    def each(self, function: Callable[[Pixels], Pixels]) -> "Picture":
        """`function` of the pixels of every frame or page."""
        more = tuple(frame.each(function) for frame in self.more)
        return replace(self.with_pixels(function(self.pixels)), more=more)
