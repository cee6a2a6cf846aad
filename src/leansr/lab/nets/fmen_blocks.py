"""FMEN's blocks: RRRB, ERB and what it is compared with, HFAB (FMEN, sections 3.3 and 3.4)."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leansr.lab.nets.collapse import Kernel, Space, kernel_of

# From channels to as many channels.
Block = Callable[[int], nn.Module]

SLOPE = 0.1


def conv3x3(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3 x 3 convolution with zero padding."""
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def he(conv: nn.Conv2d, gain: Literal["linear", "relu"] = "relu") -> nn.Conv2d:
    """`conv` as He et al. (2015) start it, `gain` being that of the activation beside it."""
    nn.init.kaiming_normal_(conv.weight, nonlinearity=gain)
    nn.init.zeros_(conv.get_parameter("bias"))
    return conv


def padded(x: Tensor, value: Tensor) -> Tensor:
    """`x` `(N, C, H, W)` with one more pixel of `value` `(C,)` on every side.

    What lies inside is x to the bit; gradients reach `value` from the border alone.
    """
    ring = (1, 1, 1, 1)
    border = 1 - F.pad(torch.ones_like(x[:1, :1]), ring)
    return F.pad(x, ring) + border * value[:, None, None]


class ExpandedRRRB(nn.Module):
    """A residual in residual re-parameterization block, computed as drawn (FMEN, section 3.3).

    x --1 x 1, C -> 2C--+--3 x 3--(+)--1 x 1, 2C -> C--(+)--
     |                  |__________|                    |
     |__________________________________________________|

    The 3 x 3 pads what it sees by the first bias, which is what the 1 x 1 makes of zero padding:
    so the block is one 3 x 3 convolution with zero padding, at the border too.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        width = 2 * channels
        self.expand = nn.Conv2d(channels, width, 1)
        self.conv = nn.Conv2d(width, width, 3)
        self.reduce = nn.Conv2d(width, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        expanded = self.expand(x)
        around = padded(expanded, kernel_of(self.expand).bias)
        return self.reduce(self.conv(around) + expanded) + x

    def kernel(self) -> Kernel:
        """The block as one kernel."""
        inner = kernel_of(self.conv).plus_identity()
        return kernel_of(self.expand).then(inner).then(kernel_of(self.reduce)).plus_identity()

    def collapse(self) -> nn.Conv2d:
        """The plain convolution equal to this block."""
        return self.kernel().convolution()


class CollapsedRRRB(ExpandedRRRB):
    """The same block, collapsed at every step before it is applied: the same gradients."""

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.kernel()
        return F.conv2d(x, weight, bias, padding=1)


@torch.no_grad()
def direct_rrrb(channels: int) -> nn.Conv2d:
    """The collapsed kernel itself as the parameter.

    It starts as a freshly started RRRB collapses, its identities included: the same distribution.
    """
    return ExpandedRRRB(channels).collapse()


RRRB: dict[Space, Block] = {
    "expanded": ExpandedRRRB,
    "collapsed": CollapsedRRRB,
    "direct": direct_rrrb,
}


class ERB(nn.Module):
    """x --RRRB--LeakyReLU--RRRB--    An enhanced residual block (FMEN, Figure 4)."""

    def __init__(self, channels: int, rrrb: Block) -> None:
        super().__init__()
        self.first = rrrb(channels)
        self.activation = nn.LeakyReLU(SLOPE)
        self.second = rrrb(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.activation(self.first(x)))


def erb(space: Space) -> Block:
    """The ERB that is trained in `space`."""
    return partial(ERB, rrrb=RRRB[space])


class RB(nn.Module):
    """EDSR's residual block (FMEN, Figure 4).

    x --3 x 3--ReLU--3 x 3--(+)--
     |_______________________|
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv3x3(channels, channels)
        self.activation = nn.ReLU()
        self.second = conv3x3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.activation(self.first(x))) + x


class PB(nn.Module):
    """x --3 x 3--ReLU--3 x 3--    RB without its skip connection (FMEN, section 4.2).

    With the gain of He et al. (2015): in PyTorch's start nothing comes through 16 in a row.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = he(conv3x3(channels, channels))
        self.activation = nn.ReLU()
        self.second = he(conv3x3(channels, channels), "linear")

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.activation(self.first(x)))


# What ERB is compared with in Figure 5 and Table 1.
PLAIN: dict[Literal["rb", "pb"], Block] = {"rb": RB, "pb": PB}


class NormedConv(nn.Module):
    """x --BN--3 x 3--    One convolution with zero padding, at the border too.

    For the 3 x 3 pads what it sees by what BN makes of zero, BN(0) = beta - gamma mean /
    sqrt(var + eps), by the running statistics, in training as well.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        # First, for it moves the running statistics.
        normed = self.norm(x)
        return self.conv(padded(normed, kernel_of(self.norm).bias))

    def kernel(self) -> Kernel:
        """The layers as one kernel, by the running statistics."""
        return kernel_of(self.norm).then(kernel_of(self.conv))

    def collapse(self) -> nn.Conv2d:
        """The plain convolution equal to these layers in evaluation mode."""
        return self.kernel().convolution()


class NormedConvNormed(NormedConv):
    """x --BN--3 x 3--BN--"""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.last = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(super().forward(x))

    def kernel(self) -> Kernel:
        return super().kernel().then(kernel_of(self.last))


class HFAB(nn.Module):
    """A high-frequency attention block (FMEN, Figure 3).

    x --BN, 3 x 3, C -> c--act--[ERB] x blocks--act--BN, 3 x 3, c -> C, BN--sigmoid--(*)--
     |________________________________________________________________________________|

    `hidden` is c; the activation is LeakyReLU.
    """

    def __init__(self, channels: int, hidden: int, blocks: int, block: Block) -> None:
        super().__init__()
        self.squeeze = NormedConv(channels, hidden)
        self.activation = nn.LeakyReLU(SLOPE)
        self.blocks = nn.Sequential(*[block(hidden) for _ in range(blocks)])
        self.excite = NormedConvNormed(hidden, channels)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.activation(self.squeeze(x))
        attended = self.activation(self.blocks(squeezed))
        return x * self.sigmoid(self.excite(attended))
