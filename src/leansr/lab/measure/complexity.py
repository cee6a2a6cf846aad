"""Parameters, Multi-Adds, activations and convolutions, counted on the operations that run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import nn

from leansr.errors import MeasureError
from leansr.lab.measure.trace import Step, Trace, trace

# pure: multiply-accumulates of convolutions and matrix products, and nothing else.
# thop: pure, one for each output of a biased convolution, one for each input of adaptive pooling
#   (BSRN's and MDRN's tables).
# challenge: pure, one for each output of a ReLU or LeakyReLU module (NTIRE).
Convention = Literal["pure", "thop", "challenge"]
CONVENTIONS: tuple[Convention, ...] = ("pure", "thop", "challenge")

# Width and height of the output that the papers state Multi-Adds for, and the challenge's input.
PAPERS_OUTPUT = (1280, 720)
CHALLENGE_INPUT = (256, 256)


@dataclass(frozen=True)
class Layer:
    """The cost of one module without its children: what it holds, and what it did each time."""

    module: str
    kind: str
    params: int
    multi_adds: int
    activations: int


@dataclass(frozen=True)
class Complexity:
    """The cost of a network for one picture, under one convention.

    `params` is all that is learnt, `conv_weights` the kernels of its convolutions alone,
    `activations` the values that its convolutions return, `convs` how many of them run.
    """

    params: int
    conv_weights: int
    multi_adds: int
    activations: int
    convs: int
    layers: tuple[Layer, ...]


def complexity(
    network: nn.Module, shape: tuple[int, int, int, int], convention: Convention = "pure"
) -> Complexity:
    """The cost of `network` for a picture of `shape` `(N, C, H, W)`.

    Raises MeasureError for an operation that is not known, for it may be what costs most.
    """
    return counted(network, trace(network, shape), convention)


def counted(network: nn.Module, run: Trace, convention: Convention = "pure") -> Complexity:
    """`complexity` of a network that has been traced."""
    multi_adds: dict[str, int] = {}
    activations: dict[str, int] = {}
    convs = 0
    for step in run.steps:
        name = step.module
        multi_adds[name] = multi_adds.get(name, 0) + multiply_accumulates(step)
        multi_adds[name] += _extra(step, convention)
        if step.operation == "aten.convolution":
            convs += 1
            activations[name] = activations.get(name, 0) + step.outputs[0].numel
    layers = tuple(
        Layer(
            name,
            type(module).__name__,
            sum(p.numel() for p in module.parameters(recurse=False)),
            multi_adds.get(name, 0),
            activations.get(name, 0),
        )
        for name, module in network.named_modules()
    )
    kernels = [m.weight.numel() for m in network.modules() if isinstance(m, _CONVOLUTIONS)]
    return Complexity(
        params=sum(p.numel() for p in network.parameters()),
        conv_weights=sum(kernels),
        multi_adds=sum(multi_adds.values()),
        activations=sum(activations.values()),
        convs=convs,
        layers=layers,
    )


def lr_size(scale: int, output: tuple[int, int] = PAPERS_OUTPUT) -> tuple[int, int]:
    """Height and width of the LR picture for an `output` of width and height, cut to integers."""
    width, height = output
    return height // scale, width // scale


_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def _convolution(step: Step) -> int:
    """Each output is made of in / groups * k * k products; transposed, each input takes part in
    out / groups * k * k of them."""
    source, weight = step.inputs[:2]
    *_, transposed, _, _ = step.arguments
    pixels = source if transposed else step.outputs[0]
    return pixels.numel * (weight.numel // weight.shape[0])


def _matrix_product(step: Step) -> int:
    return step.outputs[0].numel * step.inputs[-1].shape[-2]


def _matrix_vector_product(step: Step) -> int:
    return step.inputs[0].numel


_PRODUCTS: dict[str, Callable[[Step], int]] = {
    "aten.convolution": _convolution,
    "aten.addmm": _matrix_product,
    "aten.bmm": _matrix_product,
    "aten.mm": _matrix_product,
    "aten.mv": _matrix_vector_product,
}

# Known, and no layer's multiply-accumulates: what moves values, and what is done to each.
_FREE = {
    "aten._prelu_kernel",
    "aten._to_copy",
    "aten._unsafe_view",
    "aten.abs",
    "aten.add",
    "aten.amax",
    "aten.amin",
    "aten.aminmax",
    "aten.avg_pool2d",
    "aten.cat",
    "aten.clamp",
    "aten.clone",
    "aten.constant_pad_nd",
    "aten.detach",
    "aten.diag_embed",
    "aten.div",
    "aten.empty",
    "aten.gelu",
    "aten.gt",
    "aten.hardswish",
    "aten.hardtanh",
    "aten.index_put_",
    "aten.index_select",
    "aten.leaky_relu",
    "aten.lerp_",
    "aten.lift_fresh",
    "aten.max_pool2d_with_indices",
    "aten.maximum",
    "aten.mean",
    "aten.mul",
    "aten.native_batch_norm",
    "aten.neg",
    "aten.ones_like",
    "aten.permute",
    "aten.pixel_shuffle",
    "aten.pow",
    "aten.reflection_pad2d",
    "aten.relu",
    "aten.replication_pad2d",
    "aten.round",
    "aten.rsub",
    "aten.select",
    "aten.sigmoid",
    "aten.sign",
    "aten.silu",
    "aten.slice",
    "aten.split",
    "aten.split_with_sizes",
    "aten.sqrt",
    "aten.sub",
    "aten.sum",
    "aten.t",
    "aten.unsqueeze",
    "aten.upsample_bilinear2d",
    "aten.upsample_nearest2d",
    "aten.view",
    "aten.zeros",
    "aten.zeros_like",
    "leansr.dequantize",
    "leansr.quantize",
}


def multiply_accumulates(step: Step) -> int:
    """Those of one operation by the convention "pure"; MeasureError if it is not known."""
    product = _PRODUCTS.get(step.operation)
    if product is not None:
        return product(step)
    if step.operation not in _FREE:
        raise MeasureError(
            f"{step.operation} in {step.module or 'the network itself'}: what it costs is not "
            f"known; add it to the counter"
        )
    return 0


def _extra(step: Step, convention: Convention) -> int:
    """What a convention counts beyond multiply-accumulates."""
    if convention == "thop":
        if step.operation == "aten.convolution" and len(step.inputs) == 3:
            return step.outputs[0].numel
        if issubclass(step.kind, nn.AdaptiveAvgPool2d):
            return step.inputs[0].numel
    if convention == "challenge" and issubclass(step.kind, nn.ReLU | nn.LeakyReLU):
        return step.outputs[0].numel
    return 0
