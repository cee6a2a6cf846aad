"""LapSRN: Deep Laplacian Pyramid Networks for Fast and Accurate Super-Resolution (Lai, 2017)."""

import torch
from torch import Tensor, nn

from leansr.lab.nets.network import Network
from leansr.lab.nets.vdsr import he_convolution


def bilinear() -> nn.ConvTranspose2d:
    """Doubles a picture's sides; starts as bilinear interpolation (section 3.1), then is learnt."""
    conv = nn.ConvTranspose2d(1, 1, 4, stride=2, padding=1, bias=False)
    taps = torch.tensor([0.25, 0.75, 0.75, 0.25])
    with torch.no_grad():
        conv.weight[0, 0] = torch.outer(taps, taps)
    return conv


class Level(nn.Module):
    """One level of the pyramid: features and picture to those of twice the sides (Figure 1).

    features --[3 x 3, act] x depth--3 x 3 deconvolution, act--+-- features
                                                               |
                                                             3 x 3
                                                               |
    picture  --4 x 4 deconvolution----------------------------(+)-- picture
    """

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.embed = nn.Sequential()
        for _ in range(depth):
            self.embed.extend([he_convolution(channels, channels), nn.LeakyReLU(0.2)])
        # Of the 2 H + 1 rows that it makes this drops the first, the authors the last: mirrored.
        double = nn.ConvTranspose2d(channels, channels, 3, stride=2, padding=1, output_padding=1)
        nn.init.kaiming_normal_(double.weight)
        nn.init.zeros_(double.get_parameter("bias"))
        self.upscale_features = nn.Sequential(double, nn.LeakyReLU(0.2))
        self.residual = he_convolution(channels, 1)
        self.upscale_picture = bilinear()

    def forward(self, features: Tensor, picture: Tensor) -> tuple[Tensor, Tensor]:
        features = self.upscale_features(self.embed(features))
        return features, self.upscale_picture(picture) + self.residual(features)


class LapSRN(Network):
    """LapSRN, luma `(N, 1, H, W)` in [0, 1] to `(N, 1, scale * H, scale * W)`, not clipped.

    lr --3 x 3, act--+--level-- ... --level--+
     |_______________|__level-- ... --level--+-- sr    (Figure 1)

    act: leaky ReLU of slope 0.2. One level doubles the sides, so there is no x3 network: the
    authors' x3 is their x4 shrunk. `depth` is the paper's d, the convolutions of a level. The
    features' deconvolution is 3 x 3 as in the authors' code: that has the 813 K in print for x4.
    """

    def __init__(self, *, channels: int, depth: int, scale: int) -> None:
        super().__init__()
        if scale not in (2, 4):
            raise ValueError(f"LapSRN doubles the sides at each level: x2 and x4, not x{scale}")
        self.first = nn.Sequential(he_convolution(1, channels), nn.LeakyReLU(0.2))
        self.levels = nn.ModuleList(Level(channels, depth) for _ in range(scale // 2))

    def forward(self, lr: Tensor) -> Tensor:
        features, picture = self.first(lr), lr
        for level in self.levels:
            features, picture = level(features, picture)
        return picture
