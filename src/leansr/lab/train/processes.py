"""One process, or several that share the crops of each step (torchrun)."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from leansr.errors import UsageError


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

    def share(self, batch: int) -> slice:
        """Which of a step's crops this process sees; UsageError if they cannot be shared."""
        if batch % self.count:
            raise UsageError(
                f"data.batch: {batch} crops cannot be shared by {self.count} processes"
            )
        each = batch // self.count
        return slice(self.rank * each, (self.rank + 1) * each)

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Each tensor becomes its mean over the processes."""
        if self.count == 1:
            return
        tensors = list(tensors)
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
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
        dist.all_reduce(agreed, dist.ReduceOp.MAX)
        return agreed.tolist()

    def prepare(self, network: nn.Module) -> None:
        """Makes batch normalisation see the whole batch, of which this process has a share."""
        if self.count > 1:
            for module in network.modules():
                if type(module) is nn.BatchNorm2d:
                    module.__class__ = SharedBatchNorm2d


ALONE = Processes()


@contextmanager
def joined() -> Iterator[Processes]:
    """This process among those that torchrun started, or alone."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield ALONE
        return
    here = Processes(int(os.environ["RANK"]), count, int(os.environ["LOCAL_RANK"]))
    if torch.cuda.is_available():
        torch.cuda.set_device(here.device())
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield here
    finally:
        dist.destroy_process_group()


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation by the statistics of every process's share.

    torch's own SyncBatchNorm works on CUDA alone.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        assert self.momentum is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        values = x.float()
        count = values.numel() / values.shape[1] * dist.get_world_size()
        mean = all_reduce(values.sum(dim=(0, 2, 3))) / count
        centred = values - mean[:, None, None]
        variance = all_reduce(centred.square().sum(dim=(0, 2, 3))) / count
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
            self.num_batches_tracked += 1
        normed = centred * (variance + self.eps).rsqrt()[:, None, None]
        return (normed * self.weight[:, None, None] + self.bias[:, None, None]).to(x.dtype)
