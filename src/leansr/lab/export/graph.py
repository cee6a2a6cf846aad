"""What an exported graph itself says of its geometry: how far it looks and what it computes."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import onnx

from leansr.errors import ExportError

# Each output pixel depends on the input pixel of the same place alone.
_POINTWISE = {"Abs", "Add", "Mul", "PRelu", "Relu", "Sub"}


@dataclass(frozen=True)
class Geometry:
    """Of a whole graph: `halo` in LR pixels, and Multi-Adds per LR pixel (convolutions, pure)."""

    halo: int
    multi_adds_per_pixel: Fraction


@dataclass(frozen=True)
class _Reach:
    """Of a tensor: how many LR pixels it looks to each side, and its pixels per LR pixel a side."""

    radius: Fraction
    resolution: Fraction


def geometry(model: onnx.ModelProto) -> Geometry:
    """The geometry of a fully convolutional graph with one input `lr` and one output `sr`.

    Raises ExportError for an operation that is not known to be local: its halo would be a guess.
    """
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    reach = {"lr": _Reach(Fraction(0), Fraction(1))}
    multi_adds = Fraction(0)
    for node in model.graph.node:
        if node.op_type == "Constant":
            weights[node.output[0]] = ()
            continue
        sources = [reach[name] for name in node.input if name in reach]
        resolutions = {source.resolution for source in sources}
        if len(resolutions) != 1:
            raise ExportError(f"{node.name}: joins tensors of {len(resolutions)} resolutions")
        source = _Reach(max(s.radius for s in sources), resolutions.pop())
        if node.op_type == "Conv":
            shape = weights[node.input[1]]
            source = _through_conv(source, node, shape)
            outputs, inputs, *kernel = shape
            multi_adds += outputs * inputs * kernel[0] * kernel[1] * source.resolution**2
        elif node.op_type == "DepthToSpace":
            block = _attributes(node)["blocksize"]
            # The pixels of a block come from one pixel; towards LR nothing reaches further.
            source = _Reach(source.radius, source.resolution * block)
        elif node.op_type not in _POINTWISE:
            raise ExportError(f"{node.op_type}: its reach is not known; add it to the graph walk")
        reach[node.output[0]] = source
    radius = reach["sr"].radius
    return Geometry(-(-radius.numerator // radius.denominator), multi_adds)


def _through_conv(source: _Reach, node: onnx.NodeProto, weight: Sequence[int]) -> _Reach:
    attributes = _attributes(node)
    if any(stride != 1 for stride in attributes.get("strides", [1])):
        raise ExportError(f"{node.name}: a strided convolution is not known to the graph walk")
    dilations = attributes.get("dilations", [1, 1])
    radii = [(k - 1) * d // 2 for k, d in zip(weight[2:], dilations, strict=True)]
    # Anything else shifts or shrinks the picture, and half the kernel is not its reach.
    is_centred = all(k % 2 for k in weight[2:]) and attributes.get("pads", [0] * 4) == radii * 2
    if not is_centred or attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise ExportError(f"{node.name}: a convolution that is not padded to keep its size")
    return _Reach(source.radius + Fraction(max(radii)) / source.resolution, source.resolution)


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
