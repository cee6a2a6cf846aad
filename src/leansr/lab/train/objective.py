"""What a step brings down: the network's loss on its crops, in the recipe's precision."""

import os
import shutil
from collections.abc import Callable

import torch
from torch import Tensor

from leansr.lab.nets.network import Network
from leansr.lab.train.loss import loss_of
from leansr.lab.train.recipe import Loss, Recipe

Objective = Callable[[Tensor, Tensor, Tensor | None], Tensor]

# What convolutions are computed in; weights and loss stay in float32.
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def objective(network: Network, recipe: Recipe, loss: Loss, device: torch.device) -> Objective:
    """The loss as a function of lr, hr and what a teacher makes of lr, None without one."""
    difference = loss_of(loss)
    dtype = _DTYPES.get(recipe.precision)
    share = recipe.teacher.weight if recipe.teacher is not None else 0.0

    def of(lr: Tensor, hr: Tensor, taught: Tensor | None) -> Tensor:
        with torch.autocast(device.type, dtype, enabled=dtype is not None):
            sr = network(lr).float()
        if taught is None:
            return difference(sr, hr)
        return (1 - share) * difference(sr, hr) + share * difference(sr, taught)

    if not recipe.compile or not can_compile(device):
        return of
    # On a GPU small networks are bound by the launching of kernels: CUDA graphs launch at once.
    compiled: Objective = torch.compile(
        of, mode="reduce-overhead" if device.type == "cuda" else None
    )
    return compiled


def can_compile(device: torch.device) -> bool:
    """Whether torch.compile finds what it needs for `device` on this machine."""
    return device.type != "cpu" or shutil.which(os.environ.get("CXX", "g++")) is not None
