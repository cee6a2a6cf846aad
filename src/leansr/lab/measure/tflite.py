"""A network as an int8 TensorFlow Lite file of a fixed size, for compilers that only time it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import nn

from leansr.errors import UsageError
from leansr.lab.measure.passes import picture_of
from leansr.lab.measure.trace import Step, Trace, trace

# Vela times shapes, not values: one scale for all, and weights as incompressible as trained ones.
_SCALE = 1 / 64
_SEED = 0


def placeholder(network: nn.Module, shape: tuple[int, int, int, int]) -> bytes:
    """The file of `network` for a picture of `shape` `(1, C, H, W)`; NHWC and int8 throughout.

    Weights are random and scales made up: it has the cost of the network, not its result. Raises
    UsageError for an operation that is not mapped, and for a convolution that is not.
    """
    import flatbuffers

    writer = _Writer(trace(network, shape), shape)
    builder = flatbuffers.Builder(1024)
    builder.Finish(writer.model().Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _Writer:
    """The tensors, constants and operators of one subgraph, in the order they are asked for."""

    def __init__(self, run: Trace, shape: tuple[int, int, int, int]) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._schema: Any = schema
        self._random = np.random.default_rng(_SEED)
        self._buffers = [schema.BufferT()]
        self._tensors: list[Any] = []
        self._codes: list[Any] = []
        self._operators: list[Any] = []
        picture = picture_of(run, shape)
        # Of each feature's memory: its tensor.
        self._features = {picture: self._tensor("lr", _nhwc(shape))}
        self._inputs = [self._features[picture]]
        for step in run.steps:
            if any(v.storage in self._features for v in step.inputs):
                self._add(step)
        self._outputs = [self._features[run.result]]

    def model(self) -> Any:
        """The whole file, before it is packed."""
        graph = self._schema.SubGraphT()
        graph.tensors, graph.operators = self._tensors, self._operators
        graph.inputs, graph.outputs = self._inputs, self._outputs
        model = self._schema.ModelT()
        model.version, model.subgraphs = 3, [graph]
        model.buffers, model.operatorCodes = self._buffers, self._codes
        return model

    def _add(self, step: Step) -> None:
        if step.operation not in _OPERATORS:
            raise UsageError(
                f"{step.operation} in {step.module or 'the network itself'}: is not mapped to "
                f"TensorFlow Lite, so Vela cannot time this network; leave out --vela"
            )
        name, operands = _OPERATORS[step.operation]
        features = [self._features[v.storage] for v in step.inputs if v.storage in self._features]
        name, inputs, options = operands(self, name, step, features)
        output = self._tensor(step.module or name, _nhwc(step.outputs[0].shape))
        self._features[step.outputs[0].storage] = output
        operator = self._schema.OperatorT()
        operator.opcodeIndex = self._code(name)
        operator.inputs, operator.outputs = inputs, [output]
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(self._schema.BuiltinOptions, kind)
            operator.builtinOptions = options
        self._operators.append(operator)

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
        bias = self._constant(np.zeros(depths[0]), np.int32, _SCALE * _SCALE)
        if is_transposed:
            options = self._schema.TransposeConvOptionsT()
            size = self._constant(np.array(_nhwc(step.outputs[0].shape)), np.int32, None)
            inputs = [size, weights, features[0], bias]
            name = "TRANSPOSE_CONV"
        else:
            options = self._schema.Conv2DOptionsT()
            options.dilationHFactor = options.dilationWFactor = 1
            inputs = [features[0], weights, bias]
        options.padding = self._schema.Padding.SAME
        options.strideH, options.strideW = stride
        return name, inputs, options

    def elementwise(self, name: str, step: Step, features: list[int]) -> tuple[str, list[int], Any]:
        """ADD and SUB, of two features or of one and a number."""
        other = [] if len(features) == 2 else [self._constant(np.full(1, 32))]
        kind = f"{name.capitalize()}OptionsT"
        return name, [*features, *other], getattr(self._schema, kind)()

    def activation(self, name: str, step: Step, features: list[int]) -> tuple[str, list[int], Any]:
        """RELU, and PRELU with its slopes."""
        slopes = [
            self._constant(np.full((1, 1, v.numel), 16))
            for v in step.inputs
            if v.storage not in self._features
        ]
        return name, [*features, *slopes], None

    def shuffle(self, name: str, step: Step, features: list[int]) -> tuple[str, list[int], Any]:
        """DEPTH_TO_SPACE, whose channels are in another order, at the same cost."""
        options = self._schema.DepthToSpaceOptionsT()
        (options.blockSize,) = step.arguments
        return name, features, options

    def _constant(
        self, values: np.ndarray, dtype: Any = np.int8, scale: float | None = _SCALE
    ) -> int:
        buffer = self._schema.BufferT()
        buffer.data = np.frombuffer(values.astype(dtype).tobytes(), np.uint8)
        self._buffers.append(buffer)
        name = f"constant{len(self._buffers)}"
        return self._tensor(name, values.shape, dtype, scale, len(self._buffers) - 1)

    def _tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: Any = np.int8,
        scale: float | None = _SCALE,
        buffer: int = 0,
    ) -> int:
        tensor = self._schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = f"{name}_{len(self._tensors)}", shape, buffer
        kinds = {np.int8: "INT8", np.int32: "INT32"}
        tensor.type = getattr(self._schema.TensorType, kinds[dtype])
        if scale is not None:
            tensor.quantization = self._schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [0]
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def _code(self, name: str) -> int:
        number = getattr(self._schema.BuiltinOperator, name)
        for index, code in enumerate(self._codes):
            if code.builtinCode == number:
                return index
        code = self._schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = number
        code.version = 3 if name == "TRANSPOSE_CONV" else 1
        self._codes.append(code)
        return len(self._codes) - 1


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
