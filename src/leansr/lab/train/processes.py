"""One process, or several that share the crops of each step (torchrun)."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from leansr.errors import MeasureError, UsageError


@dataclass(frozen=True)
class Processes:
    """This process among `count`; the first alone writes and reports.

    Together they give what one process gives, to float rounding.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes."""
        return self.rank == 0

    def device(self) -> torch.device:
        """The CUDA device of this process, or the CPU where there is none."""
        if torch.cuda.is_available():
            return torch.device("cuda", self.local_rank)
        return torch.device("cpu")

    def share(self, batch: int, table: str = "data") -> slice:
        """Which of a step's crops this process sees.

        UsageError, naming the recipe's `table`, if they cannot be shared.
        """
        if batch % self.count:
            raise UsageError(
                f"{table}.batch: {batch} crops cannot be shared by {self.count} processes"
            )
        each = batch // self.count
        return slice(self.rank * each, (self.rank + 1) * each)

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Each tensor becomes its mean over the processes."""
        if self.count == 1:
            return
        tensors = list(tensors)
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        _reduce(flat)
        flat /= self.count
        parts = flat.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view(tensor.shape))

    def any(self, *claims: bool) -> list[bool]:
        """Which of the claims hold for any process, so that all of them decide alike."""
        return [bool(value) for value in self.largest(*claims)]

    def largest(self, *values: float) -> list[float]:
        """The largest that any process has of each value."""
        if self.count == 1:
            return list(values)
        agreed = torch.tensor(values, dtype=torch.float64, device=self.device())
        _reduce(agreed, dist.ReduceOp.MAX)
        return agreed.tolist()

    def check_agreed(self, step: int, folder: str) -> None:
        """UsageError unless all processes stand at `step` of the run in `folder`."""
        last, first = self.largest(step, -step)
        if last != -first:
            raise UsageError(
                f"{folder}: stands at step {int(-first)} for one process and at step {int(last)} "
                f"for another; every node must see the run's folder"
            )

    def prepare(self, network: nn.Module) -> None:
        """Makes what follows from a batch see all of it, of which this process has a share."""
        if self.count > 1:
            for module in network.modules():
                if isinstance(module, Ranging):
                    module.largest = torch.compiler.disable(_largest)
                if type(module) is nn.BatchNorm2d:
                    module.__class__ = SharedBatchNorm2d
                    # torch.compile would have to make it part of a graph.
                    module.total = torch.compiler.disable(_total)


@runtime_checkable
class Ranging(Protocol):
    """A module that asks for the largest that any process has of some values."""

    largest: Callable[[Tensor], Tensor]


ALONE = Processes()


@contextmanager
def joined() -> Iterator[Processes]:
    """This process among those that torchrun started, or alone; UsageError if it cannot be."""
    here = _told()
    if here.count == 1:
        yield ALONE
        return
    if torch.cuda.is_available():
        if here.local_rank >= torch.cuda.device_count():
            raise UsageError(
                f"process {here.local_rank} of this node has no GPU of its own, of "
                f"{torch.cuda.device_count()}; start as many processes as there are GPUs"
            )
        torch.cuda.set_device(here.device())
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield here
    finally:
        dist.destroy_process_group()


def _told() -> Processes:
    """What torchrun's variables say; UsageError if some are missing, or no numbers."""
    if os.environ.get("WORLD_SIZE", "1") == "1":
        return ALONE
    told = {name: os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    for name, value in told.items():
        if not value.isdecimal():
            raise UsageError(
                f"{name}: is {value or 'not set'}, but WORLD_SIZE is {told['WORLD_SIZE']}; start "
                f"several processes with torchrun, or unset WORLD_SIZE for one"
            )
    return Processes(*(int(value) for value in told.values()))


def _reduce(tensor: Tensor, operation: dist.ReduceOp.RedOpType = dist.ReduceOp.SUM) -> None:
    """All processes' `tensor` in one, in place; MeasureError if one of them is gone."""
    try:
        dist.all_reduce(tensor, operation)
    except (torch.OutOfMemoryError, torch.AcceleratorError):
        raise
    except RuntimeError as cause:
        raise MeasureError("another process of the run has ended; its own line says why") from cause


class _Total(torch.autograd.Function):
    """The sum over processes, whose gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        total = x.contiguous().clone()
        _reduce(total)
        return total

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        return _total(gradient)


def _total(x: Tensor) -> Tensor:
    total: Tensor = _Total.apply(x)
    return total


def _largest(values: Tensor) -> Tensor:
    _reduce(values, dist.ReduceOp.MAX)
    return values


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation by the statistics of every process's share.

    torch's own SyncBatchNorm works on CUDA alone.
    """

    total: Callable[[Tensor], Tensor]

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        assert self.momentum is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        values = x.float()
        count = values.numel() / values.shape[1] * dist.get_world_size()
        mean = self.total(values.sum(dim=(0, 2, 3))) / count
        centred = values - mean[:, None, None]
        variance = self.total(centred.square().sum(dim=(0, 2, 3))) / count
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
            self.num_batches_tracked += 1
        normed = centred * (variance + self.eps).rsqrt()[:, None, None]
        return (normed * self.weight[:, None, None] + self.bias[:, None, None]).to(x.dtype)
