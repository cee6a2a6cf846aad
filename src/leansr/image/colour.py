"""BT.601 between RGB and luma, as MATLAB's rgb2ycbcr has it, and sRGB's curve.

Luma is in 16..235, chroma in 16..240.
"""

import numpy as np

from leansr.image.arrays import Floats

# Rows Y, Cb, Cr; columns R, G, B; for RGB in [0, 1] and YCbCr in [0, 255] (ITU-R BT.601, 7.).
_FROM_RGB = np.array(
    [[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]
)
_OFFSET = np.array([16.0, 128.0, 128.0])


def luma(rgb: Floats) -> Floats:
    """Luma of RGB `(..., 3)` in [0, 1]: `(...)` in [16 / 255, 235 / 255], not rounded."""
    weights = (_FROM_RGB[0] / 255).astype(rgb.dtype)
    y: Floats = rgb @ weights + rgb.dtype.type(_OFFSET[0] / 255)
    return y


def grey_luma(grey: Floats) -> Floats:
    """Luma of a grey picture, that is of RGB with three equal channels in [0, 1]."""
    return grey * grey.dtype.type(219 / 255) + grey.dtype.type(16 / 255)


def grey_from_luma(y: Floats) -> Floats:
    """Inverse of `grey_luma`, not clipped."""
    return (y - y.dtype.type(16 / 255)) * y.dtype.type(255 / 219)


def ycbcr(rgb: Floats) -> Floats:
    """YCbCr `(..., 3)`, divided by 255, of RGB `(..., 3)` in [0, 1]."""
    matrix = (_FROM_RGB.T / 255).astype(rgb.dtype)
    return rgb @ matrix + (_OFFSET / 255).astype(rgb.dtype)


def rgb_from_ycbcr(picture: Floats) -> Floats:
    """Inverse of `ycbcr`, not clipped."""
    inverse = (np.linalg.inv(_FROM_RGB.T) * 255).astype(picture.dtype)
    return (picture - (_OFFSET / 255).astype(picture.dtype)) @ inverse


def to_linear(unit: Floats) -> Floats:
    """Light of sRGB samples in [0, 1] (IEC 61966-2-1)."""
    curve = ((np.maximum(unit, 0) + 0.055) / 1.055) ** 2.4
    light: Floats = np.where(unit <= 0.04045, unit / 12.92, curve).astype(unit.dtype)
    return light


def from_linear(light: Floats) -> Floats:
    """Inverse of `to_linear`."""
    curve = 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055
    unit: Floats = np.where(light <= 0.0031308, light * 12.92, curve).astype(light.dtype)
    return unit
