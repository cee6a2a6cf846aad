"""LAPAR: Linearly-Assembled Pixel-Adaptive Regression Network for Single Image Super-Resolution
and Beyond (Li et al., 2020)."""

import math
from functools import reduce
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leansr.lab.nets.bicubic import Bicubic
from leansr.lab.nets.collapse import Kernel
from leansr.lab.nets.network import Network

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
# Pixels a side of a filter (the paper's k).
SIZE = 5
ANGLES = [math.pi * turn / 8 for turn in range(8)]
SCALES = (0.5, 1.0, 2.0)
# How much wider the subtracted Gaussian of a difference is.
WIDENINGS = (1.5, 2.0)


def gaussian(scale: float, angle: float) -> Tensor:
    """`(SIZE, SIZE)`, sum 1: three times as long as broad, `scale` the geometric mean of both."""
    offsets = torch.arange(SIZE, dtype=torch.float64) - SIZE // 2
    y, x = torch.meshgrid(offsets, offsets, indexing="ij")
    along = math.cos(angle) * x + math.sin(angle) * y
    across = math.cos(angle) * y - math.sin(angle) * x
    values = torch.exp(-(along.square() / 3 + across.square() * 3) / (2 * scale**2))
    return values / values.sum()


def dictionary() -> Tensor:
    """`(72, SIZE, SIZE)`: 24 Gaussians and 48 differences of Gaussians (LAPAR, section 2.3).

    The paper prints no list of scales, rotations and elongations, so this grid is ours. It loses
    nothing: such filters are symmetric about their centre, these span all that are (13
    dimensions), and one dictionary's coefficients are a linear map of another's, which the
    convolution that yields them can hold.
    """
    gaussians = [gaussian(scale, angle) for scale in SCALES for angle in ANGLES]
    differences = [
        gaussian(scale, angle) - gaussian(scale * widening, angle)
        for widening in WIDENINGS
        for scale in SCALES
        for angle in ANGLES
    ]
    return torch.stack(gaussians + differences).float()


class NormedConv(nn.Conv2d):
    """A convolution with weight normalisation: each output's kernel is gain * v / |v|.

    Zero padding keeps the size. Starts as the plain convolution does.
    """

    def __init__(self, inputs: int, outputs: int, kernel_size: int) -> None:
        super().__init__(inputs, outputs, kernel_size, padding=kernel_size // 2)
        self.gain = nn.Parameter(self.norm().detach().clone())

    def norm(self) -> Tensor:
        return self.weight.square().sum(dim=(1, 2, 3), keepdim=True).sqrt()

    def kernel(self) -> Kernel:
        assert self.bias is not None
        return Kernel(self.weight * (self.gain / self.norm()), self.bias)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.kernel()
        return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)

    def collapse(self) -> nn.Conv2d:
        """The plain convolution equal to this one."""
        return self.kernel().convolution()


class WeightedSum(nn.Module):
    """Two terms added up, each times a learnt number."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.full((2,), start))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return self.weights[0] * first + self.weights[1] * second


class ResidualUnit(nn.Module):
    """x --3 x 3--ReLU--3 x 3--weighted sum--
    |_____________________|
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            NormedConv(channels, channels, 3), nn.ReLU(), NormedConv(channels, channels, 3)
        )
        self.add = WeightedSum(1.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.add(self.body(x), x)


class LocalFusionBlock(nn.Module):
    """LFB, four residual units fused.

    x --+--unit--+--unit--+--unit--+--unit--+
        |        |________|________|________|
        |                       concat, 3 x 3--weighted sum--
        |___________________________________________|
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.units = nn.ModuleList([ResidualUnit(channels) for _ in range(4)])
        self.reduce = NormedConv(4 * channels, channels, 3)
        self.add = WeightedSum(1.0)

    def forward(self, x: Tensor) -> Tensor:
        features, unit_input = [], x
        for unit in self.units:
            unit_input = unit(unit_input)
            features.append(unit_input)
        return self.add(self.reduce(torch.cat(features, dim=1)), x)


class MultiScaleTail(nn.Module):
    """x --+--3 x 3--weighted sum--3 x 3--ReLU--3 x 3, to coefficients--
    |--5 x 5--|
    """

    def __init__(self, channels: int, coefficients: int) -> None:
        super().__init__()
        self.small = NormedConv(channels, channels, 3)
        self.large = NormedConv(channels, channels, 5)
        self.add = WeightedSum(0.5)
        self.last = nn.Sequential(
            NormedConv(channels, channels, 3), nn.ReLU(), NormedConv(channels, coefficients, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.add(self.small(x), self.large(x)))


class Assembly(nn.Module):
    """Each pixel's own filter, put together and applied (LAPAR, Figure 2).

    coefficients --1 x 1, the dictionary-- k x k values a pixel --(*)--sum-- sr
    bicubic --reflect 2--k x k shifts----------------------------|

    One filter serves all colours of a pixel.
    """

    filters: Tensor

    def __init__(self, filters: Tensor) -> None:
        super().__init__()
        self.register_buffer("filters", filters.flatten(1).T[:, :, None, None], persistent=False)

    def forward(self, coefficients: Tensor, bicubic: Tensor) -> Tensor:
        padded = F.pad(bicubic, (SIZE // 2,) * 4, mode="reflect")
        taps = F.conv2d(coefficients, self.filters).split(1, dim=1)
        # Cut by negative padding: unlike a slice's, its numbers do not depend on the size.
        cuts = ((-x, x + 1 - SIZE, -y, y + 1 - SIZE) for y, x in product(range(SIZE), repeat=2))
        shifted = (F.pad(padded, cut) for cut in cuts)
        return reduce(torch.add, map(torch.mul, taps, shifted))


class LAPAR(Network):
    """LAPAR, RGB `(N, 3, H, W)` in [0, 1] to `(N, 3, scale * H, scale * W)`, not clipped.

    lr --+-- - mean--3 x 3, ReLU--LFB x blocks--3 x 3, ReLU--depth to space--tail--assembly-- sr
         |_______________________________ bicubic ___________________________________|

    Every convolution is weight-normalised; the norms are folded in the deploy form.
    """

    mean: Tensor

    def __init__(self, *, channels: int, blocks: int, scale: int) -> None:
        super().__init__()
        filters = dictionary()
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN)[:, None, None], persistent=False)
        self.head = nn.Sequential(NormedConv(3, channels, 3), nn.ReLU())
        self.body = nn.Sequential(*[LocalFusionBlock(channels) for _ in range(blocks)])
        self.upsample = nn.Sequential(
            NormedConv(channels, channels * scale**2, 3), nn.ReLU(), nn.PixelShuffle(scale)
        )
        self.tail = MultiScaleTail(channels, len(filters))
        self.bicubic = Bicubic(scale=scale)
        self.assemble = Assembly(filters)

    def forward(self, lr: Tensor) -> Tensor:
        deep = self.body(self.head(lr - self.mean))
        coefficients = self.tail(self.upsample(deep))
        return self.assemble(coefficients, self.bicubic(lr))
