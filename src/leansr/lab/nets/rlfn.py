"""RLFN: Residual Local Feature Network (Kong et al., 2022)."""

import torch.nn.functional as F
from torch import Tensor, nn

from leansr.lab.nets.network import Network


class ESA(nn.Module):
    """Enhanced spatial attention (ESA), its group cut to one convolution.

    x--+--1 x 1--+--3 x 3, stride 2--max 7/3--3 x 3--bilinear--(+)--1 x 1--sigmoid--(*)--
       |         |__________________1 x 1_______________________|                    |
       |_____________________________________________________________________________|

    The strided convolution and the max-pooling do not pad: 15 pixels a side or more. `reduced` are
    the channels inside.
    """

    def __init__(self, channels: int, reduced: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, reduced, 1)
        self.squeeze = nn.Sequential(
            nn.Conv2d(reduced, reduced, 3, stride=2),
            nn.MaxPool2d(7, 3),
            nn.Conv2d(reduced, reduced, 3, padding=1),
        )
        self.skip = nn.Conv2d(reduced, reduced, 1)
        self.expand = nn.Conv2d(reduced, channels, 1)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.reduce(x)
        coarse = F.interpolate(
            self.squeeze(reduced), x.shape[-2:], mode="bilinear", align_corners=False
        )
        return x * self.sigmoid(self.expand(coarse + self.skip(reduced)))


class RLFB(nn.Module):
    """A residual local feature block.

    x--+--[3 x 3, act] x 3--(+)--1 x 1--ESA--
       |_____________________|

    act is LeakyReLU; its slope is that of the authors' code.
    """

    def __init__(self, channels: int, attention_channels: int) -> None:
        super().__init__()
        refine: list[nn.Module] = []
        for _ in range(3):
            refine += [nn.Conv2d(channels, channels, 3, padding=1), nn.LeakyReLU(0.05)]
        self.refine = nn.Sequential(*refine)
        self.fuse = nn.Conv2d(channels, channels, 1)
        self.attention = ESA(channels, attention_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(self.fuse(self.refine(x) + x))


class RLFN(Network):
    """RLFN, RGB `(N, 3, H, W)` in [0, 1] to `(N, 3, scale * H, scale * W)`, not clipped.

    lr--3 x 3--+--RLFB x blocks--3 x 3--(+)--3 x 3--pixel shuffle-- sr
               |_________________________|
    """

    def __init__(self, *, channels: int, attention_channels: int, blocks: int, scale: int) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.body = nn.Sequential(
            *(RLFB(channels, attention_channels) for _ in range(blocks)),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        self.tail = nn.Sequential(
            nn.Conv2d(channels, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale)
        )

    def forward(self, lr: Tensor) -> Tensor:
        shallow = self.head(lr)
        return self.tail(self.body(shallow) + shallow)
