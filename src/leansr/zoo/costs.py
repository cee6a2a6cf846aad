"""What every variant's deploy form costs, counted by the lab and kept for installs without it."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True)
class Cost:
    """`conv_weights` are the kernels among the `params`; `multi_adds` of convolutions and matrix
    products for a 1280 x 720 output; `features` the bytes of features for each LR pixel at their
    peak, in floats."""

    params: int
    conv_weights: int
    multi_adds: int
    features: int


@cache
def costs() -> dict[tuple[str, int], Cost]:
    """The cost of every variant at every scale of its."""
    text = (resources.files("leansr.zoo") / "costs.csv").read_text(encoding="utf-8")
    return {
        (row["variant"], int(row["scale"])): Cost(
            *(int(row[name]) for name in ("params", "conv_weights", "multi_adds", "features"))
        )
        for row in csv.DictReader(text.splitlines())
    }
