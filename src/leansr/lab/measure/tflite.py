"""A network as an int8 TensorFlow Lite file of a fixed size, for compilers that only time it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import nn

from leansr.errors import UsageError
from leansr.lab.export.flatbuffer import Array, Flatbuffer, Grid
from leansr.lab.measure.passes import picture_of
from leansr.lab.measure.trace import Step, Trace, trace

# Vela times shapes, not values: one scale for all, and weights as incompressible as trained ones.
_SCALE = 1 / 64
_GRID = Grid((_SCALE,), (0,))
_SEED = 0


def placeholder(network: nn.Module, shape: tuple[int, int, int, int]) -> bytes:
    """The file of `network` for a picture of `shape` `(1, C, H, W)`; NHWC and int8 throughout.

    Weights are random and scales made up: it has the cost of the network, not its result. Raises
    UsageError for an operation that is not mapped, and for a convolution that is not.
    """
    return _Writer(trace(network, shape), shape).packed()


class _Writer:
    """The operators of a network, in the order they are asked for."""

    def __init__(self, run: Trace, shape: tuple[int, int, int, int]) -> None:
        self._file = Flatbuffer()
        self._random = np.random.default_rng(_SEED)
        picture = picture_of(run, shape)
        # Of each feature's memory: its tensor.
        self._features = {picture: self._file.tensor("lr", _nhwc(shape), np.int8, _GRID)}
        self._input = self._features[picture]
        for step in run.steps:
            if any(v.storage in self._features for v in step.inputs):
                self._add(step)
        self._output = self._features[run.result]

    def packed(self) -> bytes:
        """The whole file."""
        return self._file.packed([self._input], [self._output])

    def _add(self, step: Step) -> None:
        if step.operation not in _OPERATORS:
            raise UsageError(
                f"{step.operation} in {step.module or 'the network itself'}: is not mapped to "
                f"TensorFlow Lite, so Vela cannot time this network; leave out --vela"
            )
        name, operands = _OPERATORS[step.operation]
        features = [self._features[v.storage] for v in step.inputs if v.storage in self._features]
        name, inputs, options = operands(self, name, step, features)
        shape = _nhwc(step.outputs[0].shape)
        output = self._file.tensor(step.module or name, shape, np.int8, _GRID)
        self._features[step.outputs[0].storage] = output
        version = 3 if name == "TRANSPOSE_CONV" else 1
        self._file.operator(name, inputs, output, options, version)

    def convolution(self, name: str, step: Step, features: list[int]) -> tuple[str, list[int], Any]:
        """CONV_2D or TRANSPOSE_CONV, padded to the size of its input, times the stride."""
        stride, padding, dilation, is_transposed, _, groups = step.arguments
        first, second, height, width = step.inputs[1].shape
        is_same = [2 * side + 1 for side in padding] == [height, width]
        if (
            not is_same
            or dilation != [1, 1]
            or groups != 1
            or not (is_transposed or stride == [1, 1])
        ):
            raise UsageError(
                f"{step.module}: a convolution of stride {stride}, padding {padding}, dilation "
                f"{dilation}, {groups} groups is not mapped to TensorFlow Lite; leave out --vela"
            )
        depths = (second, first) if is_transposed else (first, second)
        weights = self._constant(
            self._random.normal(0, 24, (depths[0], height, width, depths[1]))
            .round()
            .clip(-127, 127)
        )
        sums = Grid((_SCALE * _SCALE,), (0,))
        bias = self._file.constant("bias", np.zeros(depths[0], np.int32), sums)
        if is_transposed:
            size = np.array(_nhwc(step.outputs[0].shape), np.int32)
            inputs = [self._file.constant("size", size), weights, features[0], bias]
            options = self._file.options("TransposeConvOptions")
            options.padding = self._file.enumerated("Padding", "SAME")
            options.strideH, options.strideW = stride
            return "TRANSPOSE_CONV", inputs, options
        return name, [features[0], weights, bias], self._file.windowed("Conv2DOptions")

    def elementwise(self, name: str, step: Step, features: list[int]) -> tuple[str, list[int], Any]:
        """ADD and SUB, of two features or of one and a number."""
        other = [] if len(features) == 2 else [self._constant(np.full(1, 32))]
        return name, [*features, *other], self._file.options(f"{name.capitalize()}Options")

    def activation(self, name: str, step: Step, features: list[int]) -> tuple[str, list[int], Any]:
        """RELU, and PRELU with its slopes."""
        slopes = [
            # Different ones, as trained ones are: Vela takes equal ones for a cheaper operator.
            self._constant(self._random.integers(-64, 64, (1, 1, v.numel)))
            for v in step.inputs
            if v.storage not in self._features
        ]
        return name, [*features, *slopes], None

    def shuffle(self, name: str, step: Step, features: list[int]) -> tuple[str, list[int], Any]:
        """DEPTH_TO_SPACE, whose channels are in another order, at the same cost."""
        options = self._file.options("DepthToSpaceOptions")
        (options.blockSize,) = step.arguments
        return name, features, options

    def _constant(self, values: Array) -> int:
        return self._file.constant("constant", values.astype(np.int8), _GRID)


_Operands = Callable[[_Writer, str, Step, list[int]], tuple[str, list[int], Any]]
_OPERATORS: dict[str, tuple[str, _Operands]] = {
    "aten.convolution": ("CONV_2D", _Writer.convolution),
    "aten.add": ("ADD", _Writer.elementwise),
    "aten.sub": ("SUB", _Writer.elementwise),
    "aten.relu": ("RELU", _Writer.activation),
    "aten._prelu_kernel": ("PRELU", _Writer.activation),
    "aten.pixel_shuffle": ("DEPTH_TO_SPACE", _Writer.shuffle),
}


def _nhwc(shape: tuple[int, ...]) -> tuple[int, ...]:
    batch, channels, height, width = shape
    return batch, height, width, channels
