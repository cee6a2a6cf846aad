"""LatticeNet: Towards Lightweight Image Super-resolution with Lattice Block (Luo et al., 2020)."""

import torch
from torch import Tensor, nn

from leansr.lab.nets.network import Network

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)


class Combination(nn.Module):
    """x times its combination coefficient, one a channel.

    x --+--mean over H, W----------------1 x 1, to C/16--ReLU--1 x 1, to C--sigmoid--+
        |--standard deviation over H, W--1 x 1, to C/16--ReLU--1 x 1, to C--sigmoid--mean--(*)--
        |___________________________________________________________________________________|
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)

        def branch() -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(channels, channels // reduction, 1),
                nn.ReLU(),
                nn.Conv2d(channels // reduction, channels, 1),
                nn.Sigmoid(),
            )

        self.by_mean = branch()
        self.by_deviation = branch()

    def forward(self, x: Tensor) -> Tensor:
        mean = self.pool(x)
        deviation = (x - mean).square().mean(dim=(2, 3), keepdim=True).sqrt()
        return x * ((self.by_mean(mean) + self.by_deviation(deviation)) / 2)


class LatticeBlock(nn.Module):
    """Lattice block: two butterflies, each with a residual branch of its own.

    x --+--[H]--h--+--(p = x + A h)--[G]--g--+--(g + A' q)--concat--1 x 1--
        |          |                         |                |
        |__________|--(q = h + B x)__________|--(q + B' g)____|

    G, H: 3 x 3 three times, `inner` channels between, each with its activation. A, B, A', B' are
    combination coefficients, each of what it weighs.
    """

    def __init__(self, channels: int, inner: int, reduction: int) -> None:
        super().__init__()

        def branch() -> nn.Sequential:
            layers: list[nn.Module] = []
            for inputs, outputs in ((channels, inner), (inner, inner), (inner, channels)):
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.LeakyReLU(0.05)]
            return nn.Sequential(*layers)

        self.first, self.second = branch(), branch()
        self.first_to_upper = Combination(channels, reduction)
        self.upper_to_lower = Combination(channels, reduction)
        self.lower_to_upper = Combination(channels, reduction)
        self.second_to_lower = Combination(channels, reduction)
        self.fuse = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        upper = x + self.first_to_upper(h)
        lower = h + self.upper_to_lower(x)
        g = self.second(upper)
        outputs = [g + self.lower_to_upper(lower), lower + self.second_to_lower(g)]
        return self.fuse(torch.cat(outputs, dim=1))


class BackwardFusion(nn.Module):
    """Backward feature fusion, the last block's output first.

    last------1 x 1, to C/2, ReLU--+
    the one before--1 x 1, to C/2, ReLU--concat--1 x 1, to C/2, ReLU--+
    the one before that----------------------1 x 1, to C/2, ReLU--concat-- ...
    """

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()

        def halve() -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(channels, channels // 2, 1), nn.ReLU())

        self.fused = nn.ModuleList([halve() for _ in range(blocks - 1)])
        self.earlier = nn.ModuleList([halve() for _ in range(blocks - 1)])

    def forward(self, features: list[Tensor]) -> Tensor:
        *others, x = features
        for fused, earlier, other in zip(self.fused, self.earlier, reversed(others), strict=True):
            x = torch.cat([fused(x), earlier(other)], dim=1)
        return x


class LatticeNet(Network):
    """LatticeNet, RGB `(N, 3, H, W)` in [0, 1] to `(N, 3, scale * H, scale * W)`, not clipped.

    lr -- - mean--3 x 3--3 x 3--+--lattice block--+--lattice block-- ... --+
                                |                 |________________________|
                                |         backward fusion--(+)--3 x 3--3 x 3--shuffle-- + mean-- sr
                                |___________________________|
    """

    mean: Tensor

    def __init__(self, *, channels: int, inner: int, blocks: int, scale: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN)[:, None, None], persistent=False)
        self.head = nn.Sequential(
            nn.Conv2d(3, channels, 3, padding=1), nn.Conv2d(channels, channels, 3, padding=1)
        )
        self.blocks = nn.ModuleList(
            [LatticeBlock(channels, inner, reduction=16) for _ in range(blocks)]
        )
        self.fusion = BackwardFusion(channels, blocks)
        self.upsample = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.Conv2d(channels, 3 * scale**2, 3, padding=1),
            nn.PixelShuffle(scale),
        )

    def forward(self, lr: Tensor) -> Tensor:
        shallow = x = self.head(lr - self.mean)
        features = []
        for block in self.blocks:
            x = block(x)
            features.append(x)
        return self.upsample(self.fusion(features) + shallow) + self.mean
