"""FSRCNN: Accelerating the Super-Resolution Convolutional Neural Network (Dong et al., 2016)."""

from torch import Tensor, nn

from leansr.lab.nets.network import Network


class Stage(nn.Sequential):
    """x --k x k--PReLU--    one slope for all channels, as in the authors' published networks"""

    def __init__(self, inputs: int, outputs: int, kernel_size: int) -> None:
        conv = nn.Conv2d(inputs, outputs, kernel_size, padding=kernel_size // 2)
        prelu = nn.PReLU()
        nn.init.kaiming_normal_(conv.weight, a=prelu.weight.item())
        nn.init.zeros_(conv.get_parameter("bias"))
        super().__init__(conv, prelu)


class FSRCNN(Network):
    """FSRCNN, luma `(N, 1, H, W)` in [0, 1] to `(N, 1, scale * H, scale * W)`, not clipped.

    lr --5 x 5--1 x 1--[3 x 3] x mappings--1 x 1--9 x 9 deconvolution-- sr    (Figure 2)
         extract shrink      map          expand        stride scale

    A PReLU after each but the last. `channels`, `shrunk`, `mappings` are the paper's d, s, m.
    Zero padding, as in training; the deconvolution puts the middle of its kernel on the first of
    the pixels that an LR pixel becomes, as the authors' code does.
    """

    def __init__(self, *, channels: int, shrunk: int, mappings: int, scale: int) -> None:
        super().__init__()
        self.extract = Stage(1, channels, 5)
        self.shrink = Stage(channels, shrunk, 1)
        self.map = nn.Sequential(*[Stage(shrunk, shrunk, 3) for _ in range(mappings)])
        self.expand = Stage(shrunk, channels, 1)
        self.upscale = nn.ConvTranspose2d(
            channels, 1, 9, stride=scale, padding=4, output_padding=scale - 1
        )
        nn.init.normal_(self.upscale.weight, std=0.001)
        nn.init.zeros_(self.upscale.get_parameter("bias"))

    def forward(self, lr: Tensor) -> Tensor:
        features = self.shrink(self.extract(lr))
        features = self.expand(self.map(features))
        sr: Tensor = self.upscale(features)
        return sr
