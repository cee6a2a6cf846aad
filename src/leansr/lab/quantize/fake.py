"""Quantisation simulated in floats, so that it can be trained through."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leansr.lab.quantize.grid import UINT8, affine, levels, straight_through, values
from leansr.lab.quantize.integer import Geometry, Quantiser
from leansr.lab.quantize.scheme import Scheme, SchemeName

# Kernel and bias.
Tensors = tuple[Tensor, Tensor | None]

# Of a range that moves: TF-Lite's, an average over thousands of steps.
MEMORY = 0.999


class LearnedRange(nn.Module):
    """x on a grid of UINT8 whose ends are learned with the weights.

    Rounding passes gradients on and all else is plain arithmetic, from which the gradients of both
    ends follow (Esser et al., 2020, for the scale; Jain et al., 2020). [0, 1] until it is set.
    """

    low: Tensor
    high: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high = nn.Parameter(torch.zeros(())), nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return fake(x, self.low, self.high)

    def scale(self) -> Tensor:
        """That of the present range, a scalar."""
        return affine(self.low.detach(), self.high.detach())[0]

    @torch.no_grad()
    def set(self, low: float, high: float) -> None:
        """Starts the range anew."""
        self.low.fill_(low)
        self.high.fill_(high)

    def collapse(self) -> Quantiser:
        """The real one, at the present range."""
        return Quantiser(*affine(self.low.detach(), self.high.detach()))


class MovingRange(LearnedRange):
    """x on a grid of UINT8 whose ends follow what it sees in training (Jacob et al., 2018, 3.1).

    `largest` makes of values the largest that any process has of each, where several train.
    """

    largest: Callable[[Tensor], Tensor]

    def __init__(self) -> None:
        super().__init__()
        del self.low, self.high
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.ones(()))
        self.largest = _own

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            low, high = x.detach().float().aminmax()
            ends = self.largest(torch.stack([-low, high]))
            self.low.lerp_(-ends[0], 1 - MEMORY)
            self.high.lerp_(ends[1], 1 - MEMORY)
        # Copies, for a second pass moves the ends before the first one's gradients are computed.
        return fake(x, self.low.clone(), self.high.clone())


class FakeKernel(nn.Module):
    """A kernel and its bias on the grids of their scheme, which follow from the kernel itself."""

    def __init__(self, scheme: Scheme) -> None:
        super().__init__()
        self.scheme = scheme

    def forward(self, tensors: Tensors, input_scale: Tensor) -> Tensors:
        return self.scheme.whole(*tensors, input_scale, straight_through).in_floats()


class FakeConvolution(nn.Module):
    """The convolution of x, whose scale is given, by a kernel that lies elsewhere."""

    def __init__(self, scheme: Scheme, geometry: Geometry) -> None:
        super().__init__()
        self.kernel = FakeKernel(scheme)
        self.geometry = geometry

    def forward(self, x: Tensor, tensors: Tensors, input_scale: Tensor) -> Tensor:
        weight, bias = self.kernel(tensors, input_scale)
        return F.conv2d(x, weight, bias, *self.geometry)


RANGES: dict[SchemeName, type[LearnedRange]] = {"study": MovingRange, "sesr": LearnedRange}


def _own(ends: Tensor) -> Tensor:
    return ends


def fake(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """x as UINT8 over `low` to `high` has it, with gradients to all three."""
    scale, zero = affine(low, high, straight_through)
    return values(levels(x, scale, zero, UINT8, straight_through), scale, zero)
