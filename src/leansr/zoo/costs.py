"""What every variant's deploy form costs, counted by the lab and kept for installs without it."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True)
class Cost:
    """`conv_weights` are the kernels among the `params`; `multi_adds` of convolutions and matrix
    products for a 1280 x 720 output."""

    params: int
    conv_weights: int
    multi_adds: int


@cache
def costs() -> dict[tuple[str, int], Cost]:
    """The cost of every variant at every scale of its."""
    text = (resources.files("leansr.zoo") / "costs.csv").read_text(encoding="utf-8")
    return {
        (row["variant"], int(row["scale"])): Cost(
            int(row["params"]), int(row["conv_weights"]), int(row["multi_adds"])
        )
        for row in csv.DictReader(text.splitlines())
    }
