"""A device that fails, in one line."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from leansr.errors import MeasureError, UsageError
from leansr.lab.train.environment import device_name


@contextmanager
def device_faults(device: torch.device, where: Callable[[], str]) -> Iterator[None]:
    """Faults of `device` as errors that say `where` a run stands; checkpoints are as they were.

    UsageError if it has too little memory, else MeasureError.
    """
    try:
        yield
    except torch.OutOfMemoryError as cause:
        raise UsageError(
            f"{where()}: {device_name(device)} has too little memory for a step; share data.batch "
            f"among processes, or lower it in a new run"
        ) from cause
    except torch.AcceleratorError as cause:
        reason = str(cause).partition("\n")[0]
        raise MeasureError(
            f"{where()}: the device failed ({reason}); the same command goes on from the last "
            f"checkpoint"
        ) from cause
