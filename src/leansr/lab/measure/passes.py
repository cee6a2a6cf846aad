"""What a network asks of hardware that runs it layer by layer: one pass for each feature made."""

from dataclasses import dataclass, replace

from torch import nn

from leansr.errors import MeasureError
from leansr.lab.measure.complexity import counted
from leansr.lab.measure.trace import Step, Trace, Value, trace

SHUFFLE = "aten.pixel_shuffle"
_MATRIX = {"aten.addmm", "aten.bmm", "aten.mm", "aten.mv"}
# Of one feature, pixel by pixel: done on the way out of the pass that makes it.
_FUSED = {
    "aten._prelu_kernel",
    "aten.abs",
    "aten.add",
    "aten.div",
    "aten.gelu",
    "aten.hardswish",
    "aten.hardtanh",
    "aten.leaky_relu",
    "aten.mul",
    "aten.native_batch_norm",
    "aten.pow",
    "aten.relu",
    "aten.rsub",
    "aten.sigmoid",
    "aten.silu",
    "aten.sqrt",
    "aten.sub",
}


@dataclass(frozen=True)
class Pass:
    """Reads the features `inputs` and `weights` values of parameters, and makes `output`.

    Each value of the output is a sum over a window `kernel` (height, width) of `depth` channels;
    a `depth` of 0 is a pass without products. A depth-to-space has its block as kernel and the
    channels it is made of as depth, for that is how an array of multipliers does it, but no
    `multi_adds`. A transposed convolution has `multi_adds` at its input pixels.
    """

    module: str
    operation: str
    inputs: tuple[Value, ...]
    output: Value
    weights: int = 0
    kernel: tuple[int, int] = (1, 1)
    depth: int = 0
    multi_adds: int = 0
    is_transposed: bool = False

    @property
    def multi_adds_hr(self) -> int:
        """With a transposed convolution counted at its output pixels, as FSRCNN's papers print."""
        return (
            self.output.numel * self.depth * _area(self.kernel)
            if self.is_transposed
            else (self.multi_adds)
        )

    @property
    def needs_neighbours(self) -> bool:
        """Whether a row of the output needs more than the same row of the inputs."""
        return self.operation != SHUFFLE and max(self.kernel) > 1


def passes(network: nn.Module, shape: tuple[int, int, int, int]) -> list[Pass]:
    """The passes of `network`, in its present mode, over a picture of `shape` `(N, C, H, W)`.

    Activations and what else is done to one feature pixel by pixel are part of the pass that made
    it, if nothing else reads what it was before; done to the picture, of reading it. Views are
    free; whatever else makes new memory is a pass. Raises MeasureError for an operation that
    `complexity` does not know.
    """
    run = trace(network, shape)
    counted(network, run)
    readers = _readers(run)
    picture = picture_of(run, shape)
    # Of each feature: where it lies once what follows it pixel by pixel is fused.
    lies: dict[int, int] = {picture: picture}
    found: list[Pass] = []
    for step in run.steps:
        features = tuple(v for v in step.inputs if v.storage in lies)
        made = [v for v in step.outputs if v.storage not in {i.storage for i in step.inputs}]
        if not features or not made:
            continue  # of parameters alone, or a view
        output, source = made[0], features[0]
        is_alone = source.storage == picture or readers[source.storage] == 1
        if (
            step.operation in _FUSED
            and len(features) == 1
            and output.numel == source.numel
            and (is_alone)
        ):
            lies[output.storage] = lies[source.storage]
            continue
        lies[output.storage] = output.storage
        inputs = tuple(replace(v, storage=lies[v.storage]) for v in features)
        weights = sum(v.numel for v in step.inputs if v.storage not in lies)
        found.append(_pass(step, inputs, output, weights))
    return found


def _readers(run: Trace) -> dict[int, int]:
    """How many operations read each piece of memory, views and in-place ones aside."""
    count: dict[int, int] = {}
    for step in run.steps:
        own = {v.storage for v in step.outputs}
        for storage in {v.storage for v in step.inputs} - own:
            count[storage] = count.get(storage, 0) + 1
    return count


def picture_of(run: Trace, shape: tuple[int, int, int, int]) -> int:
    """The memory of the picture: what is first read in its shape without having been made."""
    values = (value for step in run.steps for value in step.inputs)
    for value in values:
        if value.storage not in run.storages and value.shape == shape:
            return value.storage
    raise MeasureError("the network does not look at its picture")


def _pass(step: Step, inputs: tuple[Value, ...], output: Value, weights: int) -> Pass:
    plain = Pass(step.module, step.operation, inputs, output, weights)
    if step.operation == SHUFFLE:
        (block,) = step.arguments
        return replace(plain, kernel=(block, block), depth=inputs[0].shape[1])
    if step.operation in _MATRIX:
        depth = step.inputs[-1].shape[-2 if len(step.inputs[-1].shape) > 1 else -1]
        return replace(plain, depth=depth, multi_adds=output.numel * depth)
    if step.operation != "aten.convolution":
        return plain
    *_, is_transposed, _, groups = step.arguments
    # (out, in / groups, h, w), or transposed (in, out / groups, h, w)
    first, second, *kernel = step.inputs[1].shape
    height, width = kernel
    pixels = inputs[0] if is_transposed else output
    return replace(
        plain,
        kernel=(height, width),
        depth=first // groups if is_transposed else second,
        multi_adds=pixels.numel * second * height * width,
        is_transposed=is_transposed,
    )


def _area(kernel: tuple[int, int]) -> int:
    return kernel[0] * kernel[1]
