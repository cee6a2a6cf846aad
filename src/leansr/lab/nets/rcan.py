"""RCAN (Zhang et al., 2018) and the shallow RCANs of the efficiency study (2019)."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from leansr.lab.nets.network import Network
from leansr.lab.nets.replacements import BLOCKS

# From channels to as many channels: a 3 x 3 convolution or what replaces it.
Layer = Callable[[int], nn.Module]
Where = Literal["rb", "rg", "rgu"]

# What is replaced in each of the study's settings (section 4.2).
REPLACED: dict[Where | None, tuple[str, ...]] = {
    None: (),
    "rb": ("block",),
    "rg": ("block", "group"),
    "rgu": ("block", "group", "upsampler"),
}
DIV2K_MEAN = (0.4488, 0.4371, 0.4040)


def conv3x3(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def plain(channels: int) -> nn.Module:
    return conv3x3(channels, channels)


class ChannelAttention(nn.Module):
    """x --mean over H, W--1 x 1, to C/r--ReLU--1 x 1, to C--sigmoid--(*)-- x    (RCAN, 3.3)"""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.weights = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels // reduction, 1),
            nn.ReLU(),
            nn.Conv2d(channels // reduction, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weights(x)


class AttentionBlock(nn.Module):
    """RCAB (RCAN, section 3.4).

    x --3 x 3--ReLU--3 x 3--channel attention--(+)--
     |_________________________________________|
    """

    def __init__(self, channels: int, reduction: int, layer: Layer) -> None:
        super().__init__()
        self.body = nn.Sequential(
            layer(channels),
            nn.ReLU(),
            layer(channels),
            ChannelAttention(channels, reduction),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class ResidualGroup(nn.Module):
    """RG (RCAN, section 3.2).

    x --[RCAB] x blocks--3 x 3--(+)--
     |__________________________|
    """

    def __init__(self, blocks: list[AttentionBlock], last: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*blocks, last)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class RecursiveUpscaling(nn.Module):
    """One step of `factor`: `factor` ERUMs, each applied `factor` times over (study, Figure 1).

    x --ERUM 1--ERUM 1-- ... --ERUM 2--ERUM 2-- ... --ERUM `factor`--
              |       |              |       |                      |
              '-------'------concat--'-------'----------------------'--depth to space--

    ERUM:  x --3 x 3--ReLU--3 x 3--(+)--
            |______________________|

    The weights of an ERUM are the same each time. Each begins where the one before it ended, as
    do the modules of EUSR's upscaling (Kim and Lee, 2018), from which the study takes this one.
    """

    def __init__(self, channels: int, factor: int, layer: Layer) -> None:
        super().__init__()
        self.factor = factor
        self.residuals = nn.ModuleList(
            nn.Sequential(layer(channels), nn.ReLU(), layer(channels)) for _ in range(factor)
        )
        self.shuffle = nn.PixelShuffle(factor)

    def forward(self, x: Tensor) -> Tensor:
        outputs = []
        for residual in self.residuals:
            for _ in range(self.factor):
                x = x + residual(x)
                outputs.append(x)
        return self.shuffle(torch.cat(outputs, dim=1))


def subpixel(channels: int, factor: int, layer: Layer) -> nn.Module:
    """x --3 x 3, to factor^2 C--depth to space-- ; nothing of it is ever replaced."""
    return nn.Sequential(conv3x3(channels, factor**2 * channels), nn.PixelShuffle(factor))


UPSAMPLERS: dict[str, Callable[[int, int, Layer], nn.Module]] = {
    "subpixel": subpixel,
    "erum": RecursiveUpscaling,
}


class RCAN(Network):
    """RCAN, RGB `(N, 3, H, W)` in [0, 1] to `(N, 3, scale * H, scale * W)`, not clipped.

    lr - mean --3 x 3--+--[RG] x groups--3 x 3--(+)--upsampler--3 x 3--+ mean-- sr
                       |________________________|

    `groups` of `blocks` RCABs; `reduction` is that of the channel attention; x4 is two steps of
    2. `upsampler` "erum" is the study's recursive one (its suffix -e). `block` of `BLOCKS`,
    made with `parameters`, takes the place of the 3 x 3 convolutions `where` says: "rb" those in
    RCABs, "rg" also those that end a group or the body, "rgu" also those in ERUMs (study,
    section 4.2); never the first and the last one. Raises ValueError for a block without a place
    or a place without a block, and for "rgu" without ERUMs, which would be "rg".
    """

    mean: Tensor

    def __init__(
        self,
        *,
        groups: int,
        blocks: int,
        scale: int,
        channels: int = 64,
        reduction: int = 16,
        upsampler: Literal["subpixel", "erum"] = "subpixel",
        block: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        where: Where | None = None,
    ) -> None:
        super().__init__()
        if scale not in (2, 3, 4):
            raise ValueError(f"RCAN is built for x2, x3 and x4, not x{scale}")
        if (block is None) != (where is None) or (block is None and parameters):
            raise ValueError(f"a block and its place go together, not {block} {parameters} {where}")
        if where == "rgu" and upsampler != "erum":
            raise ValueError("rgu replaces convolutions of ERUMs; without them it is rg")
        replacement = plain if block is None else partial(BLOCKS[block], **(parameters or {}))
        layers = {
            part: replacement if part in REPLACED[where] else plain
            for part in ("block", "group", "upsampler")
        }
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN).view(1, 3, 1, 1), persistent=False)
        self.head = conv3x3(3, channels)
        body: list[nn.Module] = []
        for _ in range(groups):
            chain = [AttentionBlock(channels, reduction, layers["block"]) for _ in range(blocks)]
            body += [ResidualGroup(chain, last=layers["group"](channels))]
        self.body = nn.Sequential(*body, layers["group"](channels))
        upscale = UPSAMPLERS[upsampler]
        steps = (2, 2) if scale == 4 else (scale,)
        self.upsampler = nn.Sequential(*[upscale(channels, s, layers["upsampler"]) for s in steps])
        self.tail = conv3x3(channels, 3)

    def forward(self, lr: Tensor) -> Tensor:
        shallow = self.head(lr - self.mean)
        deep = self.body(shallow) + shallow
        return self.tail(self.upsampler(deep)) + self.mean
