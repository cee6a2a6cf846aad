"""The table of costs that comes with the package: `python -m leansr.lab.measure.costs`."""

from importlib import resources
from pathlib import Path

from leansr import zoo
from leansr.lab.measure.complexity import complexity, lr_size
from leansr.lab.nets import build
from leansr.zoo.costs import Cost
from leansr.zoo.variant import Variant


def cost(variant: Variant, scale: int) -> Cost:
    """The cost of the deploy form, counted now."""
    shape = (1, variant.channels, *lr_size(scale))
    network = build(variant, scale).to("meta")  # shapes are all that is asked for
    counted = complexity(network.deploy(), shape)
    return Cost(counted.params, counted.conv_weights, counted.multi_adds)


def table() -> str:
    """The costs of every row of the zoo as the CSV file holds them."""
    lines = ["variant,scale,params,conv_weights,multi_adds"]
    for variant in zoo.VARIANTS.values():
        for scale in variant.scales:
            one = cost(variant, scale)
            cells = variant.name, scale, one.params, one.conv_weights, one.multi_adds
            lines.append(",".join(map(str, cells)))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(str(resources.files("leansr.zoo") / "costs.csv")).write_text(table(), encoding="utf-8")
