"""A picture through a network of luma or of RGB."""

from collections.abc import Callable
from typing import Literal

import numpy as np

from leansr.image.arrays import Floats, Pixels, from_unit, to_unit
from leansr.image.colour import grey_from_luma, grey_luma, rgb_from_ycbcr, ycbcr
from leansr.image.resize import enlarge

Network = Callable[[Floats], Floats]


def through(network: Network, pixels: Pixels, scale: int, colour: Literal["y", "rgb"]) -> Pixels:
    """`(H, W, 1)`, grey, or `(H, W, 3)`, `scale` times as large, of the same dtype.

    `network` sees `colour`. Beside a network of luma, chroma goes up by MATLAB's bicubic.
    """
    unit = to_unit(pixels)
    grown = _rgb if pixels.shape[2] == 3 else _grey
    return from_unit(grown(network, unit, scale, colour), pixels.dtype)


def _rgb(network: Network, rgb: Floats, scale: int, colour: Literal["y", "rgb"]) -> Floats:
    if colour == "rgb":
        return network(rgb)
    y, chroma = np.split(ycbcr(rgb), [1], axis=2)
    return rgb_from_ycbcr(np.concatenate([network(y), enlarge(chroma, scale)], axis=2))


def _grey(network: Network, grey: Floats, scale: int, colour: Literal["y", "rgb"]) -> Floats:
    """As if it were RGB with three equal channels."""
    if colour == "rgb":
        rgb = network(np.repeat(grey, 3, axis=2))
        mean: Floats = rgb.mean(axis=2, keepdims=True)
        return mean
    return grey_from_luma(network(grey_luma(grey)))
