"""IMDN: Lightweight Image Super-Resolution with Information Multi-distillation Network
(Hui et al., 2019), and the simplified network that NTIRE 2022 took as a baseline."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from leansr.lab.nets.network import Network, Published


class CCA(nn.Module):
    """Contrast-aware channel attention, over the whole picture.

    x --+--mean + standard deviation, a channel--1 x 1, ReLU, 1 x 1, sigmoid--(*)--
        |_____________________________________________________________________|
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.weigh = nn.Sequential(
            nn.Conv2d(channels, channels // reduction, 1),
            nn.ReLU(),
            nn.Conv2d(channels // reduction, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        mean = self.mean(x)
        contrast = (x - mean).square().mean(dim=(2, 3), keepdim=True).sqrt()
        return x * self.weigh(contrast + mean)


class IMDB(nn.Module):
    """Information multi-distillation block.

    x --+--3 x 3, act--+--3 x 3, act--+--3 x 3, act--+--3 x 3--+
        |              |1/4           |1/4           |1/4      |
        |              |______________|______________|_________|
        |                      concat, attention, 1 x 1--(+)--
        |_________________________________________________|

    Of each output the first quarter of the channels is kept, the rest goes on.
    """

    def __init__(self, channels: int, attention: nn.Module) -> None:
        super().__init__()
        self.kept = channels // 4
        self.passed = channels - self.kept
        self.refine = nn.ModuleList(
            [nn.Conv2d(inputs, channels, 3, padding=1) for inputs in (channels, *[self.passed] * 2)]
        )
        self.last = nn.Conv2d(self.passed, self.kept, 3, padding=1)
        self.activation = nn.LeakyReLU(0.05)
        self.attention = attention
        self.condense = nn.Conv2d(4 * self.kept, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        coarse, distilled = x, []
        for refine in self.refine:
            refined = self.activation(refine(coarse))
            kept, coarse = refined.split((self.kept, self.passed), dim=1)
            distilled.append(kept)
        distilled.append(self.last(coarse))
        return self.condense(self.attention(torch.cat(distilled, dim=1))) + x


class IMDN(Network):
    """IMDN, RGB `(N, 3, H, W)` in [0, 1] to `(N, 3, scale * H, scale * W)`, not clipped.

    lr --3 x 3--+--IMDB--+--IMDB-- ... --+
                |        |_______________|
                |     concat, 1 x 1, act, 3 x 3--(+)--3 x 3, shuffle-- sr
                |_________________________________|
    """

    def __init__(self, *, channels: int, blocks: int, scale: int) -> None:
        super().__init__()
        self.shallow = nn.Conv2d(3, channels, 3, padding=1)
        self.blocks = nn.ModuleList(
            [IMDB(channels, CCA(channels, reduction=16)) for _ in range(blocks)]
        )
        self.fuse = nn.Sequential(nn.Conv2d(blocks * channels, channels, 1), nn.LeakyReLU(0.05))
        self.refine = nn.Conv2d(channels, channels, 3, padding=1)
        self.upsample = nn.Sequential(
            nn.Conv2d(channels, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale)
        )

    def forward(self, lr: Tensor) -> Tensor:
        shallow = x = self.shallow(lr)
        features = []
        for block in self.blocks:
            x = block(x)
            features.append(x)
        deep = self.refine(self.fuse(torch.cat(features, dim=1))) + shallow
        return self.upsample(deep)


class SimplifiedIMDN(Network):
    """The baseline of NTIRE 2022: no channel attention, and only the last block's output goes on.

    lr --3 x 3--+--IMDB x blocks--3 x 3--(+)--3 x 3, shuffle-- sr
                |_________________________|

    RGB `(N, 3, H, W)` in [0, 1] to `(N, 3, scale * H, scale * W)`, not clipped.
    """

    published: ClassVar[tuple[Published, ...]] = (
        Published(
            renames=(
                (r"^shallow\.", "model.0."),
                (r"^upsample\.0\.", "model.2."),
                (r"^deep\.(\d+)\.", r"model.1.sub.\1."),
                (r"\.refine\.0\.", ".conv1.0."),
                (r"\.refine\.1\.", ".conv2.0."),
                (r"\.refine\.2\.", ".conv3.0."),
                (r"\.last\.", ".conv4."),
                (r"\.condense\.", ".conv1x1."),
            ),
        ),
    )

    def __init__(self, *, channels: int, blocks: int, scale: int) -> None:
        super().__init__()
        self.shallow = nn.Conv2d(3, channels, 3, padding=1)
        self.deep = nn.Sequential(
            *[IMDB(channels, nn.Identity()) for _ in range(blocks)],
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        self.upsample = nn.Sequential(
            nn.Conv2d(channels, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale)
        )

    def forward(self, lr: Tensor) -> Tensor:
        shallow = self.shallow(lr)
        return self.upsample(self.deep(shallow) + shallow)
