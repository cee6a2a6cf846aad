"""What a network multiplies and adds, where the two are not the same (study, section 5.2)."""

from dataclasses import dataclass

from leansr.lab.measure.complexity import multiply_accumulates
from leansr.lab.measure.trace import Trace
from leansr.lab.quantize.sum_product import (
    StraightThroughConv2d,
    SumProduct,
    SumProductConv2d,
    TernaryConv2d,
)

# EDSR's two mean shifts, which the study counts: a 1 x 1 convolution of the three colours.
_MEAN_SHIFT = 9


@dataclass(frozen=True)
class Operations:
    """Multiplications and additions for one picture."""

    multiplications: int
    additions: int


def operations(run: Trace) -> Operations:
    """What the convolutions of a network multiply and add for the picture that it was traced with.

    A multiply-accumulate is one of each. A convolution of ternary weights adds up its window, one
    addition less than it has weights for an output, and a sum-product multiplies each of its maps
    once. So that costs r multiplications and (k^2 c_in - 1) r + (r - 1) c_out additions a pixel,
    as the study counts. Biases, activations and sums of features are not counted.
    """
    multiplications = additions = 0
    for step in run.steps:
        outputs = step.outputs[0] if step.outputs else None
        if issubclass(step.kind, SumProduct | SumProductConv2d) and step.operation == "aten.mul":
            assert outputs is not None
            multiplications += outputs.numel
        elif issubclass(step.kind, TernaryConv2d | StraightThroughConv2d):
            if step.operation == "aten.convolution":
                assert outputs is not None
                additions += multiply_accumulates(step) - outputs.numel
        else:
            products = multiply_accumulates(step)
            multiplications += products
            additions += products
    return Operations(multiplications, additions)


def mean_shifts(shape: tuple[int, int, int, int], run: Trace) -> int:
    """Multiply-accumulates of EDSR's mean shifts, one at LR and one at HR pixels."""
    lr = shape[0] * shape[2] * shape[3]
    hr = run.steps[-1].outputs[0].numel // 3
    return _MEAN_SHIFT * (lr + hr)
