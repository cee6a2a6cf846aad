"""IDN: Fast and Accurate Single Image Super-Resolution via Information Distillation Network
(Hui et al., 2018), in the authors' later RGB form."""

import torch
from torch import Tensor, nn

from leansr.lab.nets.bicubic import Bicubic
from leansr.lab.nets.network import Network


class ConvLeaky(nn.Sequential):
    """3 x 3 in `groups`, LeakyReLU 0.05."""

    def __init__(self, inputs: int, outputs: int, groups: int = 1) -> None:
        conv = nn.Conv2d(inputs, outputs, 3, padding=1, groups=groups)
        super().__init__(conv, nn.LeakyReLU(0.05))


class DistillationBlock(nn.Module):
    """DBlock: an enhancement unit, and a compression unit of one 1 x 1.

    x --+--64 to 48--to 32, 4 groups--to 64--+--48 to 64--to 48, 4 groups--to 80--(+)--1 x 1, act--
        |                                    |16                                   |
        |____________________________________|____________ concat, 80 _____________|

    Every arrow is a 3 x 3 with its activation. Of the short path's 64 (the paper's D3) the first
    quarter (1 / s) is kept, the rest goes on; the paper's d is 16.
    """

    def __init__(self) -> None:
        super().__init__()
        self.short = nn.Sequential(
            ConvLeaky(64, 48), ConvLeaky(48, 32, groups=4), ConvLeaky(32, 64)
        )
        self.long = nn.Sequential(ConvLeaky(48, 64), ConvLeaky(64, 48, groups=4), ConvLeaky(48, 80))
        self.compress = nn.Sequential(nn.Conv2d(80, 64, 1), nn.LeakyReLU(0.05))

    def forward(self, x: Tensor) -> Tensor:
        kept, passed = self.short(x).split((16, 48), dim=1)
        return self.compress(torch.cat([x, kept], dim=1) + self.long(passed))


class IDN(Network):
    """IDN, RGB `(N, 3, H, W)` in [0, 1] to `(N, 3, scale * H, scale * W)`, not clipped.

    lr --+--3 x 3, act--3 x 3, act--DBlock x blocks--3 x 3--3 x 3--depth to space--(+)-- sr
         |                                                                          |
         |__________________________________ bicubic _______________________________|

    The paper's own network sees luma and ends in one deconvolution 17 x 17; this is
    the authors' RGB release, which the printed 579, 588 and 600 K belong to.
    """

    def __init__(self, *, blocks: int, scale: int) -> None:
        super().__init__()
        self.head = nn.Sequential(ConvLeaky(3, 64), ConvLeaky(64, 64))
        self.blocks = nn.Sequential(*[DistillationBlock() for _ in range(blocks)])
        self.reconstruct = nn.Sequential(
            nn.Conv2d(64, 64, 3, padding=1),
            nn.Conv2d(64, 3 * scale**2, 3, padding=1),
            nn.PixelShuffle(scale),
        )
        self.bicubic = Bicubic(scale=scale)

    def forward(self, lr: Tensor) -> Tensor:
        return self.reconstruct(self.blocks(self.head(lr))) + self.bicubic(lr)
