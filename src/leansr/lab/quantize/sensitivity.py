"""What each layer costs when it alone is of eight bits."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from leansr.lab.quantize.calibration import in_floats
from leansr.lab.quantize.int8 import Int8
from leansr.lab.quantize.post_training import Crops


@dataclass(frozen=True)
class Sensitivity:
    """PSNR in dB over crops, unrounded, as the network sees them: in floats and in eight bits.

    `costs` are what is lost, in dB, with one layer alone in eight bits, the worst first.
    """

    in_floats: float
    in_eight_bits: float
    costs: dict[str, float]


def sensitivity(network: Int8, crops: Crops, report: Callable[[str], None]) -> Sensitivity:
    """Of a calibrated network; `report` is told where it stands."""
    with in_floats(network):
        whole = _psnr(network, crops)
    costs = {}
    for i, layer in enumerate(network.layers, start=1):
        if network.layers[layer]:
            with in_floats(network, but=layer):
                costs[layer] = whole - _psnr(network, crops)
            report(f"{i} of {len(network.layers)}: {layer}")
    worst_first = sorted(costs.items(), key=lambda item: -item[1])
    return Sensitivity(whole, _psnr(network, crops), dict(worst_first))


@torch.no_grad()
def _psnr(network: Int8, crops: Crops) -> float:
    was_training = network.training
    network.eval()
    errors = [
        (network(lr).clamp(0, 1) - hr).square().mean()
        for lr, hr in zip(crops.lr, crops.hr, strict=True)
    ]
    network.train(was_training)
    return float(-10 * torch.stack(errors).mean().log10())
