"""The networks of FMEN's attention study (FMEN, section 4.4 and Table 2)."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from leansr.lab.nets.collapse import Space
from leansr.lab.nets.fmen_blocks import Block, conv3x3, erb
from leansr.lab.nets.network import Network


class CCA(nn.Module):
    """Contrast-aware channel attention (IMDN, section 3.2).

    x--+--deviation + mean over H, W--1 x 1, C -> 4--ReLU--1 x 1, 4 -> C--sigmoid--(*)--
       |____________________________________________________________________________|

    Four hidden channels meet Table 2.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.average = nn.AdaptiveAvgPool2d(1)
        self.squeeze = nn.Conv2d(channels, 4, 1)
        self.activation = nn.ReLU()
        self.excite = nn.Conv2d(4, channels, 1)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        mean = self.average(x)
        deviation = (x - mean).square().mean(dim=(-2, -1), keepdim=True).sqrt()
        squeezed = self.activation(self.squeeze(deviation + mean))
        return x * self.sigmoid(self.excite(squeezed))


class ESA(nn.Module):
    """Enhanced spatial attention, as RFDN has it.

    x--+--1 x 1, C -> c--+--3 x 3, stride 2--max 7 x 7, stride 3--group--resize--(+)--A
       |                 |__1 x 1_________________________________________________|
       |__(*)--
    A--1 x 1, c -> C--sigmoid--^

    c = C/4; the group is 3 x 3, ReLU, 3 x 3, ReLU, 3 x 3; the resize is bilinear. No width of it
    meets Table 2's 784 K: C/4 gives 818 671 parameters, C/16 gives 783 571.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // 4
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.stride = nn.Conv2d(hidden, hidden, 3, stride=2)
        self.pool = nn.MaxPool2d(7, 3)
        self.group = nn.Sequential(
            nn.Conv2d(hidden, hidden, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(hidden, hidden, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(hidden, hidden, 3, padding=1),
        )
        self.skip = nn.Conv2d(hidden, hidden, 1)
        self.expand = nn.Conv2d(hidden, channels, 1)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.reduce(x)
        pooled = self.group(self.pool(self.stride(reduced)))
        wide = F.interpolate(pooled, x.shape[-2:], mode="bilinear", align_corners=False)
        return x * self.sigmoid(self.expand(wide + self.skip(reduced)))


ATTENTION: dict[Literal["none", "cca", "esa"], Block] = {
    "none": lambda _: nn.Identity(),
    "cca": CCA,
    "esa": ESA,
}


class AttentionStudy(Network):
    """15 ERBs, RGB `(N, 3, H, W)` in [0, 1] to `(N, 3, scale * H, scale * W)`, not clipped.

    lr --3 x 3--+--[ERB--ERB--ERB--attention] x groups--3 x 3--(+)--3 x 3--depth to space-- sr
                |_______________________________________________|

    5 groups of 52 channels without a warm-up convolution meet Table 2. `space` is FMEN's.
    """

    spaces = ("expanded", "collapsed", "direct")

    def __init__(
        self,
        *,
        channels: int,
        groups: int,
        attention: Literal["none", "cca", "esa"],
        scale: int,
        space: Space = "expanded",
    ) -> None:
        super().__init__()
        block = erb(space)
        body: list[nn.Module] = []
        for _ in range(groups):
            body += [block(channels) for _ in range(3)]
            body += [ATTENTION[attention](channels)]
        self.head = conv3x3(3, channels)
        self.body = nn.Sequential(*body, conv3x3(channels, channels))
        self.tail = conv3x3(channels, 3 * scale**2)
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, lr: Tensor) -> Tensor:
        shallow = self.head(lr)
        deep = self.body(shallow) + shallow
        return self.shuffle(self.tail(deep))
