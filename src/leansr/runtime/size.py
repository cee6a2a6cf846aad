"""The size that a picture is to come out with, and the last step to it, which no network takes."""

import itertools
import math
from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from PIL import Image

from leansr.errors import PictureError, UsageError
from leansr.image.arrays import Floats, Pixels, from_unit, to_unit
from leansr.image.colour import from_linear, to_linear

LARGEST_SCALE = 64
# Shapes that differ by less are one: 1366 x 768 counts as 16:9, and nobody sees the stretch.
_SAME_SHAPE = 0.01
# Networks one after the other: x4 three times is LARGEST_SCALE.
_LONGEST = 6


@dataclass(frozen=True)
class Factor:
    """`value` times as wide and as high, more than 1; sides are rounded half up."""

    value: Fraction

    def __post_init__(self) -> None:
        if not 1 < self.value <= LARGEST_SCALE:
            raise UsageError(
                f"a scale is more than 1 and at most {LARGEST_SCALE}, not {float(self.value):g}"
            )

    def sides(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of what becomes of a picture."""
        return _rounded(height * self.value), _rounded(width * self.value)

    def area(self, height: int, width: int) -> int:
        """Pixels of what becomes of a picture."""
        return math.prod(self.sides(height, width))

    def __str__(self) -> str:
        return f"x{float(self.value):g}"


@dataclass(frozen=True)
class Exact:
    """Exactly so many pixels, for pictures of that shape."""

    width: int
    height: int

    def __post_init__(self) -> None:
        _check_sides(self.width, self.height)

    def sides(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of what becomes of a picture; ValueError if it has another shape."""
        stretch = (self.width / width) / (self.height / height)
        if abs(stretch - 1) > _SAME_SHAPE and not self._is_nearest(height, width):
            raise ValueError(
                f"is {width}x{height}, which has not the shape of {self}; "
                f"--fit {self} keeps a picture's shape"
            )
        return self.height, self.width

    def _is_nearest(self, height: int, width: int) -> bool:
        """Whether nothing nearer to the shape can be had: of 3 x 100 pixels 1 is a lot."""
        by_width, by_height = Fraction(self.width, width), Fraction(self.height, height)
        return (
            _rounded(height * by_width) == self.height or _rounded(width * by_height) == self.width
        )

    def area(self, height: int, width: int) -> int:
        """Pixels of what becomes of a picture, at most."""
        return self.width * self.height

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True)
class Fit:
    """As large as fits into so many pixels, in the picture's own shape."""

    width: int
    height: int

    def __post_init__(self) -> None:
        _check_sides(self.width, self.height)

    def sides(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of what becomes of a picture."""
        factor = min(Fraction(self.width, width), Fraction(self.height, height))
        return _rounded(height * factor), _rounded(width * factor)

    def area(self, height: int, width: int) -> int:
        """Pixels of what becomes of a picture, at most."""
        return self.width * self.height

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


Wanted = Factor | Exact | Fit


def wanted(
    scale: float | Fraction | None = None,
    size: tuple[int, int] | None = None,
    fit: tuple[int, int] | None = None,
) -> Wanted:
    """What is asked for, x2 if nothing is; `size` and `fit` are width and height.

    Raises UsageError if more than one is given, or one that cannot be.
    """
    if sum(given is not None for given in (scale, size, fit)) > 1:
        raise UsageError("--scale, --size and --fit exclude each other")
    if size is not None:
        return Exact(*size)
    if fit is not None:
        return Fit(*fit)
    scale = 2 if scale is None else scale
    if not math.isfinite(scale):
        raise UsageError(f"a scale is a number, not {scale}")
    # Decimal as it was typed: 1.1 is 11/10.
    return Factor(Fraction(str(scale)) if isinstance(scale, float) else Fraction(scale))


def sides_of(target: Wanted, height: int, width: int, name: str) -> tuple[int, int]:
    """Height and width that the picture `name` comes out with; PictureError if it cannot."""
    try:
        high, wide = target.sides(height, width)
    except ValueError as cause:
        raise PictureError(f"{name}: {cause}") from cause
    if max(high / height, wide / width) > LARGEST_SCALE:
        raise PictureError(
            f"{name}: is {width}x{height}, and {target} is more than {LARGEST_SCALE} times that"
        )
    return high, wide


def steps_for(factor: float | Fraction, scales: Collection[int]) -> tuple[int, ...]:
    """The networks, by their scales, whose product is the next one up from `factor`.

    None where `factor` is 1 or less. Of equal products the fewest steps, and the smallest first:
    x2 then x4 is better than x4 then x2, and a third of the work (docs/upscale.md).
    """
    if factor <= 1:
        return ()
    ways = (
        way
        for count in range(1, _LONGEST + 1)
        for way in itertools.combinations_with_replacement(sorted(scales), count)
    )
    enough = (way for way in ways if math.prod(way) >= factor)
    return min(enough, key=lambda way: (math.prod(way), len(way)))


def fitted(
    pixels: Pixels, height: int, width: int, *, has_alpha: bool, linear: bool = False
) -> Pixels:
    """`pixels` `(H, W, C)` brought to `(height, width, C)`, of the same dtype.

    Bicubic, antialiased (Pillow's, in floats: the kernel of `leansr.image.resize`, many times as
    fast); of the encoded values, as networks are trained and measured, or with `linear` of light,
    by sRGB's curve (IEC 61966-2-1). Colours weigh as much as their alpha, the last channel.
    """
    if pixels.shape[:2] == (height, width):
        return pixels
    channels = pixels.shape[2]
    result: Pixels = np.empty((height, width, channels), pixels.dtype)
    alpha = to_unit(pixels[..., -1]) if has_alpha and np.ptp(pixels[..., -1]) else None
    small_alpha = None if alpha is None else _resized(alpha, height, width)
    for channel in range(channels):
        values = to_unit(pixels[..., channel])
        is_light = linear and not (has_alpha and channel == channels - 1)
        if is_light:
            values = to_linear(values)
        small = _resized(values, height, width)
        if alpha is not None and small_alpha is not None and channel < channels - 1:
            weighed = _resized(values * alpha, height, width)
            # Where nothing is seen, the colour that lies there counts as any other.
            seen = small_alpha > 1 / 1024
            small[seen] = weighed[seen] / small_alpha[seen]
        result[..., channel] = from_unit(from_linear(small) if is_light else small, pixels.dtype)
    return result


def _resized(plane: Floats, height: int, width: int) -> Floats:
    image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.array(image.resize((width, height), Image.Resampling.BICUBIC))


def _rounded(side: Fraction) -> int:
    return max(1, math.floor(side + Fraction(1, 2)))


def _check_sides(width: int, height: int) -> None:
    if min(width, height) < 1:
        raise UsageError(f"{width}x{height}: a picture has one pixel a side or more")
