"""SRCNN: Image Super-Resolution Using Deep Convolutional Networks (Dong et al., 2016)."""

from torch import Tensor, nn

from leansr.lab.nets.bicubic import Bicubic
from leansr.lab.nets.network import Network


def started(conv: nn.Conv2d) -> nn.Conv2d:
    nn.init.normal_(conv.weight, std=0.001)
    nn.init.zeros_(conv.get_parameter("bias"))
    return conv


class SRCNN(Network):
    """SRCNN 9-1-5, luma `(N, 1, H, W)` in [0, 1] to `(N, 1, scale * H, scale * W)`, not clipped.

    lr --bicubic--9 x 9, ReLU--1 x 1, ReLU--5 x 5-- sr    (Figure 2)

    The edge is repeated, as in the authors' code for pictures; they train without padding. Papers
    print the 8 K parameters of this network beside the 52.7 G of its 9-5-5.
    """

    def __init__(self, *, scale: int) -> None:
        super().__init__()
        self.upscale = Bicubic(scale=scale)
        extract = nn.Conv2d(1, 64, 9, padding=4, padding_mode="replicate")
        self.extract = nn.Sequential(started(extract), nn.ReLU())
        self.map = nn.Sequential(started(nn.Conv2d(64, 32, 1)), nn.ReLU())
        self.reconstruct = started(nn.Conv2d(32, 1, 5, padding=2, padding_mode="replicate"))

    def forward(self, lr: Tensor) -> Tensor:
        features = self.map(self.extract(self.upscale(lr)))
        sr: Tensor = self.reconstruct(features)
        return sr
