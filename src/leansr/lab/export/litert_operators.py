"""The operators of a TensorFlow Lite file that networks of eight bits are made of."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from leansr.lab.export.flatbuffer import Array, Flatbuffer, Grid
from leansr.lab.quantize.grid import FINEST, INT8
from leansr.lab.quantize.integer import IntegerConvolution, Quantiser

Shape = tuple[int, int, int, int]
Activation = Literal["NONE", "RELU"]


@dataclass(frozen=True)
class Placed:
    """A tensor of the file, `(1, H, W, C)`; in floats if `grid` is None."""

    number: int
    shape: Shape
    grid: Grid | None


class Operators:
    """Writes operators, each to an output that has been placed, on a grid or in floats.

    Levels are of int8 if `is_signed`, as LiteRT has them, else of uint8, as it had them first.
    """

    def __init__(self, is_signed: bool) -> None:
        self.file = Flatbuffer()
        self.is_signed = is_signed
        # Levels of int8 are those of uint8 less this.
        self.shift = 128 if is_signed else 0
        self.dtype: Any = np.int8 if is_signed else np.uint8

    def place(self, name: str, shape: Shape, grid: Grid | None) -> Placed:
        """A new tensor."""
        dtype = np.float32 if grid is None else self.dtype
        return Placed(self.file.tensor(name, shape, dtype, grid), shape, grid)

    def grid(self, quantiser: Quantiser) -> Grid:
        """That of a network, in the levels that it has here."""
        return Grid((float(quantiser.scale),), (int(quantiser.zero) - self.shift,))

    def convolution(
        self, name: str, conv: nn.Conv2d, order: Tensor, x: Placed, y: Placed, act: Activation
    ) -> None:
        """One that keeps the size, its output channels in `order`."""
        weight = conv.weight.detach()[order].movedim(1, -1).contiguous().numpy()
        bias = torch.zeros(len(order)) if conv.bias is None else conv.bias.detach()[order]
        grids: tuple[Grid | None, Grid | None] = None, None
        if x.grid is not None:
            assert isinstance(conv, IntegerConvolution)
            scale, zero = conv.weight_scale, conv.weight_zero
            if scale.ndim:
                scale, zero = scale[order], zero[order]
            own = Grid(_listed(scale), _listed(zero))
            grids = own, _sums(own, x.grid)
            bias = bias.int()
        constants = (
            self.file.constant(f"{name}.weight", weight, grids[0]),
            self.file.constant(f"{name}.bias", bias.numpy(), grids[1]),
        )
        options = self.file.windowed("Conv2DOptions", act)
        version = 3 if self._is_int8(y) else 1
        self.file.operator("CONV_2D", [x.number, *constants], y.number, options, version)

    def prelu(self, name: str, slopes: Array, x: Placed, y: Placed) -> None:
        """`slopes` `(C,)`; on a grid of int8, if none is above 1, the larger of x and slope * x.

        Each is a convolution by one factor for each channel, with a scale of its own, while PRELU
        has one grid for all slopes, and is slower.
        """
        if self._is_int8(y) and slopes.max() <= 1:
            parts = [self._scaled(name, by, x, y) for by in (np.ones_like(slopes), slopes)]
            options = self.file.options("MaximumMinimumOptions")
            self.file.operator("MAXIMUM", [one.number for one in parts], y.number, options, 2)
            return
        alpha, grid = slopes.reshape(1, 1, -1), None
        if y.grid is not None:
            low, high = min(0.0, float(slopes.min())), max(0.0, float(slopes.max()))
            scale = max((high - low) / 255, FINEST)
            zero = round(-low / scale)
            grid = Grid((scale,), (zero - self.shift,))
            levels = (np.round(alpha / scale) + zero).clip(0, 255) - self.shift
            alpha = levels.astype(self.dtype)
        slope = self.file.constant(f"{name}.weight", alpha, grid)
        self.file.operator("PRELU", [x.number, slope], y.number)

    def _scaled(self, name: str, factors: Array, x: Placed, y: Placed) -> Placed:
        """Each channel of x by its factor, on the grid of y."""
        assert x.grid is not None
        largest = INT8.highest
        scales = tuple(max(abs(float(factor)) / largest, FINEST) for factor in factors)
        own = Grid(scales, (0,) * len(scales), 3)
        weights = np.round(factors / scales).astype(np.int8).reshape(1, 1, 1, -1)
        zeros = np.zeros(len(scales), np.int32)
        constants = (
            self.file.constant(f"{name}.factor", weights, own),
            self.file.constant(f"{name}.bias", zeros, _sums(own, x.grid)),
        )
        options = self.file.windowed("DepthwiseConv2DOptions")
        options.depthMultiplier = 1
        made = self.place(name, y.shape, y.grid)
        self.file.operator("DEPTHWISE_CONV_2D", [x.number, *constants], made.number, options, 3)
        return made

    def relu(self, x: Placed, y: Placed) -> None:
        """RELU."""
        self.file.operator("RELU", [x.number], y.number, version=2 if self._is_int8(y) else 1)

    def sum(
        self, kind: Literal["ADD", "SUB"], a: Placed, b: Placed | float, y: Placed, act: Activation
    ) -> None:
        """a + b or a - b, of features, or in floats of one and a number."""
        if isinstance(b, Placed):
            other = b.number
        else:
            other = self.file.constant("number", np.full(1, b, np.float32))
        options = self.file.options(f"{kind.capitalize()}Options")
        options.fusedActivationFunction = self.file.enumerated("ActivationFunctionType", act)
        version = 2 if self._is_int8(y) else 1
        self.file.operator(kind, [a.number, other], y.number, options, version)

    def shuffle(self, block: int, x: Placed, y: Placed) -> None:
        """DEPTH_TO_SPACE, whose channels lie beside each other before the pixels of a block."""
        options = self.file.options("DepthToSpaceOptions")
        options.blockSize = block
        self.file.operator("DEPTH_TO_SPACE", [x.number], y.number, options)

    def quantize(self, x: Placed, y: Placed) -> None:
        """Floats on a grid."""
        self.file.operator("QUANTIZE", [x.number], y.number, self.file.options("QuantizeOptions"))

    def dequantize(self, x: Placed, y: Placed) -> None:
        """From a grid to floats."""
        options = self.file.options("DequantizeOptions")
        version = 2 if self.is_signed else 1
        self.file.operator("DEQUANTIZE", [x.number], y.number, options, version)

    def _is_int8(self, y: Placed) -> bool:
        return y.grid is not None and self.is_signed


def _listed(values: Tensor) -> tuple[Any, ...]:
    return tuple(values.reshape(-1).tolist())


def _sums(weights: Grid, x: Grid) -> Grid:
    """The grid of sums of products, which biases are on."""
    return Grid(tuple(scale * x.scale[0] for scale in weights.scale), (0,) * len(weights.scale))
