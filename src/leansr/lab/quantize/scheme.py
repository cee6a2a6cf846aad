"""The two schemes of eight bits: how kernels and biases lie on their grids."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from leansr.lab.quantize.grid import INT8, UINT8, Grid, Round, affine, levels, symmetric, values

SchemeName = Literal["study", "sesr"]

# Biases stay below this many levels: half of what 32 bits hold, room for the sums beside them.
_LARGEST_BIAS = 2.0**30


class Whole(NamedTuple):
    """A convolution's levels, whole but float, and their grids.

    `scale`, `zero` and `bias_scale` are scalars, or `(out,)` with a grid for each output channel.
    """

    weight: Tensor
    bias: Tensor | None
    scale: Tensor
    zero: Tensor
    bias_scale: Tensor

    def in_floats(self) -> tuple[Tensor, Tensor | None]:
        """What the levels stand for."""
        weight = values(self.weight, _beside(self.scale), _beside(self.zero))
        return weight, None if self.bias is None else self.bias * self.bias_scale


@dataclass(frozen=True)
class Scheme:
    """`grid` of the levels of kernels; a scale for each output channel, or one for all."""

    grid: Grid
    is_per_channel: bool

    def whole(
        self, weight: Tensor, bias: Tensor | None, input_scale: Tensor, round_: Round = torch.round
    ) -> Whole:
        """The levels of a kernel `(out, in, k, k)` and its bias, before an input of that scale.

        The kernel's range is its own; no gradient flows to it. Biases are on the grid that sums of
        products are on, of the product of both scales. Where theirs would not fit into 32 bits,
        the kernel's is made coarser.
        """
        held = weight.detach()
        finest = torch.zeros_like(held[:, 0, 0, 0])
        if bias is not None:
            finest = bias.detach().abs() / (input_scale.detach() * _LARGEST_BIAS)
        if self.is_per_channel:
            largest = held.abs().amax(dim=(1, 2, 3))
            scale, zero = symmetric(torch.maximum(largest, finest * self.grid.highest))
        else:
            low = held.amin().clamp(max=0)
            high = torch.maximum(held.amax(), low + finest.amax() * self.grid.highest)
            scale, zero = affine(low, high)
        # In float32, as runtimes multiply the two: else they would not take them for equal.
        bias_scale = input_scale.detach() * scale
        return Whole(
            levels(weight, _beside(scale), _beside(zero), self.grid, round_),
            None if bias is None else round_(bias / bias_scale),
            scale,
            zero,
            bias_scale,
        )


SCHEMES: dict[SchemeName, Scheme] = {
    # Jacob et al. (2018), as in TF-Lite.
    "study": Scheme(UINT8, is_per_channel=False),
    # SESR's code.
    "sesr": Scheme(INT8, is_per_channel=True),
}


def _beside(scale: Tensor) -> Tensor:
    """A scalar, or one for each output channel, to broadcast with a kernel."""
    return scale.view(-1, 1, 1, 1) if scale.ndim else scale
