"""Bicubic resizing as MATLAB's `imresize`, the resizer that super-resolution papers mean.

A separable filter with the cubic kernel of Keys (1981), a = -0.5, widened by the factor when
shrinking (antialiasing), borders mirrored with the edge pixel repeated ("symmetric"), the rows
first. Integers are rounded once, after both passes: so the published LR pictures of Set5 are met.
"""

import math
from fractions import Fraction

import numpy as np
from PIL import Image

from leansr.image.arrays import WHITE, Floats, Pixels

# How many pixels on a side the cubic kernel reaches, and one more to stay clear of its end.
_SUPPORT = 3


def resize(pixels: Pixels, factor: int | float | Fraction) -> Pixels:
    """`pixels` `(H, W)` or `(H, W, C)` scaled by `factor`: sides become `ceil(side * factor)`.

    uint8 and uint16 give the same dtype, rounded and clipped; floating dtypes are kept and may
    overshoot their range. Raises ValueError for a factor that is not positive or an empty picture.
    """
    factor = Fraction(factor).limit_denominator(10_000)
    if factor <= 0:
        raise ValueError(f"a picture cannot be scaled by {float(factor):g}")
    if 0 in pixels.shape:
        raise ValueError(f"a picture of {pixels.shape} has no pixels to scale")
    # Exact in rationals: 510 * (1/3) must give 170, not 171 by a rounding error of floats.
    sides = [math.ceil(side * factor) for side in pixels.shape[:2]]
    is_float = pixels.dtype.kind == "f"
    values: Floats = pixels.astype(pixels.dtype if is_float else np.float64)
    for axis in (0, 1):
        values = _resize_axis(values, axis, sides[axis], factor)
    if is_float:
        return values
    rounded: Pixels = np.floor(values + 0.5).clip(0, WHITE[pixels.dtype.name]).astype(pixels.dtype)
    return rounded


def enlarge(values: Floats, factor: int) -> Floats:
    """float32 `(H, W, C)` scaled up by a whole factor: `resize` by Pillow, several times as fast.

    Equal to a rounding of float32. Pillow's kernel is the same, but it leaves out what lies outside
    of a picture: so the borders are mirrored for it.
    """
    height, width, channels = values.shape
    mirrored = np.pad(values, [(_SUPPORT, _SUPPORT), (_SUPPORT, _SUPPORT), (0, 0)], "symmetric")
    box = _SUPPORT, _SUPPORT, _SUPPORT + width, _SUPPORT + height
    size = width * factor, height * factor
    result = np.empty((*reversed(size), channels), np.float32)
    for channel in range(channels):
        plane = Image.fromarray(np.ascontiguousarray(mirrored[..., channel]))
        result[..., channel] = plane.resize(size, Image.Resampling.BICUBIC, box)
    return result


def _resize_axis(values: Floats, axis: int, length: int, factor: Fraction) -> Floats:
    indices, weights = _taps(values.shape[axis], length, factor)
    shape = [1] * values.ndim
    shape[axis] = length
    total = np.zeros([*values.shape[:axis], length, *values.shape[axis + 1 :]], values.dtype)
    for tap in range(indices.shape[1]):
        column = weights[:, tap].astype(values.dtype).reshape(shape)
        total += np.take(values, indices[:, tap], axis=axis) * column
    return total


def _taps(side: int, length: int, factor: Fraction) -> tuple[np.ndarray, np.ndarray]:
    """Source indices and weights, each `(length, taps)`, of the `length` output pixels."""
    stretch = float(min(factor, Fraction(1)))
    support = 4 / stretch
    taps = math.ceil(support) + 2
    # Centres of the output pixels in source coordinates, counted from the first pixel's centre.
    centres = (np.arange(length) + 0.5) / float(factor) - 0.5
    first = np.floor(centres - support / 2 + 0.5).astype(np.int64)
    offsets = first[:, None] + np.arange(taps)
    weights = stretch * _cubic(stretch * (centres[:, None] - offsets))
    weights /= weights.sum(axis=1, keepdims=True)
    # Mirrored with the edge repeated: ... 1 0 | 0 1 2 ... n-1 | n-1 n-2 ...
    folded = np.mod(offsets, 2 * side)
    indices = np.where(folded < side, folded, 2 * side - 1 - folded)
    used = np.any(weights != 0, axis=0)
    return indices[:, used], weights[:, used]


def _cubic(x: np.ndarray) -> np.ndarray:
    """Keys' cubic convolution kernel with a = -0.5."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))
