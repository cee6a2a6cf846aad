"""RFDN: Residual Feature Distillation Network for Lightweight Image Super-Resolution
(Liu et al., 2020), E-RFDN that won AIM 2020 with it, and BSRN's decompositions of E-RFDN."""

from collections.abc import Callable
from functools import partial
from math import ceil
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leansr.lab.nets.bsrn import BSConv, pointwise, pointwise_unbiased
from leansr.lab.nets.imdn import CCA
from leansr.lab.nets.network import Network, Published, from_byte_range

# inputs, outputs, stride=1, padding=1: what stands for a 3 x 3 convolution.
Conv = Callable[..., nn.Module]


def plain(inputs: int, outputs: int, stride: int = 1, padding: int = 1) -> nn.Conv2d:
    """The 3 x 3 convolution itself."""
    return nn.Conv2d(inputs, outputs, 3, stride, padding)


def separable(inputs: int, outputs: int, stride: int = 1, padding: int = 1) -> nn.Sequential:
    """DSConv: 3 x 3 depth-wise, 1 x 1 without bias."""
    depthwise = nn.Conv2d(inputs, inputs, 3, stride, padding, groups=inputs)
    return nn.Sequential(depthwise, pointwise_unbiased(inputs, outputs))


def subspace_point(inputs: int, outputs: int) -> nn.Sequential:
    """BSConv-S: the 1 x 1 of BSConv through half the channels (Haase and Amthor 2020).

    The ratio is not stated in BSRN. This is the largest that BSConv admits.
    """
    middle = ceil(inputs / 2)
    return nn.Sequential(pointwise_unbiased(inputs, middle), pointwise_unbiased(middle, outputs))


# BSRN, Table 1. The biases are those that meet its numbers of parameters.
CONVOLUTIONS: dict[str, Conv] = {
    "plain": plain,
    "dsconv": separable,
    "bsconvs": partial(BSConv, point=subspace_point),
    "bsconvu": partial(BSConv, point=pointwise),
}


class ESA(nn.Module):
    """Enhanced spatial attention (RFANet, Liu et al. 2020).

    x --+--1 x 1--+--shrink--group--resize--(+)--1 x 1, sigmoid--(*)--
        |         |__1 x 1___________________|                    |
        |_________________________________________________________|

    shrink: 3 x 3 / 2, max 7 x 7 / 3, without padding, so a side has at least 15 pixels;
    group: 3 x 3, ReLU, 3 x 3, ReLU, 3 x 3; resize: bilinear.
    """

    def __init__(self, channels: int, conv: Conv) -> None:
        super().__init__()
        narrow = channels // 4
        self.squeeze = pointwise(channels, narrow)
        self.skip = pointwise(narrow, narrow)
        self.shrink = nn.Sequential(
            conv(narrow, narrow, stride=2, padding=0), nn.MaxPool2d(7, stride=3)
        )
        self.group = nn.Sequential(
            conv(narrow, narrow), nn.ReLU(), conv(narrow, narrow), nn.ReLU(), conv(narrow, narrow)
        )
        self.excite = nn.Sequential(pointwise(narrow, channels), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.squeeze(x)
        wide = self.group(self.shrink(squeezed))
        wide = F.interpolate(wide, x.shape[-2:], mode="bilinear", align_corners=False)
        return x * self.excite(wide + self.skip(squeezed))


class RFDB(nn.Module):
    """Residual feature distillation block, as E-RFDN has it: it does not add its input.

    x --+--SRB--+--SRB--+--SRB--+    SRB: --+--3 x 3--(+)--act--
        |       |       |       |           |__________|
      1 x 1,  1 x 1,  1 x 1,  3 x 3,
       act     act     act     act
        |_______|_______|_______|
           concat, 1 x 1, attention
    """

    def __init__(self, channels: int, attention: nn.Module, conv: Conv) -> None:
        super().__init__()
        self.distill = nn.ModuleList([pointwise(channels, channels // 2) for _ in range(3)])
        self.refine = nn.ModuleList([conv(channels, channels) for _ in range(3)])
        self.last = conv(channels, channels // 2)
        self.activation = nn.LeakyReLU(0.05)
        self.condense = pointwise(channels // 2 * 4, channels)
        self.attention = attention

    def forward(self, x: Tensor) -> Tensor:
        distilled = []
        for distill, refine in zip(self.distill, self.refine, strict=True):
            distilled.append(self.activation(distill(x)))
            x = self.activation(refine(x) + x)
        distilled.append(self.activation(self.last(x)))
        return self.attention(self.condense(torch.cat(distilled, dim=1)))


class ResidualRFDB(RFDB):
    """The same block, as the paper draws it: it adds its input."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x


class FeatureDistillation(Network):
    """What RFDN and E-RFDN share, made of `blocks`, each `channels` to `channels`.

    lr --conv--+--block--+--block-- ... --+
               |         |________________|
               |      concat, 1 x 1, act, conv--(+)--3 x 3, shuffle-- sr
               |_________________________________|
    """

    def __init__(self, blocks: list[nn.Module], channels: int, conv: Conv, scale: int) -> None:
        super().__init__()
        self.shallow = conv(3, channels)
        self.blocks = nn.ModuleList(blocks)
        self.fuse = nn.Sequential(pointwise(len(blocks) * channels, channels), nn.LeakyReLU(0.05))
        self.refine = conv(channels, channels)
        self.upsample = nn.Sequential(plain(channels, 3 * scale**2), nn.PixelShuffle(scale))

    def forward(self, lr: Tensor) -> Tensor:
        shallow = x = self.shallow(lr)
        features = []
        for block in self.blocks:
            x = block(x)
            features.append(x)
        deep = self.refine(self.fuse(torch.cat(features, dim=1))) + shallow
        return self.upsample(deep)


class RFDN(FeatureDistillation):
    """The paper's RFDN: blocks that add their input, with CCA.

    RGB `(N, 3, H, W)` in [0, 1] to `(N, 3, scale * H, scale * W)`, not clipped. CCA reduces by 4,
    not by IMDN's 16: only that meets the paper's number of parameters.
    """

    def __init__(self, *, channels: int, blocks: int, scale: int) -> None:
        made: list[nn.Module] = [
            ResidualRFDB(channels, CCA(channels, reduction=4), plain) for _ in range(blocks)
        ]
        super().__init__(made, channels, plain, scale)


class ERFDN(FeatureDistillation):
    """E-RFDN: blocks that do not add their input, with ESA.

    RGB `(N, 3, H, W)` in [0, 1] to `(N, 3, scale * H, scale * W)`, not clipped; H and W at least
    15. `convolution` stands for every 3 x 3 but the last (BSRN, Table 1). The published network
    sees [0, 255].
    """

    published: ClassVar[tuple[Published, ...]] = (
        Published(
            renames=(
                (r"^shallow\.", "fea_conv."),
                (r"^fuse\.", "c."),
                (r"^refine\.", "LR_conv."),
                (r"^upsample\.", "upsampler."),
                *((rf"^blocks\.{i}\.", f"B{i + 1}.") for i in range(4)),
                *((rf"\.distill\.{i}\.", f".c{i + 1}_d.") for i in range(3)),
                *((rf"\.refine\.{i}\.", f".c{i + 1}_r.") for i in range(3)),
                (r"\.last\.", ".c4."),
                (r"\.condense\.", ".c5."),
                (r"\.attention\.squeeze\.", ".esa.conv1."),
                (r"\.attention\.skip\.", ".esa.conv_f."),
                (r"\.attention\.shrink\.0\.", ".esa.conv2."),
                (r"\.attention\.group\.0\.", ".esa.conv_max."),
                (r"\.attention\.group\.2\.", ".esa.conv3."),
                (r"\.attention\.group\.4\.", ".esa.conv3_."),
                (r"\.attention\.excite\.0\.", ".esa.conv4."),
            ),
            values=from_byte_range(head="shallow", tail="upsample.0"),
        ),
    )

    def __init__(
        self,
        *,
        channels: int,
        blocks: int,
        scale: int,
        convolution: Literal["plain", "dsconv", "bsconvs", "bsconvu"] = "plain",
    ) -> None:
        if convolution not in CONVOLUTIONS:
            known = ", ".join(CONVOLUTIONS)
            raise ValueError(f"convolution is one of {known}, not {convolution!r}")
        conv = CONVOLUTIONS[convolution]
        made: list[nn.Module] = [RFDB(channels, ESA(channels, conv), conv) for _ in range(blocks)]
        super().__init__(made, channels, conv, scale)
