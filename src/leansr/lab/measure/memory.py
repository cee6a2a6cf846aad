"""The most memory that a network's features take at once, by the papers' model (FMEN, 3.1)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from torch import nn

from leansr.lab.measure.trace import Step, Trace, Value, trace

# Operations of one input whose output may take its place.
_IN_PLACE = {
    "aten.gelu",
    "aten.hardswish",
    "aten.hardtanh",
    "aten.leaky_relu",
    "aten._prelu_kernel",
    "aten.relu",
    "aten.sigmoid",
    "aten.silu",
}


@dataclass(frozen=True)
class Feature:
    """A tensor in memory: the module and operation that made it, its shape and its bytes."""

    module: str
    operation: str
    shape: tuple[int, ...]
    size: int


@dataclass(frozen=True)
class Peak:
    """The moment of most memory.

    `features` bytes are alive while `module` runs `operation`: its inputs, its outputs, and what
    is kept for later, all of them in `alive`. The `picture`, which the caller holds, and the
    `parameters` (with the buffers) are alive all the time.
    """

    features: int
    picture: int
    parameters: int
    module: str
    operation: str
    alive: tuple[Feature, ...]

    @property
    def total(self) -> int:
        """Bytes of everything that is alive: M of FMEN's equation."""
        return self.features + self.picture + self.parameters


def peak_memory(
    network: nn.Module, shape: tuple[int, int, int, int], in_place: bool = False
) -> Peak:
    """The peak of `network` for a picture of `shape` `(N, C, H, W)`, float32.

    Every tensor lives from the operation that makes it to the last one that reads it; the result
    lives on. With `in_place`, an activation writes over its input where nothing else reads that.
    The workspace of convolutions is not counted. Views share the memory of what they view.
    """
    return peak_of(trace(network, shape), in_place)


def peak_of(run: Trace, in_place: bool = False) -> Peak:
    """`peak_memory` of a network that has been traced."""
    if in_place:
        run = _with_activations_in_place(run)
    last = _last_of(run)
    made: dict[int, Feature] = {}
    best: tuple[int, Step, tuple[Feature, ...]] | None = None
    for index, step in enumerate(run.steps):
        for value in step.outputs:
            if value.storage in run.storages and value.storage not in made:
                size = run.storages[value.storage]
                made[value.storage] = Feature(step.module, step.operation, value.shape, size)
        features = sum(feature.size for feature in made.values())
        if best is None or features > best[0]:
            best = features, step, tuple(made.values())
        made = {storage: f for storage, f in made.items() if last[storage] > index}
    assert best is not None
    features, step, alive = best
    return Peak(features, run.picture, run.parameters, step.module, step.operation, alive)


def last_use(steps: Iterable[Iterable[Value]]) -> dict[int, int]:
    """For each storage the index of the last of `steps` that touches it, each given as values."""
    return {value.storage: index for index, values in enumerate(steps) for value in values}


def _last_of(run: Trace) -> dict[int, int]:
    """The last use of each storage; past the end for the result's."""
    uses = last_use((*step.inputs, *step.outputs) for step in run.steps)
    return uses | {run.result: len(run.steps)}


def _with_activations_in_place(run: Trace) -> Trace:
    """The same run with the output of an activation in the memory of an input that ends there."""
    last = _last_of(run)
    moved: dict[int, int] = {}
    steps = []
    for index, step in enumerate(run.steps):
        source = step.inputs[0].storage if step.inputs else -1
        is_last = source in run.storages and last[source] == index
        if step.operation in _IN_PLACE and is_last:
            moved[step.outputs[0].storage] = moved.get(source, source)
        steps.append(
            replace(
                step,
                inputs=tuple(
                    replace(v, storage=moved.get(v.storage, v.storage)) for v in step.inputs
                ),
                outputs=tuple(
                    replace(v, storage=moved.get(v.storage, v.storage)) for v in step.outputs
                ),
            )
        )
    return replace(run, steps=steps, result=moved.get(run.result, run.result))
