"""MSRResNet: SRResNet without batch normalisation, the oldest baseline of the NTIRE challenges on
efficient super-resolution."""

import torch.nn.functional as F
from torch import Tensor, nn

from leansr.lab.nets.network import Network


class Residual(nn.Module):
    """x --3 x 3--ReLU--3 x 3--(+)--
    |_______________________|
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + x


class MSRResNet(Network):
    """MSRResNet, RGB `(N, 3, H, W)` in [0, 1] to `(N, 3, 4 * H, 4 * W)`, not clipped.

    lr --+--3 x 3, act--residual x blocks--[3 x 3--depth to space 2--act] x 2--+
         |                                             3 x 3, act--3 x 3--(+)-- sr
         |___________________________ bilinear ____________________________|

    act is LeakyReLU 0.1. Within a block it is ReLU.
    """

    def __init__(self, *, channels: int, blocks: int, scale: int) -> None:
        super().__init__()
        if scale != 4:
            raise ValueError(f"the challenge's MSRResNet is for x4, not x{scale}")
        self.scale = scale
        self.head = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.LeakyReLU(0.1))
        self.body = nn.Sequential(*[Residual(channels) for _ in range(blocks)])
        upsampler: list[nn.Module] = []
        for _ in range(2):
            conv = nn.Conv2d(channels, 4 * channels, 3, padding=1)
            upsampler += [conv, nn.PixelShuffle(2), nn.LeakyReLU(0.1)]
        self.upsampler = nn.Sequential(*upsampler)
        self.tail = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(channels, 3, 3, padding=1),
        )

    def forward(self, lr: Tensor) -> Tensor:
        residual = self.tail(self.upsampler(self.body(self.head(lr))))
        bilinear = F.interpolate(lr, scale_factor=self.scale, mode="bilinear", align_corners=False)
        return residual + bilinear
