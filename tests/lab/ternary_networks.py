"""Ternary networks as tests build them: in a moment, or without data."""

import torch

from leansr import zoo
from leansr.lab.nets import build
from leansr.lab.quantize.ternary import Ternary

SMALL = {"channels": 8, "blocks": 1, "groups": 1, "reduction": 4}


def small(space="ternary", seed=0, **arguments):
    torch.manual_seed(seed)
    return Ternary(
        **{"of": "rcan-bl", "rank": 2, "scale": 2, "changes": SMALL} | arguments, space=space
    )


def on_meta(name, scale):
    with torch.device("meta"):
        return build(zoo.find(name, scale), scale)
