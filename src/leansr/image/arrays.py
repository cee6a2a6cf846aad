"""The array types that pictures are made of, and the way between integers and [0, 1]."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Pixels = npt.NDArray[np.uint8 | np.uint16 | np.floating[Any]]

# The largest value of each dtype that a picture may have.
WHITE = {"uint8": 255, "uint16": 65535, "float32": 1, "float64": 1}


def to_unit(pixels: Pixels) -> Floats:
    """float32 in [0, 1] of uint8, uint16 or floating pixels (floats pass as they are)."""
    white = WHITE[pixels.dtype.name]
    return pixels.astype(np.float32) * np.float32(1 / white)


def from_unit(values: Floats, dtype: npt.DTypeLike) -> Pixels:
    """Inverse of `to_unit`: clipped to [0, 1] and, for integers, rounded half up."""
    dtype = np.dtype(dtype)
    clipped = np.clip(values, 0, 1)
    if dtype.kind == "f":
        return clipped.astype(dtype)
    return (clipped * WHITE[dtype.name] + 0.5).astype(dtype)
