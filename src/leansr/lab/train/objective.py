"""What a step brings down: the network's loss on its crops, in the recipe's precision."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from leansr.errors import MeasureError
from leansr.lab.nets.network import Network
from leansr.lab.train.loss import loss_of
from leansr.lab.train.recipe import Loss, Recipe

Objective = Callable[[Tensor, Tensor, Tensor | None], Tensor]

# What convolutions are computed in; weights and loss stay in float32.
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def objective(network: Network, recipe: Recipe, loss: Loss, device: torch.device) -> Objective:
    """The loss as a function of lr, hr and what a teacher makes of lr, None without one.

    Raises MeasureError, then or when it is first called, if it cannot be compiled.
    """
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
    with _compiling():
        # On a GPU small networks are bound by the launching of kernels: CUDA graphs launch at once.
        compiled: Objective = torch.compile(
            # A graph for each size of crops: a run that goes on has those it would have had.
            of,
            dynamic=False,
            mode="reduce-overhead" if device.type == "cuda" else None,
        )

    def checked(lr: Tensor, hr: Tensor, taught: Tensor | None) -> Tensor:
        with _compiling():
            return compiled(lr, hr, taught)

    return checked


def can_compile(device: torch.device) -> bool:
    """Whether torch.compile finds what it needs for `device` on this machine."""
    return device.type != "cpu" or shutil.which(os.environ.get("CXX", "g++")) is not None


@contextmanager
def _compiling() -> Iterator[None]:
    """The one door through which torch.compile's errors become ours."""
    try:
        yield
    except OSError as cause:
        raise _uncompiled(cause) from cause
    except RuntimeError as cause:
        # Not before: it takes seconds, and makes the folder that may be what fails.
        from torch._dynamo.exc import BackendCompilerFailed

        if not isinstance(cause, BackendCompilerFailed):
            raise
        raise _uncompiled(cause) from cause


def _uncompiled(cause: Exception) -> MeasureError:
    reason = str(cause).strip().partition("\n")[0]
    return MeasureError(
        f"torch.compile failed ({reason}); set compile = false in the recipe, or, if its folder "
        f"cannot be written, TORCHINDUCTOR_CACHE_DIR or TMPDIR to another"
    )
