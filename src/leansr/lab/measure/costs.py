"""The table of costs that comes with the package: `python -m leansr.lab.measure.costs`."""

import math
from dataclasses import astuple
from importlib import resources
from pathlib import Path

from leansr import zoo
from leansr.lab.measure.complexity import complexity, lr_size
from leansr.lab.measure.memory import peak_memory
from leansr.lab.nets import build
from leansr.zoo.costs import Cost
from leansr.zoo.variant import Variant


def cost(variant: Variant, scale: int) -> Cost:
    """The cost of the deploy form, counted now."""
    shape = (1, variant.channels, *lr_size(scale))
    network = build(variant, scale).to("meta")  # shapes are all that is asked for
    deployed = network.deploy()
    counted = complexity(deployed, shape)
    features = round(peak_memory(deployed, shape).features / math.prod(shape[2:]))
    return Cost(counted.params, counted.conv_weights, counted.multi_adds, features)


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
