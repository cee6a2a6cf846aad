"""TensorFlow Lite files: the tensors, constants and operators of one graph."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Grid(NamedTuple):
    """The level q stands for (q - zero) * scale; all lists of one, or along `axis` one for each."""

    scale: tuple[float, ...]
    zero: tuple[int, ...]
    axis: int = 0


class Flatbuffer:
    """A graph in the making; tensors are told by their numbers, pictures lie as `(1, H, W, C)`."""

    def __init__(self) -> None:
        # Neither comes with the lab: both are of the extra `vela`.
        from ai_edge_litert import schema_py_generated

        self._schema: Any = schema_py_generated
        self._buffers = [self._schema.BufferT()]
        self._tensors: list[Any] = []
        self._codes: list[Any] = []
        self._operators: list[Any] = []

    def tensor(
        self, name: str, shape: Sequence[int], dtype: Any, grid: Grid | None, buffer: int = 0
    ) -> int:
        """A new one, called by `name` and its number."""
        tensor = self._schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = f"{name}_{len(self._tensors)}", shape, buffer
        tensor.type = getattr(self._schema.TensorType, np.dtype(dtype).name.upper())
        if grid is not None:
            tensor.quantization = self._schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = grid.scale, grid.zero
            tensor.quantization.quantizedDimension = grid.axis
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def constant(self, name: str, values: Array, grid: Grid | None = None) -> int:
        """A new tensor that holds `values`, in their own type."""
        buffer = self._schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        buffer.Pack = partial(_packed, buffer)
        self._buffers.append(buffer)
        return self.tensor(name, values.shape, values.dtype, grid, len(self._buffers) - 1)

    def options(self, kind: str) -> Any:
        """Those of an operator, `kind` as the schema names them, with its defaults."""
        return getattr(self._schema, f"{kind}T")()

    def windowed(self, kind: str, activation: str = "NONE") -> Any:
        """Those of a convolution of stride 1 that keeps the size."""
        options = self.options(kind)
        options.padding = self.enumerated("Padding", "SAME")
        options.strideH = options.strideW = 1
        options.dilationHFactor = options.dilationWFactor = 1
        options.fusedActivationFunction = self.enumerated("ActivationFunctionType", activation)
        return options

    def enumerated(self, kind: str, name: str) -> int:
        """The number of a name of the schema."""
        return getattr(getattr(self._schema, kind), name)

    def operator(
        self, kind: str, inputs: Sequence[int], output: int, options: Any = None, version: int = 1
    ) -> int:
        """Adds one that computes `output`, which it returns."""
        operator = self._schema.OperatorT()
        operator.opcodeIndex = self._code(getattr(self._schema.BuiltinOperator, kind), version)
        operator.inputs, operator.outputs = list(inputs), [output]
        if options is not None:
            name = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(self._schema.BuiltinOptions, name)
            operator.builtinOptions = options
        self._operators.append(operator)
        return output

    def packed(self, inputs: Sequence[int], outputs: Sequence[int], told: str = "") -> bytes:
        """The file; `told` is what it says of itself."""
        import flatbuffers

        graph = self._schema.SubGraphT()
        graph.tensors, graph.operators = self._tensors, self._operators
        graph.inputs, graph.outputs = list(inputs), list(outputs)
        model = self._schema.ModelT()
        model.version, model.subgraphs, model.description = 3, [graph], told
        model.buffers, model.operatorCodes = self._buffers, self._codes
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _code(self, number: int, version: int) -> int:
        for index, code in enumerate(self._codes):
            if (code.builtinCode, code.version) == (number, version):
                return index
        code = self._schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = number
        code.version = version
        self._codes.append(code)
        return len(self._codes) - 1


def _packed(buffer: Any, builder: Any) -> int:
    """Where the schema wants it, which what was generated from that does not see to."""
    builder.Prep(16, buffer.data.size)
    return type(buffer).Pack(buffer, builder)
