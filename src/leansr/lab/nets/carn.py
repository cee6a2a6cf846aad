"""CARN and CARN-M: Fast, Accurate, and Lightweight Super-Resolution with Cascading Residual
Network (Ahn et al., 2018)."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from leansr.lab.nets.network import Network

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)


class Residual(nn.Module):
    """Residual block, ReLU after the addition too.

    x --3 x 3--ReLU--3 x 3--(+)--ReLU--
     |_______________________|
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.body(x) + x)


class EfficientResidual(Residual):
    """CARN-M's efficient residual block: grouped convolutions, then a point-wise one.

    x --3 x 3, 4 groups--ReLU--3 x 3, 4 groups--ReLU--1 x 1--(+)--ReLU--
     |________________________________________________________|
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, groups=4),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, groups=4),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 1),
        )


class Cascade(nn.Module):
    """The cascading mechanism: three stages, each output joined to all before it.

    x --+--stage--+--1 x 1, ReLU--+--stage--+--1 x 1, ReLU--+--stage--+--1 x 1, ReLU--
        |_________|_________________________|_________________________|

    The lower line is the input and the stages' outputs, concatenated. A single stage is applied
    three times with its weights shared.
    """

    def __init__(self, channels: int, *stages: nn.Module) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.fusions = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(joined * channels, channels, 1), nn.ReLU())
                for joined in (2, 3, 4)
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        joined = x
        for turn, fuse in enumerate(self.fusions):
            stage = self.stages[turn % len(self.stages)]
            joined = torch.cat([joined, stage(x)], dim=1)
            x = fuse(joined)
        return x


def cascading_block(channels: int) -> Cascade:
    """The cascading block of CARN."""
    return Cascade(channels, *[Residual(channels) for _ in range(3)])


def recursive_block(channels: int) -> Cascade:
    """The cascading block of CARN-M, its one residual block recursive."""
    return Cascade(channels, EfficientResidual(channels))


Form = Literal["carn", "carn-m"]
# The cascading block, and the groups of the upsampler's convolutions.
FORMS: dict[Form, tuple[Callable[[int], Cascade], int]] = {
    "carn": (cascading_block, 1),
    "carn-m": (recursive_block, 4),
}


class CARN(Network):
    """CARN, RGB `(N, 3, H, W)` in [0, 1] to `(N, 3, scale * H, scale * W)`, not clipped.

    lr -- - mean--3 x 3--cascade of 3 cascading blocks--upsampler--3 x 3-- + mean-- sr

    upsampler: [3 x 3--ReLU--depth to space], x4 twice by 2

    The paper's network holds the upsamplers of all scales and is trained on all of them at once;
    this one holds its own alone.
    """

    mean: Tensor

    def __init__(self, *, form: Form, channels: int, scale: int) -> None:
        super().__init__()
        if scale not in (2, 3, 4):
            raise ValueError(f"CARN is drawn for x2, x3 and x4, not x{scale}")
        block, groups = FORMS[form]
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN)[:, None, None], persistent=False)
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.body = Cascade(channels, *[block(channels) for _ in range(3)])
        upsampler: list[nn.Module] = []
        for factor in [2, 2] if scale == 4 else [scale]:
            upsampler += [
                nn.Conv2d(channels, channels * factor**2, 3, padding=1, groups=groups),
                nn.ReLU(),
                nn.PixelShuffle(factor),
            ]
        self.upsampler = nn.Sequential(*upsampler)
        self.tail = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, lr: Tensor) -> Tensor:
        deep = self.body(self.head(lr - self.mean))
        return self.tail(self.upsampler(deep)) + self.mean
