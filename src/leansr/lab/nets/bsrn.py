"""BSRN: Blueprint Separable Residual Network for Efficient Image Super-Resolution
(Li et al., 2022)."""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leansr.lab.nets.imdn import CCA
from leansr.lab.nets.network import Network, Published

# What makes a layer, of inputs and outputs where it has any.
Layer = Callable[..., nn.Module]

pointwise = partial(nn.Conv2d, kernel_size=1)
pointwise_unbiased = partial(nn.Conv2d, kernel_size=1, bias=False)

# Table 3. The slope of LeakyReLU is RFDN's, for the paper states none.
ACTIVATIONS: dict[str, Layer] = {
    "gelu": nn.GELU,
    "relu": nn.ReLU,
    "leakyrelu": partial(nn.LeakyReLU, 0.05),
    "hswish": nn.Hardswish,
}


class BSConv(nn.Sequential):
    """x --1 x 1 without bias--3 x 3 depth-wise--    (BSRN, Figure 3g)

    `point` makes another 1 x 1.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int = 1,
        padding: int = 1,
        point: Layer = pointwise_unbiased,
    ) -> None:
        depthwise = nn.Conv2d(outputs, outputs, 3, stride, padding, groups=outputs)
        super().__init__(OrderedDict(pointwise=point(inputs, outputs), depthwise=depthwise))


class ESA(nn.Module):
    """Enhanced spatial attention (BSRN, Figure 3c).

    x --+--1 x 1--+--shrink--group--resize--(+)--1 x 1, sigmoid--(*)--
        |         |__1 x 1___________________|                    |
        |_________________________________________________________|

    shrink: 3 x 3 / 2, max 7 x 7 / 3, without padding, so a side has at least 15 pixels;
    group: conv, act, conv, act, conv; resize: bilinear. `point`, `strided` and `conv` make the
    1 x 1, the 3 x 3 / 2 and the convs.
    """

    def __init__(
        self, channels: int, activation: Layer, point: Layer, strided: Layer, conv: Layer
    ) -> None:
        super().__init__()
        narrow = channels // 4
        self.squeeze = point(channels, narrow)
        self.skip = point(narrow, narrow)
        self.shrink = nn.Sequential(
            strided(narrow, narrow, stride=2, padding=0), nn.MaxPool2d(7, stride=3)
        )
        self.group = nn.Sequential(
            conv(narrow, narrow),
            activation(),
            conv(narrow, narrow),
            activation(),
            conv(narrow, narrow),
        )
        self.excite = nn.Sequential(point(narrow, channels), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.squeeze(x)
        wide = self.group(self.shrink(squeezed))
        wide = F.interpolate(wide, x.shape[-2:], mode="bilinear", align_corners=False)
        return x * self.excite(wide + self.skip(squeezed))


class ESDB(nn.Module):
    """Efficient separable distillation block (BSRN, Figure 3b).

    x --+--BSRB--+--BSRB--+--BSRB--+    BSRB: --+--conv--(+)--act--    (Figure 3f)
        |        |        |        |            |_________|
      1 x 1,   1 x 1,   1 x 1,   conv,
       act      act      act      act
        |________|________|________|
              concat, 1 x 1, spatial attention, channel attention, + x

    `point` and `conv` make the 1 x 1 and the convs.
    """

    def __init__(
        self,
        channels: int,
        activation: Layer,
        point: Layer,
        conv: Layer,
        spatial_attention: nn.Module,
        channel_attention: nn.Module,
    ) -> None:
        super().__init__()
        self.distill = nn.ModuleList([point(channels, channels // 2) for _ in range(3)])
        self.refine = nn.ModuleList([conv(channels, channels) for _ in range(3)])
        self.last = conv(channels, channels // 2)
        self.activation = activation()
        self.condense = point(channels // 2 * 4, channels)
        self.spatial_attention = spatial_attention
        self.channel_attention = channel_attention

    def forward(self, x: Tensor) -> Tensor:
        coarse, distilled = x, []
        for distill, refine in zip(self.distill, self.refine, strict=True):
            distilled.append(self.activation(distill(coarse)))
            coarse = self.activation(refine(coarse) + coarse)
        distilled.append(self.activation(self.last(coarse)))
        condensed = self.condense(torch.cat(distilled, dim=1))
        return self.channel_attention(self.spatial_attention(condensed)) + x


# From our names to the authors', for BSRN and BSRN-S alike.
RENAMES = (
    (r"^shallow\.", "fea_conv."),
    (r"^fuse\.0\.", "c1."),
    (r"^refine\.", "c2."),
    (r"^upsample\.", "upsampler.upsampleOneStep."),
    *((rf"^blocks\.{i}\.", f"B{i + 1}.") for i in range(8)),
    *((rf"\.distill\.{i}\.", f".c{i + 1}_d.") for i in range(3)),
    *((rf"\.refine\.{i}\.", f".c{i + 1}_r.") for i in range(3)),
    (r"\.last\.", ".c4."),
    (r"\.condense\.", ".c5."),
    (r"\.spatial_attention\.squeeze\.", ".esa.conv1."),
    (r"\.spatial_attention\.skip\.", ".esa.conv_f."),
    (r"\.spatial_attention\.shrink\.0\.", ".esa.conv2."),
    (r"\.spatial_attention\.group\.0\.", ".esa.conv_max."),
    (r"\.spatial_attention\.group\.2\.", ".esa.conv3."),
    (r"\.spatial_attention\.group\.4\.", ".esa.conv3_."),
    (r"\.spatial_attention\.excite\.0\.", ".esa.conv4."),
    (r"\.channel_attention\.weigh\.", ".cca.conv_du."),
    (r"\.pointwise\.", ".pw."),
    (r"\.depthwise\.", ".dw."),
)


class BSRN(Network):
    """BSRN, RGB `(N, 3, H, W)` in [0, 1] to `(N, 3, scale * H, scale * W)`, not clipped.

    lr, 4 times--BSConv--+--ESDB--+--ESDB-- ... --+
                         |        |_______________|
                         |     concat, 1 x 1, GELU, BSConv--(+)--3 x 3, shuffle-- sr    (Figure 2)
                         |___________________________________|

    `activation` replaces GELU everywhere (Table 3); without `esa` or `cca` the blocks do without
    that attention (Table 2). CCA's own ReLU stays. With `esa`, H and W are at least 15.
    """

    published: ClassVar[tuple[Published, ...]] = (Published(renames=RENAMES),)

    def __init__(
        self,
        *,
        channels: int,
        blocks: int,
        scale: int,
        activation: Literal["gelu", "relu", "leakyrelu", "hswish"] = "gelu",
        esa: bool = True,
        cca: bool = True,
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation is one of {', '.join(ACTIVATIONS)}, not {activation!r}")
        act = ACTIVATIONS[activation]
        self.shallow = BSConv(4 * 3, channels)
        self.blocks = nn.ModuleList(
            [
                ESDB(
                    channels,
                    act,
                    pointwise,
                    BSConv,
                    ESA(channels, act, pointwise, BSConv, BSConv) if esa else nn.Identity(),
                    CCA(channels, reduction=16) if cca else nn.Identity(),
                )
                for _ in range(blocks)
            ]
        )
        self.fuse = nn.Sequential(pointwise(blocks * channels, channels), act())
        self.refine = BSConv(channels, channels)
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
