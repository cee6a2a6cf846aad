"""What the efficiency study puts in the place of RCAN's 3 x 3 convolutions (its section 4.1).

Each function makes a block `(N, channels, H, W)` to the same shape. There is no batch
normalisation, and the study's printed parameters say that only a block's last convolution has a
bias. What neither text nor counts decide is as in the paper the block comes from: which
activation it has and where, whether it adds its input, what it shuffles. One thing is the same
for all: nothing follows a block's last convolution or its sum, for nothing followed the
convolution that it replaces, and the network's own activations stay.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Residual(nn.Sequential):
    """The layers in a row, plus their input."""

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = super().forward(x)
        return residual + x


class ChannelShuffle(nn.Module):
    """One channel of each of `groups` groups after the other, as `nn.ChannelShuffle`.

    By an index, which in ONNX is one operation on channels alone; reshaping would be five.
    """

    order: Tensor

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        order = torch.arange(channels).view(groups, -1).T.flatten()
        self.register_buffer("order", order, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x.index_select(1, self.order)


def pointwise(inputs: int, outputs: int, *, groups: int = 1, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 1, groups=groups, bias=bias)


def depthwise(channels: int, height: int = 3, width: int = 3, *, bias: bool = False) -> nn.Conv2d:
    size, padding = (height, width), (height // 2, width // 2)
    return nn.Conv2d(channels, channels, size, padding=padding, groups=channels, bias=bias)


def bottleneck(channels: int, *, reduction: int, groups: int = 1) -> nn.Module:
    """blrn(r) and blrxn(r, g): the bottlenecks of ResNet (He et al.) and ResNeXt (Xie et al.).

    x --1 x 1, to C/r--ReLU--3 x 3, g groups--ReLU--1 x 1, to C--(+)--
     |____________________________________________________________|
    """
    narrow = channels // reduction
    return Residual(
        pointwise(channels, narrow),
        nn.ReLU(),
        nn.Conv2d(narrow, narrow, 3, padding=1, groups=groups, bias=False),
        nn.ReLU(),
        pointwise(narrow, channels, bias=True),
    )


def separable(channels: int, *, depthwise_bias: bool = False) -> nn.Module:
    """blm1: MobileNet v1's depthwise separable convolution (Howard et al.).

    x --3 x 3 depthwise--ReLU--1 x 1--

    `depthwise_bias` gives the first convolution a bias too; one row of the study's counts has it.
    """
    return nn.Sequential(
        depthwise(channels, bias=depthwise_bias),
        nn.ReLU(),
        pointwise(channels, channels, bias=True),
    )


def spatially_separable(channels: int, *, reduction: int) -> nn.Module:
    """bleff(r): EffNet's unit without its pooling (Freeman et al.).

    x --1 x 1, to C/r--ReLU--1 x 3 depthwise--ReLU--3 x 1 depthwise--ReLU--1 x 1, to C--
    """
    narrow = channels // reduction
    return nn.Sequential(
        pointwise(channels, narrow),
        nn.ReLU(),
        depthwise(narrow, 1, 3),
        nn.ReLU(),
        depthwise(narrow, 3, 1),
        nn.ReLU(),
        pointwise(narrow, channels, bias=True),
    )


def shuffled_bottleneck(channels: int, *, reduction: int, groups: int) -> nn.Module:
    """bls1(r, g): ShuffleNet v1's unit (Zhang et al.), both 1 x 1 in g groups.

    x --1 x 1, to C/r--ReLU--shuffle--3 x 3 depthwise--1 x 1, to C--(+)--
     |____________________________________________________________|
    """
    narrow = channels // reduction
    return Residual(
        pointwise(channels, narrow, groups=groups),
        nn.ReLU(),
        ChannelShuffle(narrow, groups),
        depthwise(narrow),
        pointwise(narrow, channels, groups=groups, bias=True),
    )


def channel_local(channels: int, *, spatial_groups: int, pointwise_groups: int) -> nn.Module:
    """blclc(g1, g2): clcNet's block (Zhang), whose 3 x 3 is interlaced by a shuffle after it.

    x --3 x 3, g1 groups--shuffle--1 x 1, g2 groups--
    """
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, groups=spatial_groups, bias=False),
        ChannelShuffle(channels, spatial_groups),
        pointwise(channels, channels, groups=pointwise_groups, bias=True),
    )


class ShuffledSplit(nn.Module):
    """bls2: ShuffleNet v2's unit (Ma et al.), the second half of the channels convolved.

    x --split--+----------------------------------------------concat--shuffle--
               |__1 x 1--ReLU--3 x 3 depthwise--1 x 1_________|
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.branch = nn.Sequential(
            pointwise(half, half),
            nn.ReLU(),
            depthwise(half),
            pointwise(half, half, bias=True),
        )
        self.shuffle = ChannelShuffle(channels, 2)

    def forward(self, x: Tensor) -> Tensor:
        kept, convolved = x.chunk(2, dim=1)
        return self.shuffle(torch.cat([kept, self.branch(convolved)], dim=1))


def inverted_bottleneck(channels: int, *, expansion: int) -> nn.Module:
    """blm2(e): MobileNet v2's inverted residual (Sandler et al.).

    x --1 x 1, to e C--ReLU6--3 x 3 depthwise--ReLU6--1 x 1, to C--(+)--
     |______________________________________________________________|
    """
    wide = channels * expansion
    return Residual(
        pointwise(channels, wide),
        nn.ReLU6(),
        depthwise(wide),
        nn.ReLU6(),
        pointwise(wide, channels, bias=True),
    )


# By the study's names.
BLOCKS: dict[str, Callable[..., nn.Module]] = {
    "blrn": bottleneck,
    "blrxn": bottleneck,
    "blm1": separable,
    "bleff": spatially_separable,
    "bls1": shuffled_bottleneck,
    "blclc": channel_local,
    "bls2": ShuffledSplit,
    "blm2": inverted_bottleneck,
}
