"""SPAN: Swift Parameter-free Attention Network (Wan et al., 2024), first in NTIRE 2024."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leansr.lab.nets.collapse import Kernel, identity, kernel_of
from leansr.lab.nets.network import Network


class LinearBlock(nn.Module):
    """A 3 x 3 convolution, over-parameterized (the authors' Conv3XC).

    x --pad by 0--1 x 1, C -> 2C--3 x 3--1 x 1, 2C' -> C'--(+)--
     |__1 x 1, C -> C'______________________________________|

    Padded before the first 1 x 1, so that it is one 3 x 3 convolution at the border too.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(inputs, 2 * inputs, 1)
        self.conv = nn.Conv2d(2 * inputs, 2 * outputs, 3)
        self.reduce = nn.Conv2d(2 * outputs, outputs, 1)
        self.skip = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        around = self.expand(F.pad(x, (1, 1, 1, 1)))
        return self.reduce(self.conv(around)) + self.skip(x)

    def collapse(self) -> nn.Conv2d:
        """The plain convolution equal to this block."""
        main = kernel_of(self.expand).then(kernel_of(self.conv)).then(kernel_of(self.reduce))
        skip = kernel_of(self.skip)
        as_wide = identity(len(skip.bias), 3).to(skip.weight)
        skip = skip.then(Kernel(as_wide, torch.zeros_like(skip.bias)))
        return Kernel(main.weight + skip.weight, main.bias + skip.bias).convolution()


class SPAB(nn.Module):
    """A swift parameter-free attention block.

    x --3 x 3--act--3 x 3--act--3 x 3--+--(+)--(*)--
     |                                 |__|_____|  sigmoid - 0.5
     |____________________________________|

    Also returns the first activation. act is SiLU; the 3 x 3 are linear blocks.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = LinearBlock(channels, channels)
        self.second = LinearBlock(channels, channels)
        self.third = LinearBlock(channels, channels)
        self.activation = nn.SiLU()
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        shallow = self.activation(self.first(x))
        deep = self.third(self.activation(self.second(shallow)))
        return (deep + x) * (self.sigmoid(deep) - 0.5), shallow


class SPAN(Network):
    """SPAN, RGB `(N, 3, H, W)` in [0, 1] to `(N, 3, scale * H, scale * W)`, not clipped.

    lr - mean--3 x 3--+--SPAB--+--SPAB-- ... --SPAB--3 x 3--+
                      |________|____________|_______________|--concat--1 x 1--3 x 3, shuffle-- sr
                                            the last block's first activation

    The first and the last 3 x 3 before the concatenation are linear blocks too.
    """

    mean: Tensor

    def __init__(self, *, channels: int, blocks: int, scale: int) -> None:
        super().__init__()
        mean = torch.tensor((0.4488, 0.4371, 0.4040)).view(1, 3, 1, 1)
        self.register_buffer("mean", mean, persistent=False)
        self.head = LinearBlock(3, channels)
        self.blocks = nn.ModuleList(SPAB(channels) for _ in range(blocks))
        self.refine = LinearBlock(channels, channels)
        self.fuse = nn.Conv2d(4 * channels, channels, 1)
        self.upsample = nn.Sequential(
            nn.Conv2d(channels, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale)
        )

    def forward(self, lr: Tensor) -> Tensor:
        shallow = x = self.head(lr - self.mean)
        outputs = []
        inner = x
        for block in self.blocks:
            x, inner = block(x)
            outputs.append(x)
        features = [shallow, self.refine(x), outputs[0], inner]
        return self.upsample(self.fuse(torch.cat(features, dim=1)))
