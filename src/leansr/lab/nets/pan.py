"""PAN: Efficient Image Super-Resolution Using Pixel Attention (Zhao et al., 2020)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leansr.lab.nets.network import Network

_SLOPE = 0.2


class PixelAttention(nn.Module):
    """The paper's PA: x weighed by pixel and channel.

    x--+--1 x 1--sigmoid--(*)--
       |___________________|
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(channels, channels, 1)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.sigmoid(self.weigh(x))


class PixelAttentionConv(nn.Module):
    """The PA branch of SC-PA: a 3 x 3 convolution weighed by its own input, and another.

    x--+--3 x 3-----------(*)--3 x 3--
       |--1 x 1--sigmoid---|

    Only the 1 x 1 has a bias.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.weigh = nn.Conv2d(channels, channels, 1)
        self.sigmoid = nn.Sigmoid()
        self.last = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x) * self.sigmoid(self.weigh(x)))


class SCPA(nn.Module):
    """The paper's SC-PA block, a self-calibrated convolution with pixel attention.

    x--+--1 x 1, C -> C/2--act--3 x 3---------------act--+
       |--1 x 1, C -> C/2--act--PixelAttentionConv--act--+--concat--1 x 1--(+)--
       |____________________________________________________________________|

    No biases but that of the attention.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.plain = nn.Sequential(
            nn.Conv2d(channels, half, 1, bias=False),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(half, half, 3, padding=1, bias=False),
            nn.LeakyReLU(_SLOPE),
        )
        self.attentive = nn.Sequential(
            nn.Conv2d(channels, half, 1, bias=False),
            nn.LeakyReLU(_SLOPE),
            PixelAttentionConv(half),
            nn.LeakyReLU(_SLOPE),
        )
        self.fuse = nn.Conv2d(2 * half, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.fuse(torch.cat([self.plain(x), self.attentive(x)], dim=1)) + x


class Upsampling(nn.Sequential):
    """The paper's U-PA block: nearest, 3 x 3, pixel attention, act, 3 x 3, act."""

    def __init__(self, inputs: int, outputs: int, factor: int) -> None:
        super().__init__(
            nn.Upsample(scale_factor=factor, mode="nearest"),
            nn.Conv2d(inputs, outputs, 3, padding=1),
            PixelAttention(outputs),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            nn.LeakyReLU(_SLOPE),
        )


class PAN(Network):
    """PAN, RGB `(N, 3, H, W)` in [0, 1] to `(N, 3, scale * H, scale * W)`, not clipped.

    lr--+--3 x 3--+--SCPA x blocks--3 x 3--(+)--U-PA blocks--3 x 3--(+)-- sr
        |         |_________________________|                        |
        |___________________________________bilinear_________________|

    The upsampling is one U-PA block of 2 or 3, or two of 2. `upsampling_channels` are those of its
    convolutions. act is LeakyReLU; its slope is that of the authors' code.
    """

    def __init__(self, *, channels: int, upsampling_channels: int, blocks: int, scale: int) -> None:
        super().__init__()
        if scale not in (2, 3, 4):
            raise ValueError(f"PAN is drawn for x2, x3 and x4, not x{scale}")
        factors = (2, 2) if scale == 4 else (scale,)
        self.scale = scale
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.body = nn.Sequential(
            *(SCPA(channels) for _ in range(blocks)), nn.Conv2d(channels, channels, 3, padding=1)
        )
        widths = (channels, *[upsampling_channels] * len(factors))
        self.upsampling = nn.Sequential(*map(Upsampling, widths, widths[1:], factors))
        self.tail = nn.Conv2d(upsampling_channels, 3, 3, padding=1)

    def forward(self, lr: Tensor) -> Tensor:
        shallow = self.head(lr)
        deep = self.body(shallow) + shallow
        residual = F.interpolate(
            lr, scale_factor=float(self.scale), mode="bilinear", align_corners=False
        )
        return self.tail(self.upsampling(deep)) + residual
