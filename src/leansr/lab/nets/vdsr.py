"""VDSR: Accurate Image Super-Resolution Using Very Deep Convolutional Networks (Kim, 2016)."""

from torch import Tensor, nn

from leansr.lab.nets.bicubic import Bicubic
from leansr.lab.nets.network import Network


def he_convolution(inputs: int, outputs: int) -> nn.Conv2d:
    """3 x 3, zero padding, started for ReLU as He et al. (2015) say."""
    conv = nn.Conv2d(inputs, outputs, 3, padding=1)
    nn.init.kaiming_normal_(conv.weight)
    nn.init.zeros_(conv.get_parameter("bias"))
    return conv


class VDSR(Network):
    """VDSR, luma `(N, 1, H, W)` in [0, 1] to `(N, 1, scale * H, scale * W)`, not clipped.

    lr --bicubic--+--[3 x 3, ReLU] x (layers - 1)--3 x 3--(+)-- sr    (Figure 2)
                  |________________________________________|

    `layers` is the paper's depth d; zero padding before every convolution (section 3.1).
    """

    def __init__(self, *, channels: int, layers: int, scale: int) -> None:
        super().__init__()
        self.upscale = Bicubic(scale=scale)
        self.body = nn.Sequential()
        for inputs in [1] + [channels] * (layers - 2):
            self.body.extend([he_convolution(inputs, channels), nn.ReLU()])
        self.last = he_convolution(channels, 1)

    def forward(self, lr: Tensor) -> Tensor:
        x = self.upscale(lr)
        sr: Tensor = self.last(self.body(x)) + x
        return sr
