"""Integer grids: the scale and zero point of a range, and values on a grid and back.

A grid maps the level q, a whole number, to the value (q - zero) * scale (Jacob et al., 2018,
equation 1).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

# How values become whole: torch.round, or one whose gradient is that of the identity.
Round = Callable[[Tensor], Tensor]

# No grid is finer: what is constantly zero has a scale all the same, and one that int32 biases at
# the product of two scales can be told in.
FINEST = 2.0**-20


class Grid(NamedTuple):
    """Levels from `lowest` to `highest`, stored as `dtype`."""

    lowest: int
    highest: int
    dtype: torch.dtype


UINT8 = Grid(0, 255, torch.uint8)
# Narrow: as many levels below zero as above it, so that the scale is all there is to say.
INT8 = Grid(-127, 127, torch.int8)


def affine(low: Tensor, high: Tensor, round_: Round = torch.round) -> tuple[Tensor, Tensor]:
    """Scale and zero point, whole but float, of UINT8 over the range `low` to `high`.

    The range is widened to hold zero, which is exactly a level: what pads a convolution must not
    be off. One without width, even an empty one (high below low), is widened to at most
    255 * FINEST around zero. What is not finite stays so; who observes ranges refuses it.
    """
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = ((high - low) / UINT8.highest).clamp(min=FINEST)
    zero = round_(-low / scale).clamp(UINT8.lowest, UINT8.highest)
    return scale, zero


def symmetric(largest: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and zero point (0) of INT8 up to the magnitude `largest`; not finer than FINEST."""
    return (largest / INT8.highest).clamp(min=FINEST), torch.zeros_like(largest)


def levels(
    x: Tensor, scale: Tensor, zero: Tensor, grid: Grid, round_: Round = torch.round
) -> Tensor:
    """The nearest levels to `x`, whole but float; halves go to the even one, as in ONNX.

    `scale` and `zero` are scalars or broadcast with x.
    """
    return (round_(x / scale) + zero).clamp(grid.lowest, grid.highest)


def values(level: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    """What levels stand for."""
    return (level - zero) * scale


def straight_through(x: Tensor) -> Tensor:
    """x rounded, with the gradient of x (Bengio et al., 2013)."""
    return x + (x.round() - x).detach()
