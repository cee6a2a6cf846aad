"""MemNet: A Persistent Memory Network for Image Restoration (Tai et al., 2017)."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from leansr.lab.nets.bicubic import Bicubic
from leansr.lab.nets.collapse import Space
from leansr.lab.nets.fmen_blocks import RRRB, SLOPE, Block, conv3x3
from leansr.lab.nets.network import Network

Activation = Callable[[], nn.Module]


def normed(channels: int, activation: Activation = nn.ReLU) -> nn.Sequential:
    """x --BN--activation-- , what stands before every convolution."""
    return nn.Sequential(nn.BatchNorm2d(channels), activation())


def plain(channels: int) -> nn.Module:
    return conv3x3(channels, channels)


class MemoryBlock(nn.Module):
    """A memory block that sees `memories` of them (MemNet, section 3.2).

    x --recursion--+--recursion--+-- ... --recursion--+
                   |_____________|____________________|__concat--BN, ReLU--1 x 1-- memory
                   '------- the memories so far ------'

    recursion:  x --BN, ReLU--3 x 3--BN, ReLU--3 x 3--(+)--
                 |_____________________________________|

    x is the last memory, the first is what the first block sees. Every recursion has the same two
    convolutions and its own BN.
    """

    def __init__(
        self,
        memories: int,
        *,
        channels: int,
        recursions: int,
        conv: Block = plain,
        activation: Activation = nn.ReLU,
    ) -> None:
        super().__init__()
        self.first = conv(channels)
        self.second = conv(channels)
        self.before = nn.ModuleList(normed(channels, activation) for _ in range(recursions))
        self.between = nn.ModuleList(normed(channels, activation) for _ in range(recursions))
        features = (recursions + memories) * channels
        self.gate = nn.Sequential(normed(features), nn.Conv2d(features, channels, 1))

    def recursion(self, x: Tensor, before: nn.Module, between: nn.Module) -> Tensor:
        """The two convolutions once more."""
        return self.second(between(self.first(before(x)))) + x

    def forward(self, memories: list[Tensor]) -> Tensor:
        x, states = memories[-1], []
        for before, between in zip(self.before, self.between, strict=True):
            x = self.recursion(x, before, between)
            states.append(x)
        return self.gate(torch.cat([*states, *memories], dim=1))


class ERBMemoryBlock(MemoryBlock):
    """A memory block of ERBs (FMEN, section 4.2), in MemNet's order.

    recursion:  x --BN, LeakyReLU--RRRB--BN, LeakyReLU--RRRB--
    """

    def __init__(self, memories: int, *, channels: int, recursions: int, space: Space) -> None:
        super().__init__(
            memories,
            channels=channels,
            recursions=recursions,
            conv=RRRB[space],
            activation=partial(nn.LeakyReLU, SLOPE),
        )

    def recursion(self, x: Tensor, before: nn.Module, between: nn.Module) -> Tensor:
        return self.second(between(self.first(before(x))))


class Backbone(Network):
    """MemNet of any memory blocks, multi-supervised (MemNet, section 3.3).

    lr --bicubic--+--BN, ReLU, 3 x 3--block 1---+---block 2---+--- ... ---block M---+
                  |                          BN, ReLU      BN, ReLU              BN, ReLU
                  |                           3 x 3         3 x 3                 3 x 3
                  |____________________________(+)___________(+)___________________(+)
                                              * w1          * w2                  * wM
                                                |_____________|____________________|__(+)-- sr

    Each block sees all memories before it. The last 3 x 3 is one and the same, its BN is not; the
    weights w are learnt.
    """

    def __init__(
        self, block: Callable[[int], MemoryBlock], *, channels: int, memories: int, scale: int
    ) -> None:
        super().__init__()
        self.bicubic = Bicubic(scale=scale)
        self.extract = nn.Sequential(normed(1), conv3x3(1, channels))
        self.blocks = nn.ModuleList(block(number) for number in range(1, memories + 1))
        self.before = nn.ModuleList(normed(channels) for _ in range(memories))
        self.reconstruct = conv3x3(channels, 1)
        self.weigh = nn.Conv2d(memories, 1, 1, bias=False)
        nn.init.constant_(self.weigh.weight, 1 / memories)

    def predictions(self, lr: Tensor) -> Tensor:
        """`(N, M, scale * H, scale * W)`: sr by each memory, which the paper supervises too."""
        bicubic = self.bicubic(lr)
        memories = [self.extract(bicubic)]
        predictions = []
        for block, before in zip(self.blocks, self.before, strict=True):
            memories.append(block(memories))
            predictions.append(self.reconstruct(before(memories[-1])) + bicubic)
        return torch.cat(predictions, dim=1)

    def forward(self, lr: Tensor) -> Tensor:
        return self.weigh(self.predictions(lr))


class MemNet(Backbone):
    """MemNet, luma `(N, 1, H, W)` in [0, 1] to `(N, 1, scale * H, scale * W)`, not clipped.

    lr --bicubic--+--BN, ReLU, 3 x 3--[memory block] x memories--weighted outputs--(+)-- sr
                  |_________________________________________________________________|

    `memories` and `recursions` are the paper's M and R. M6R6's printed parameters leave BN and w
    out (676 992 weights, 678 209 with biases); of its printed Multi-Adds, 2662.4 G are those of one
    reconstruction, 623.9 G count shared weights once. Its start is PyTorch's: by He et al. (2015),
    as in the paper, each of 36 recursions doubles the variance, which nothing holds before BN has
    running statistics.
    """

    def __init__(self, *, channels: int, memories: int, recursions: int, scale: int) -> None:
        block = partial(MemoryBlock, channels=channels, recursions=recursions)
        super().__init__(block, channels=channels, memories=memories, scale=scale)


class MemNetWithERB(Backbone):
    """MemNet with RRRBs for its 3 x 3 convolutions and no skips in its recursions: with ERBs.

    lr --bicubic--+--BN, ReLU, 3 x 3--[memory block] x memories--weighted outputs--(+)-- sr
                  |_________________________________________________________________|

    FMEN's Table 1 does not say how BN and ERB go together: BN and the activation stand where they
    did. `space` is FMEN's.
    """

    spaces = ("expanded", "collapsed", "direct")

    def __init__(
        self,
        *,
        channels: int,
        memories: int,
        recursions: int,
        scale: int,
        space: Space = "expanded",
    ) -> None:
        block = partial(ERBMemoryBlock, channels=channels, recursions=recursions, space=space)
        super().__init__(block, channels=channels, memories=memories, scale=scale)
