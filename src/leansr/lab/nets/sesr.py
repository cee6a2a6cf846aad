"""SESR: Collapsible Linear Blocks for Super-Efficient Super Resolution (Bhardwaj et al., 2022)."""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leansr.lab.nets.collapse import Kernel, Space, identity, kernel_of
from leansr.lab.nets.network import Network


class ExpandedBlock(nn.Module):
    """A linear block, computed as drawn (SESR, Figure 2b).

    x --k x k, in -> width--1 x 1, width -> out--(+)--
     |___________________________________________|   the short residual, if it has one

    Zero padding; both convolutions with bias; Glorot initialisation times `gain`.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel_size: int, width: int, residual: bool, gain: float
    ) -> None:
        super().__init__()
        self.expand = nn.Conv2d(inputs, width, kernel_size, padding=kernel_size // 2)
        self.project = nn.Conv2d(width, outputs, 1)
        self.residual = residual
        for conv in (self.expand, self.project):
            nn.init.xavier_normal_(conv.weight)
            nn.init.zeros_(conv.get_parameter("bias"))
        with torch.no_grad():
            self.project.weight *= gain

    def forward(self, x: Tensor) -> Tensor:
        projected = self.project(self.expand(x))
        return projected + x if self.residual else projected

    def kernel(self) -> Kernel:
        """The collapsed block, short residual included (Algorithms 1, 2)."""
        kernel = kernel_of(self.expand).then(kernel_of(self.project))
        return kernel.plus_identity() if self.residual else kernel

    def collapse(self) -> nn.Conv2d:
        """The plain convolution equal to this block."""
        return self.kernel().convolution()


class CollapsedBlock(ExpandedBlock):
    """The same block, collapsed at every step before it is applied (SESR, section 3.3).

    Gradients reach the expanded weights; the picture only meets the narrow convolution.
    """

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.kernel()
        return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)


class SingleBlock(nn.Module):
    """A plain convolution with the short residual: no linear block (section 4.4)."""

    def __init__(
        self, inputs: int, outputs: int, kernel_size: int, width: int, residual: bool, gain: float
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel_size, padding=kernel_size // 2)
        self.residual = residual
        nn.init.xavier_normal_(self.conv.weight, gain)
        nn.init.zeros_(self.conv.get_parameter("bias"))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + x if self.residual else self.conv(x)

    def collapse(self) -> nn.Conv2d:
        """The plain convolution equal to this block."""
        kernel = kernel_of(self.conv)
        return (kernel.plus_identity() if self.residual else kernel).convolution()


def direct_block(
    inputs: int, outputs: int, kernel_size: int, width: int, residual: bool, gain: float
) -> nn.Conv2d:
    """The collapsed kernel itself as the parameter, short residual included in its start.

    Starts with the variance that collapsing a freshly started `ExpandedBlock` has.
    """
    conv = nn.Conv2d(inputs, outputs, kernel_size, padding=kernel_size // 2)
    expand = 2 / (kernel_size**2 * (inputs + width))
    project = 2 / (width + outputs)
    nn.init.normal_(conv.weight, std=gain * (width * expand * project) ** 0.5)
    nn.init.zeros_(conv.get_parameter("bias"))
    if residual:
        with torch.no_grad():
            conv.weight += identity(outputs, kernel_size)
    return conv


BLOCKS: dict[Space, Callable[..., nn.Module]] = {
    "expanded": ExpandedBlock,
    "collapsed": CollapsedBlock,
    "direct": direct_block,
}


class SESR(Network):
    """SESR, luma `(N, 1, H, W)` in [0, 1] to `(N, 1, scale * H, scale * W)`, not clipped.

    lr --5 x 5--+--[3 x 3, act] x blocks--(+)--5 x 5--(+)--depth to space-- sr    (Figure 2a, d)
     |          |__________________________|           |
     |_________________________________________________|

    `channels`, `blocks`, `width` are the paper's f, m, p. Without `input_residual` and with
    `activation` "relu" it is the hardware form of section 3.2. Without `short_residuals` the
    linear blocks are those of ExpandNets; without `linear_blocks` they are single convolutions
    (section 4.4). `space` is where it is trained: "expanded" as drawn, "collapsed" at every step
    with the same gradients, or "direct" on the collapsed kernels, whatever they come from. The
    first convolution sees lr - 0.5, which zero padding does not let one fold into a bias.
    """

    spaces = ("direct", "expanded", "collapsed")

    def __init__(
        self,
        *,
        channels: int,
        blocks: int,
        scale: int,
        width: int = 256,
        activation: Literal["prelu", "relu"] = "prelu",
        input_residual: bool = True,
        short_residuals: bool = True,
        linear_blocks: bool = True,
        space: Space = "direct",
    ) -> None:
        super().__init__()
        if scale not in (2, 4):
            raise ValueError(f"SESR is drawn for x2 and x4, not x{scale}")
        block = BLOCKS[space] if linear_blocks or space == "direct" else SingleBlock
        self.input_residual = input_residual
        self.first = block(1, channels, 5, width, residual=False, gain=1.0)
        body: list[nn.Module] = []
        for _ in range(blocks):
            body += [block(channels, channels, 3, width, residual=short_residuals, gain=1.0)]
            body += [nn.PReLU(channels) if activation == "prelu" else nn.ReLU()]
        self.body = nn.Sequential(*body)
        # The input residual alone is nearest neighbour; the rest starts as little beside it.
        self.last = block(channels, scale**2, 5, width, residual=False, gain=0.1)
        # x4 is two steps of 2 (section 4.1), whose channel order is not that of one step of 4.
        self.shuffle = nn.Sequential(*[nn.PixelShuffle(2)] * (scale // 2))

    def forward(self, lr: Tensor) -> Tensor:
        shallow = self.first(lr - 0.5)
        deep = self.body(shallow) + shallow
        sr = self.last(deep)
        if self.input_residual:
            sr = sr + lr
        return self.shuffle(sr)
