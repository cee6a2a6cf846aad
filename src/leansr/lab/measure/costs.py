"""The table of costs that comes with the package: `python -m leansr.lab.measure.costs`."""

import math
from dataclasses import astuple
from importlib import resources
from pathlib import Path

from leansr import zoo
from leansr.lab.measure.complexity import counted, lr_size
from leansr.lab.measure.memory import peak_of
from leansr.lab.measure.trace import trace
from leansr.lab.nets import build
from leansr.zoo.costs import Cost
from leansr.zoo.variant import Variant


def cost(variant: Variant, scale: int) -> Cost:
    """The cost of the deploy form, counted now."""
    shape = (1, variant.channels, *lr_size(scale))
    # Shapes are all that is asked for; but what is collapsed is faster where it has values.
    network = build(variant, scale).deploy().to("meta")
    run = trace(network, shape)
    found = counted(network, run)
    features = round(peak_of(run).features / math.prod(shape[2:]))
    return Cost(found.params, found.conv_weights, found.multi_adds, features)


def table() -> str:
    """The costs of every row of the zoo as the CSV file holds them."""
    lines = ["variant,scale,params,conv_weights,multi_adds,features"]
    for variant in zoo.VARIANTS.values():
        for scale in variant.scales:
            one = cost(variant, scale)
            lines.append(",".join(map(str, (variant.name, scale, *astuple(one)))))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(str(resources.files("leansr.zoo") / "costs.csv")).write_text(table(), encoding="utf-8")
