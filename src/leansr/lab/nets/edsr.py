"""EDSR-baseline (Lim et al., 2017), and FMEN's blocks in place of its own."""

from typing import Literal

import torch
from torch import Tensor, nn

from leansr.lab.nets.collapse import Space
from leansr.lab.nets.fmen_blocks import PLAIN, Block, erb
from leansr.lab.nets.network import Network

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)


class Backbone(Network):
    """EDSR without a residual scaling, of any block.

    lr - mean --3 x 3--+--[block] x blocks--3 x 3--(+)--upsampler--3 x 3--+ mean-- sr
                       |____________________________|

    The upsampler is a 3 x 3 convolution and a pixel shuffle; x4 is two steps of 2.
    """

    mean: Tensor

    def __init__(self, block: Block, *, channels: int, blocks: int, scale: int) -> None:
        super().__init__()
        if scale not in (2, 3, 4):
            raise ValueError(f"EDSR is built for x2, x3 and x4, not x{scale}")
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN).view(1, 3, 1, 1), persistent=False)
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.body = nn.Sequential(
            *[block(channels) for _ in range(blocks)], nn.Conv2d(channels, channels, 3, padding=1)
        )
        upsampler: list[nn.Module] = []
        for factor in (2, 2) if scale == 4 else (scale,):
            upsampler += [nn.Conv2d(channels, factor**2 * channels, 3, padding=1)]
            upsampler += [nn.PixelShuffle(factor)]
        self.upsampler = nn.Sequential(*upsampler)
        self.tail = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, lr: Tensor) -> Tensor:
        shallow = self.head(lr - self.mean)
        deep = self.body(shallow) + shallow
        return self.tail(self.upsampler(deep)) + self.mean


class EDSR(Backbone):
    """EDSR-baseline, RGB `(N, 3, H, W)` in [0, 1] to `(N, 3, scale * H, scale * W)`, not clipped.

    lr - mean --3 x 3--+--[RB] x blocks--3 x 3--(+)--upsampler--3 x 3--+ mean-- sr
                       |_________________________|

    `block` is "rb", its own, or "pb", without the skip connection (FMEN, section 4.2). The mean
    is that of DIV2K's RGB.
    """

    def __init__(
        self, *, block: Literal["rb", "pb"], channels: int, blocks: int, scale: int
    ) -> None:
        super().__init__(PLAIN[block], channels=channels, blocks=blocks, scale=scale)


class EDSRWithERB(Backbone):
    """EDSR-baseline with ERBs (FMEN, section 4.2); the deploy form has no skip in its blocks.

    lr - mean --3 x 3--+--[ERB] x blocks--3 x 3--(+)--upsampler--3 x 3--+ mean-- sr
                       |__________________________|

    `space` is FMEN's.
    """

    spaces = ("expanded", "collapsed", "direct")

    def __init__(
        self, *, channels: int, blocks: int, scale: int, space: Space = "expanded"
    ) -> None:
        super().__init__(erb(space), channels=channels, blocks=blocks, scale=scale)
