"""What figures of networks are made from: networks with their weights, and what they see."""

from pathlib import Path

import torch
from torch import Tensor

from leansr import zoo
from leansr.errors import UsageError
from leansr.image.arrays import Pixels, to_unit
from leansr.image.colour import luma
from leansr.lab.nets import build
from leansr.lab.nets.network import Network
from leansr.lab.weights import load_network, load_strictly, read_tensors
from leansr.zoo.release import release_of
from leansr.zoo.variant import Variant


def as_input(lr: Pixels, variant: Variant) -> Tensor:
    """`(1, C, H, W)` of what `variant` sees of `lr` `(H, W, 3)`; UsageError if that is too small.

    Figures are of real pictures alone, so a smaller one is not continued by its edges.
    """
    if min(lr.shape[:2]) < variant.smallest:
        raise UsageError(
            f"{variant.name}: sees pictures of {variant.smallest} pixels a side or more, and the "
            f"LR has {lr.shape[1]} x {lr.shape[0]}; give a larger picture"
        )
    unit = to_unit(lr)
    seen = luma(unit)[..., None] if variant.colour == "y" else unit
    return torch.from_numpy(seen).permute(2, 0, 1)[None].contiguous()


def network_of(model: str, scale: int, weights: Path | None = None) -> Network:
    """`model` with `weights` in the form they are in, or with the released ones of the deploy form.

    WeightsError if there are none, or they are another network's.
    """
    variant = zoo.find(model, scale)
    if weights is not None:
        return load_network(weights, model, scale)[0]
    tensors = release_of(model, scale).tensors
    network = build(variant, scale).deploy()
    load_strictly(network, read_tensors(tensors), str(tensors))
    return network
