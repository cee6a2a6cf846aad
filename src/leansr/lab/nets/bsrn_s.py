"""BSRN-S, the winner of NTIRE 2022's model complexity track (Li et al., 2022, section 4.1)."""

from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from leansr.lab.nets.bsrn import ESA, ESDB, RENAMES, BSConv
from leansr.lab.nets.collapse import Kernel, kernel_of
from leansr.lab.nets.network import Network, Published


class Pointwise(nn.Linear):
    """A linear layer over the channels of `(N, C, H, W)`: a 1 x 1 convolution in other clothes."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)

    def collapse(self) -> nn.Conv2d:
        """The 1 x 1 convolution equal to this layer."""
        return kernel_of(self).convolution()


class ChannelWeight(nn.Module):
    """x --each channel times its weight--1 x 1--    (BSRN, Figure 3d)

    It stands where BSRN has CCA.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        # The paper gives no start; this is the one in the authors' code.
        self.weight = nn.Parameter(torch.normal(1.0, 0.2, (1, channels)))
        self.mix = Pointwise(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(x * self.weight[..., None, None])

    def collapse(self) -> nn.Conv2d:
        """The 1 x 1 convolution with the weights in it."""
        scale = Kernel(
            torch.diag(self.weight[0])[..., None, None], torch.zeros_like(self.weight[0])
        )
        return scale.then(kernel_of(self.mix)).convolution()


Blueprint = partial(BSConv, point=Pointwise)


class BSRNS(Network):
    """BSRN-S, RGB `(N, 3, H, W)` in [0, 1] to `(N, 3, scale * H, scale * W)`, not clipped.

    BSRN's figure, with these differences from it: each 1 x 1 is a linear layer and has a bias,
    that of BSConv too; `ChannelWeight` in place of CCA; the strided convolution of ESA is a plain
    3 x 3. The deploy form, the paper's BSRN-S-opt (Table 7), has no linear layers and no channel
    weights. H and W are at least 15.
    """

    published: ClassVar[tuple[Published, ...]] = (
        Published(
            renames=(
                (r"\.channel_attention\.weight$", ".cw"),
                (r"\.channel_attention\.mix\.", ".conv_out."),
                *RENAMES,
            )
        ),
    )

    def __init__(self, *, channels: int, blocks: int, scale: int) -> None:
        super().__init__()
        strided = partial(nn.Conv2d, kernel_size=3)
        self.shallow = Blueprint(4 * 3, channels)
        self.blocks = nn.ModuleList(
            [
                ESDB(
                    channels,
                    nn.GELU,
                    Pointwise,
                    Blueprint,
                    ESA(channels, nn.GELU, Pointwise, strided, Blueprint),
                    ChannelWeight(channels),
                )
                for _ in range(blocks)
            ]
        )
        self.fuse = nn.Sequential(Pointwise(blocks * channels, channels), nn.GELU())
        self.refine = Blueprint(channels, channels)
        self.upsample = nn.Sequential(
            nn.Conv2d(channels, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale)
        )

    def forward(self, lr: Tensor) -> Tensor:
        shallow = x = self.shallow(torch.cat([lr] * 4, dim=1))
        features = []
        for block in self.blocks:
            x = block(x)
            features.append(x)
        deep = self.refine(self.fuse(torch.cat(features, dim=1))) + shallow
        return self.upsample(deep)
