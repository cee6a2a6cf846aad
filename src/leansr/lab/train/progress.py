"""Where a run stands, and the average of its weights."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Progress:
    """Where a run stands; `skipped` steps had no finite gradient."""

    step: int = 0
    seconds: float = 0.0
    best_psnr: float | None = None
    skipped: int = 0


@dataclass
class Interval:
    """What has happened since the last row of the log: the sum of losses, and what was then."""

    losses: Tensor
    step: int
    skipped: int
    since: float
    waited: float


@torch.no_grad()
def update_average(
    average: Mapping[str, Tensor], current: Mapping[str, Tensor], ema: float, step: int
) -> None:
    """Moves `average` towards `current`, the weights after `step`, by at least 1 - `ema`."""
    # Ramped, so that the random start does not linger in the average.
    decay = min(ema, (1 + step) / (10 + step))
    names = []
    for name, tensor in current.items():
        if tensor.is_floating_point():
            names.append(name)
        else:
            average[name].copy_(tensor)
    averages = [average[name] for name in names]
    torch._foreach_lerp_(averages, [current[name] for name in names], 1 - decay)
