"""DRCN: Deeply-Recursive Convolutional Network for Image Super-Resolution (Kim et al., 2016)."""

import torch
from torch import Tensor, nn

from leansr.lab.nets.bicubic import Bicubic
from leansr.lab.nets.collapse import identity
from leansr.lab.nets.network import Network
from leansr.lab.nets.vdsr import he_convolution


class DRCN(Network):
    """DRCN, luma `(N, 1, H, W)` in [0, 1] to `(N, 1, scale * H, scale * W)`, not clipped.

    lr --bicubic--x--embed--infer--+--infer--+-- ... --infer--+          (Figure 3a)
                                   |         |                |
                              reconstruct reconstruct    reconstruct
                                   |         |                |
                                 (+ x)     (+ x)            (+ x)
                                   |_________|________________|__average-- sr

    embed:       --3 x 3, ReLU--3 x 3, ReLU--
    infer:       --3 x 3, ReLU--           the same weights at each of the `recursions`
    reconstruct: --3 x 3, ReLU--3 x 3--    the same weights for each of the predictions

    The average of the predictions is learnt, its weights not tied to a sum of 1 (section 3.2);
    `recursions` is the paper's D. The Multi-Adds in print, 9788.7 G, count the reconstruction once.
    """

    def __init__(self, *, channels: int, recursions: int, scale: int) -> None:
        super().__init__()
        self.recursions = recursions
        self.upscale = Bicubic(scale=scale)
        self.embed = nn.Sequential(
            he_convolution(1, channels), nn.ReLU(), he_convolution(channels, channels), nn.ReLU()
        )
        recursive = he_convolution(channels, channels)
        # The recursion starts as the identity, lest its 16th power explode or vanish.
        with torch.no_grad():
            recursive.weight.copy_(identity(channels, 3))
        self.infer = nn.Sequential(recursive, nn.ReLU())
        self.reconstruct = nn.Sequential(
            he_convolution(channels, channels), nn.ReLU(), he_convolution(channels, 1)
        )
        self.average = nn.Conv2d(recursions, 1, 1, bias=False)
        nn.init.constant_(self.average.weight, 1 / recursions)

    def forward(self, lr: Tensor) -> Tensor:
        x = self.upscale(lr)
        features = self.embed(x)
        predictions = []
        for _ in range(self.recursions):
            features = self.infer(features)
            predictions.append(self.reconstruct(features) + x)
        sr: Tensor = self.average(torch.cat(predictions, dim=1))
        return sr
