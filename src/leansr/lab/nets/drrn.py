"""DRRN: Image Super-Resolution via Deep Recursive Residual Network (Tai et al., 2017)."""

from torch import Tensor, nn

from leansr.lab.nets.bicubic import Bicubic
from leansr.lab.nets.network import Network
from leansr.lab.nets.vdsr import he_convolution


class Activation(nn.Sequential):
    """x --batch normalisation--ReLU--    what stands before each convolution"""

    def __init__(self, channels: int) -> None:
        super().__init__(nn.BatchNorm2d(channels), nn.ReLU())


class DRRN(Network):
    """DRRN with one recursive block, luma `(N, 1, H, W)` in [0, 1], not clipped.

    lr --bicubic--+--act, 3 x 3--+--[residual unit] x units--act, 3 x 3--(+)-- sr    (Figure 4)
                  |              |         |                              |
                  |              |________(+)                             |
                  |_______________________________________________________|

    residual unit: --act, 3 x 3--act, 3 x 3--(+ the first convolution's output)--

    act: batch normalisation, ReLU. The units share their two convolutions (`first`, `second`) and
    nothing else: each has its own normalisations, for the statistics differ from unit to unit. So
    it is in the authors' code, and so the printed parameters are those of the convolutions alone.
    `units` is the paper's U; its B is 1.
    """

    def __init__(self, *, channels: int, units: int, scale: int) -> None:
        super().__init__()
        self.upscale = Bicubic(scale=scale)
        self.head = nn.Sequential(Activation(1), he_convolution(1, channels))
        self.before_first = nn.ModuleList(Activation(channels) for _ in range(units))
        self.first = he_convolution(channels, channels)
        self.before_second = nn.ModuleList(Activation(channels) for _ in range(units))
        self.second = he_convolution(channels, channels)
        self.tail = nn.Sequential(Activation(channels), he_convolution(channels, 1))

    def forward(self, lr: Tensor) -> Tensor:
        x = self.upscale(lr)
        start = self.head(x)
        features = start
        for before_first, before_second in zip(self.before_first, self.before_second, strict=True):
            middle = self.first(before_first(features))
            features = self.second(before_second(middle)) + start
        sr: Tensor = self.tail(features) + x
        return sr
