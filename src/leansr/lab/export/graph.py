"""How far an exported graph looks around a pixel."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from leansr.errors import ExportError

# Each output pixel depends on the input pixel of the same place alone.
_POINTWISE = {
    "Abs",
    "Add",
    "BatchNormalization",
    "Clip",
    "DequantizeLinear",
    "Div",
    "Gelu",
    "HardSwish",
    "LeakyRelu",
    "Max",
    "Mul",
    "PRelu",
    "Pow",
    "QuantizeLinear",
    "Relu",
    "Sigmoid",
    "Sqrt",
    "Sub",
}
# Statistics of the whole picture.
_WHOLE = {"GlobalAveragePool", "ReduceMean"}
_WINDOWED = {"AveragePool", "Conv", "MaxPool"}
_IDENTITY = [1, 1]


@dataclass(frozen=True)
class _Reach:
    """Of a tensor: how many LR pixels it looks to either side, and its pixels per LR pixel."""

    before: Fraction
    after: Fraction
    resolution: Fraction

    def wider(self, before: list[int], after: list[int], of: int = 1) -> "_Reach":
        """By `before` and `after` pixels, of rows and of columns, `of` of them to one here."""
        return _Reach(
            self.before + Fraction(max(before), of) / self.resolution,
            self.after + Fraction(max(after), of) / self.resolution,
            self.resolution,
        )


class _LooksAtAllError(Exception):
    """The graph's output depends on the whole picture, or on its size."""


def halo(model: onnx.ModelProto) -> int | None:
    """How many LR pixels around its own an output pixel of a graph `lr` to `sr` depends on.

    None if every one depends on the whole picture, or on where in it or how large it is: global
    statistics, resizing to a size, strides without their inverse. Raises ExportError for an
    operation that is not known: its reach would be a guess.
    """
    try:
        reach = _walk(model.graph)["sr"]
    except _LooksAtAllError:
        return None
    radius = max(reach.before, reach.after)
    return max(0, -(-radius.numerator // radius.denominator))


def _walk(graph: onnx.GraphProto) -> dict[str, _Reach]:
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    reach = {"lr": _Reach(Fraction(0), Fraction(0), Fraction(1))}
    strips: dict[str, int] = {}
    for node in graph.node:
        sources = [reach[name] for name in node.input if name in reach]
        if node.op_type == "Constant":
            (attribute,) = node.attribute
            constants[node.output[0]] = _array(attribute)
        if node.op_type == "DequantizeLinear" and node.input[0] in constants:
            constants[node.output[0]] = constants[node.input[0]]  # for its shape
        if not sources or node.op_type == "Shape":
            continue  # sizes, and what is made of them
        source = _joined(node, sources)
        if node.op_type in _WINDOWED:
            source = _through_window(node, source, constants)
        elif node.op_type == "ConvTranspose":
            source = _through_transposed(node, source, constants)
        elif node.op_type == "Pad":
            source = _through_pad(node, source, constants)
        elif node.op_type == "DepthToSpace":
            # The pixels of a block come from one pixel; towards LR nothing reaches further.
            block = _attributes(node)["blocksize"]
            source = _Reach(source.before, source.after, source.resolution * block)
        elif node.op_type == "Resize":
            source = _through_resize(node, source, constants)
        elif node.op_type in _WHOLE:
            raise _LooksAtAllError
        elif node.op_type == "Slice":
            strips[node.output[0]] = _depth(node, constants)
        elif node.op_type == "Concat" and strips.keys() & set(node.input):
            # A border of strips from near it: places move by the first, and nothing else does.
            depth = max(strips[name] for name in node.input if name in strips)
            source = source.wider([depth + 1], [depth - 1])
        elif node.op_type in ("Concat", "Gather", "Split"):
            if _attributes(node).get("axis", 0) != 1:
                raise ExportError(f"{node.name}: joins, splits or orders more than channels")
        elif node.op_type not in _POINTWISE:
            raise ExportError(f"{node.op_type}: its reach is not known; add it to the graph walk")
        for output in node.output:
            reach[output] = source
    return reach


def _depth(node: onnx.NodeProto, constants: dict[str, np.ndarray]) -> int:
    """How far from the border a strip of one row or column is taken."""
    start, end, axis = (constants.get(name) for name in node.input[1:4])
    if start is None or end is None or axis is None or end.item() - start.item() != 1:
        raise ExportError(f"{node.name}: takes a part of the picture whose place is not known")
    return max(abs(start.item()), abs(end.item()))


def _joined(node: onnx.NodeProto, sources: list[_Reach]) -> _Reach:
    resolutions = {source.resolution for source in sources}
    if len(resolutions) != 1:
        raise ExportError(f"{node.name}: joins tensors of {len(resolutions)} resolutions")
    before = max(source.before for source in sources)
    return _Reach(before, max(source.after for source in sources), resolutions.pop())


def _through_window(
    node: onnx.NodeProto, source: _Reach, constants: dict[str, np.ndarray]
) -> _Reach:
    attributes = _attributes(node)
    kernel = attributes.get("kernel_shape") or list(constants[node.input[1]].shape[2:])
    if attributes.get("strides", _IDENTITY) != _IDENTITY:
        raise _LooksAtAllError
    if attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise ExportError(f"{node.name}: a window that is padded by a rule, not by numbers")
    dilations = attributes.get("dilations", _IDENTITY)
    before = list(attributes.get("pads", [0] * 4)[:2])
    spans = [(k - 1) * d for k, d in zip(kernel, dilations, strict=True)]
    return source.wider(before, [span - b for span, b in zip(spans, before, strict=True)])


def _through_transposed(
    node: onnx.NodeProto, source: _Reach, constants: dict[str, np.ndarray]
) -> _Reach:
    attributes = _attributes(node)
    stride, other = attributes.get("strides", _IDENTITY)
    if stride != other:
        raise ExportError(f"{node.name}: strides {stride} and {other}")
    kernel = constants[node.input[1]].shape[2:]
    after = list(attributes.get("pads", [0] * 4)[:2])
    before = [k - 1 - a for k, a in zip(kernel, after, strict=True)]
    reach = source.wider(before, after, of=stride)
    return _Reach(reach.before, reach.after, reach.resolution * stride)


def _through_pad(node: onnx.NodeProto, source: _Reach, constants: dict[str, np.ndarray]) -> _Reach:
    _, _, top, left, _, _, _, _ = constants[node.input[1]].tolist()
    # Places move by what is put before them; what is put there is taken from as near.
    return source.wider([top, left], [-top, -left])


def _through_resize(
    node: onnx.NodeProto, source: _Reach, constants: dict[str, np.ndarray]
) -> _Reach:
    scales = constants.get(node.input[2]) if len(node.input) > 2 else None
    if scales is None or scales.size != 4:
        raise _LooksAtAllError  # to a size, by a factor that depends on the picture's
    mode = _attributes(node)["mode"]
    wide = {b"nearest": source, b"linear": source.wider([1], [1])}
    if mode not in wide:
        raise ExportError(f"{node.name}: resizes by {mode.decode()}, whose reach is not known")
    factor = Fraction(float(scales[2])).limit_denominator(64)
    return _Reach(wide[mode].before, wide[mode].after, source.resolution * factor)


def _array(attribute: onnx.AttributeProto) -> np.ndarray:
    value = onnx.helper.get_attribute_value(attribute)
    is_tensor = isinstance(value, onnx.TensorProto)
    return numpy_helper.to_array(value) if is_tensor else np.array(value)


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
