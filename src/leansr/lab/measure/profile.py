"""The cost of a variant in its two forms, side by side."""

from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from leansr.lab.measure.complexity import (
    CHALLENGE_INPUT,
    PAPERS_OUTPUT,
    Complexity,
    Convention,
    counted,
    lr_size,
)
from leansr.lab.measure.memory import Peak, peak_of
from leansr.lab.measure.ternary import Operations, operations
from leansr.lab.measure.trace import trace
from leansr.lab.nets import as_drawn
from leansr.zoo.variant import Variant


@dataclass(frozen=True)
class Form:
    """What one form of a network costs for one picture: operations, and memory at its peak.

    `operations` are the multiplications and additions that its multiply-accumulates are made of,
    `stored` the bytes of its tensors in a file, `peak_in_place` the peak where activations write
    over their inputs.
    """

    complexity: Complexity
    operations: Operations
    stored: int
    peak: Peak
    peak_in_place: Peak

    def as_json(self) -> dict[str, Any]:
        """The keys of `leansr profile --json`; peak memory in bytes, of all that is alive."""
        counted = asdict(self.complexity) | asdict(self.operations) | {"stored": self.stored}
        layers = counted.pop("layers")
        peaks = {
            "peak_memory": self.peak.total,
            "peak_memory_in_place": self.peak_in_place.total,
        }
        return counted | peaks | {"layers": layers}


@dataclass(frozen=True)
class Profile:
    """Both forms for a picture of `lr` pixels (height, width), by a named convention."""

    convention: Convention
    lr: tuple[int, int]
    training: Form
    deploy: Form


def profile(
    variant: Variant,
    scale: int,
    convention: Convention = "pure",
    output: tuple[int, int] | None = None,
) -> Profile:
    """The profile of `variant` for an `output` of width and height.

    None is the convention's own size: 1280 x 720 of the papers, or 256 x 256 in of the challenge.
    The training form is the one drawn, with every linear block expanded.
    """
    if output is not None:
        lr = lr_size(scale, output)
    elif convention == "challenge":
        lr = CHALLENGE_INPUT
    else:
        lr = lr_size(scale, PAPERS_OUTPUT)
    network = as_drawn(variant, scale).eval()
    shape = (1, variant.channels, *lr)

    def form(network: nn.Module) -> Form:
        run = trace(network, shape)
        return Form(
            counted(network, run, convention),
            operations(run),
            sum(tensor.nbytes for tensor in network.state_dict().values()),
            peak_of(run),
            peak_of(run, in_place=True),
        )

    return Profile(convention, lr, form(network), form(network.deploy()))
