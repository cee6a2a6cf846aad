"""PSNR and SSIM by the protocol of the super-resolution papers.

Measured on BT.601 luma (16..235, not rounded) or on RGB, `border` pixels cut on every side. A grey
picture counts as RGB with three equal channels.
"""

import math
from collections.abc import Callable

import numpy as np

from leansr.image.arrays import Floats, Pixels
from leansr.image.colour import luma

# SSIM's constants (Wang et al. 2004, section III-C): an 11 x 11 Gaussian of sigma 1.5.
_WINDOW, _SIGMA, _K1, _K2 = 11, 1.5, 0.01, 0.03
# SSIM goes over so many rows at a time, fastest of 8 to 64: what it works on stays in the cache.
_ROWS = 16


def planes(picture: Pixels, colour: str, border: int) -> Floats:
    """The planes to compare, `(H', W', C)` in [0, 255]: one of luma ("y") or three ("rgb").

    `picture` is `(H, W)`, `(H, W, 1)` or `(H, W, 3)`, uint8 or floats in [0, 1], which are neither
    clipped nor rounded. Raises ValueError for anything else and where the border leaves nothing.
    """
    if picture.dtype != np.uint8 and picture.dtype.kind != "f":
        raise ValueError(f"quality is measured on 8-bit pictures or floats, not {picture.dtype}")
    if picture.ndim == 2:
        picture = picture[..., None]
    if picture.ndim != 3 or picture.shape[2] not in (1, 3):
        raise ValueError(f"quality is measured on grey or RGB pictures, not {picture.shape}")
    height, width = picture.shape[:2]
    if min(height, width) <= 2 * border:
        raise ValueError(f"a border of {border} leaves nothing of {width} x {height} pixels")
    values = picture[border : height - border, border : width - border].astype(np.float64)
    if picture.dtype != np.uint8:
        values *= 255
    if values.shape[2] == 1:
        values = np.repeat(values, 3, axis=2)
    if colour == "rgb":
        return values
    if colour == "y":
        return luma(values / 255)[..., None] * 255
    raise ValueError(f"colour is 'y' or 'rgb', not {colour!r}")


def psnr(first: Floats, second: Floats) -> float:
    """Peak signal-to-noise ratio in dB of two arrays of the same shape in [0, 255]."""
    _check_shapes(first, second)
    error = float(np.mean(np.square(first - second)))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def ssim(first: Floats, second: Floats) -> float:
    """Structural similarity of `(H, W, C)` in [0, 255]: mean over valid windows and channels.

    Raises ValueError for pictures smaller than the 11 x 11 window.
    """
    _check_shapes(first, second)
    if min(first.shape[:2]) < _WINDOW:
        raise ValueError(f"SSIM needs {_WINDOW} x {_WINDOW} pixels, not {first.shape[:2]}")
    valid = first.shape[0] - _WINDOW + 1
    total = 0.0
    for top in range(0, valid, _ROWS):
        rows = slice(top, min(top + _ROWS, valid) + _WINDOW - 1)
        total += float(np.sum(_likeness(first[rows], second[rows])))
    windows: int = valid * (first.shape[1] - _WINDOW + 1) * first.shape[2]
    return total / windows


def compare(sr: Pixels, hr: Pixels, border: int) -> dict[str, float]:
    """`psnr_y`, `ssim_y`, `psnr_rgb`, `ssim_rgb` of a picture against its original.

    Each is uint8 or floats in [0, 1]. Raises ValueError for what `planes` and `ssim` refuse.
    """
    measures: dict[str, Callable[[Floats, Floats], float]] = {"psnr": psnr, "ssim": ssim}
    result = {}
    for colour in ("y", "rgb"):
        pair = planes(sr, colour, border), planes(hr, colour, border)
        for name, measure in measures.items():
            result[f"{name}_{colour}"] = measure(*pair)
    return result


def _likeness(first: Floats, second: Floats) -> Floats:
    """SSIM of every window, `(H - 10, W - 10, C)` (Wang et al. 2004, equation 13)."""
    c1, c2 = (_K1 * 255) ** 2, (_K2 * 255) ** 2
    mean1, mean2 = _blur(first), _blur(second)
    product, squares = mean1 * mean2, mean1 * mean1 + mean2 * mean2
    # Only the sum of the two variances is needed.
    variances = _blur(first * first + second * second) - squares
    covariance = _blur(first * second) - product
    result: Floats = (2 * product + c1) * (2 * covariance + c2)
    result /= (squares + c1) * (variances + c2)
    return result


def _blur(values: Floats) -> Floats:
    """The Gaussian window over the valid region, one axis after the other."""
    x = np.arange(_WINDOW) - _WINDOW // 2
    kernel = np.exp(-(x**2) / (2 * _SIGMA**2))
    kernel /= kernel.sum()
    for axis in (0, 1):
        length = values.shape[axis] - _WINDOW + 1
        taps = [values[(slice(None),) * axis + (slice(i, i + length),)] for i in range(_WINDOW)]
        # The kernel is symmetric: taps of equal weight are added first.
        total = taps[_WINDOW // 2] * kernel[_WINDOW // 2]
        for i in range(_WINDOW // 2):
            total += (taps[i] + taps[_WINDOW - 1 - i]) * kernel[i]
        values = total
    return values


def _check_shapes(first: Floats, second: Floats) -> None:
    if first.shape != second.shape:
        raise ValueError(f"pictures of {first.shape} and {second.shape} cannot be compared")
