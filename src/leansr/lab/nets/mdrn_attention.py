"""MDRN's attention, spatial and over channels, and the steps to it that its tables ablate."""

from collections.abc import Callable, Sequence
from functools import partial, reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Make = Callable[[int], nn.Module]


class BSConvU(nn.Module):
    """Blueprint separable convolution: 1 x 1 without bias, 3 x 3 depthwise (MDRN, Figure 6a).

    The depthwise convolution pads by reflection, so both sides must be 2 pixels or more.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.depthwise = nn.Conv2d(
            outputs, outputs, 3, stride, padding=1, groups=outputs, padding_mode="reflect"
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.depthwise(self.pointwise(x))


class Residual(nn.Sequential):
    """The layers in a row, plus what they see."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x


class LocalVariance(nn.Module):
    """Unbiased variance of 7 x 7 windows every 3 pixels, reflection of 1 (MDRN, section 3.2).

    Gives the size that the 7 x 7 max-pooling beside it gives.
    """

    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
        mean = F.avg_pool2d(padded, 7, 3)
        return (F.avg_pool2d(padded.square(), 7, 3) - mean.square()) * (49 / 48)


class Dispersion(nn.Module):
    """A dispersion branch (MDRN, Figure 4).

    x--squeezes, added up--group--bilinear to the size of x--
    """

    def __init__(self, squeezes: Sequence[nn.Module], group: nn.Module) -> None:
        super().__init__()
        self.squeezes = nn.ModuleList(squeezes)
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        squeezed = reduce(torch.add, [squeeze(x) for squeeze in self.squeezes])
        return F.interpolate(
            self.group(squeezed), x.shape[-2:], mode="bilinear", align_corners=False
        )


def level(channels: int, pools: Sequence[nn.Module]) -> Dispersion:
    """One level of MDSA: a strided BSConvU before each pooling, a group of two BSConvU."""
    squeezes = [nn.Sequential(BSConvU(channels, channels, stride=2), pool) for pool in pools]
    group = nn.Sequential(BSConvU(channels, channels), nn.GELU(), BSConvU(channels, channels))
    return Dispersion(squeezes, group)


def d3(channels: int) -> Dispersion:
    """The branch D3."""
    return level(channels, [nn.MaxPool2d(3, 3, padding=1)])


def d5(channels: int) -> Dispersion:
    """The branch D5."""
    return level(channels, [nn.MaxPool2d(5, 3)])


def d7(channels: int) -> Dispersion:
    """The branch D7."""
    return level(channels, [nn.MaxPool2d(7, 3, padding=1)])


def d7_variance(channels: int) -> Dispersion:
    """The branch D7 with the local variance (the paper's L-var), which shares its group."""
    return level(channels, [nn.MaxPool2d(7, 3, padding=1), LocalVariance()])


def d7_deep(channels: int) -> Dispersion:
    """The branch of BSRN's ESA: a plain strided convolution, a group of three BSConvU."""
    squeeze = nn.Sequential(nn.Conv2d(channels, channels, 3, stride=2), nn.MaxPool2d(7, 3))
    group = nn.Sequential(
        BSConvU(channels, channels),
        nn.GELU(),
        BSConvU(channels, channels),
        nn.GELU(),
        BSConvU(channels, channels),
    )
    return Dispersion([squeeze], group)


def refinement(channels: int) -> nn.Conv2d:
    """The refinement branch."""
    return nn.Conv2d(channels, channels, 1)


class SpatialGate(nn.Module):
    """x weighed by pixel and channel (MDRN, Figure 6c and equations 1 to 3).

    x--+--1 x 1, C -> C/4--branches, added up--1 x 1, C/4 -> C--sigmoid--(*)--
       |__________________________________________________________________|
    """

    def __init__(self, channels: int, branches: Sequence[Make]) -> None:
        super().__init__()
        reduced = channels // 4
        self.reduce = nn.Conv2d(channels, reduced, 1)
        self.branches = nn.ModuleList([branch(reduced) for branch in branches])
        self.expand = nn.Conv2d(reduced, channels, 1)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.reduce(x)
        attention = reduce(torch.add, [branch(reduced) for branch in self.branches])
        return x * self.sigmoid(self.expand(attention))


def mdsa(channels: int, branches: Sequence[Make]) -> Residual:
    """Multi-level dispersion spatial attention with these of its branches."""
    return Residual(SpatialGate(channels, branches))


class CCA(nn.Module):
    """Contrast-aware channel attention (MDRN, Figure 6d).

    x--+--deviation + mean over the image--1 x 1, C -> C/16--ReLU--1 x 1--sigmoid--(*)--
       |____________________________________________________________________________|
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        # A module, because the paper's Multi-Adds count its inputs.
        self.average = nn.AdaptiveAvgPool2d(1)
        self.squeeze = nn.Conv2d(channels, channels // 16, 1)
        self.activation = nn.ReLU()
        self.excite = nn.Conv2d(channels // 16, channels, 1)
        self.sigmoid = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        mean = self.average(x)
        deviation = (x - mean).square().mean(dim=(-2, -1), keepdim=True).sqrt()
        squeezed = self.activation(self.squeeze(deviation + mean))
        return x * self.sigmoid(self.excite(squeezed))


def depthwise(channels: int) -> nn.Conv2d:
    """ECCA's depthwise convolution, which pads with zeros."""
    return nn.Conv2d(channels, channels, 3, padding=1, groups=channels)


def ecca(channels: int) -> Residual:
    """Enhanced contrast-aware channel attention (MDRN, Figure 5c and equation 4)."""
    pointwise = nn.Conv2d(channels, channels, 1)
    return Residual(pointwise, nn.GELU(), CCA(channels), depthwise(channels))


def cca_lr(channels: int) -> Residual:
    """CCA behind a residual block of ECCA's layers, all of it residual (MDRN, Figure 5b).

    The order is that of RCAN's block, which the paper starts from.
    """
    shallow = Residual(nn.Conv2d(channels, channels, 1), depthwise(channels))
    return Residual(shallow, nn.GELU(), CCA(channels))


# The rows of Tables 1, 2 and 4, and the two that have no spatial attention or MDRN's own.
SPATIAL: dict[str, Make] = {
    "none": nn.Identity,
    "esa": partial(SpatialGate, branches=(d7_deep, refinement)),
    "d7": partial(mdsa, branches=(d7, refinement)),
    "d7-d5": partial(mdsa, branches=(d5, d7, refinement)),
    "d7-d5-d3": partial(mdsa, branches=(d3, d5, d7, refinement)),
    "refinement": partial(mdsa, branches=(refinement,)),
    "dispersion": partial(mdsa, branches=(d3, d5, d7_variance)),
    "mdsa": partial(mdsa, branches=(d3, d5, d7_variance, refinement)),
}
# The rows of Tables 1 and 3.
CHANNEL: dict[str, Make] = {
    "none": nn.Identity,
    "cca": CCA,
    "cca-lr": cca_lr,
    "ecca": ecca,
}
