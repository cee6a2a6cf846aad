"""Crops where the network is, and how long it waited for them."""

import time
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from leansr.lab.train import crops
from leansr.lab.train.crops import Shelves
from leansr.lab.train.processes import Processes
from leansr.lab.train.recipe import Data
from leansr.runtime.upscaler import available_cores

Crops = tuple[Tensor, Tensor]


class Feed:
    """The crops of each step, this process's share of them, on `device`.

    From shelves elsewhere, or where there are several cores, the next step's are brought while this
    one's are trained on. `seconds_waited` adds up how long steps had no crops.
    """

    def __init__(
        self, shelves: Shelves, seed: int, device: torch.device, processes: Processes
    ) -> None:
        self._shelves, self._seed = shelves, seed
        self._device, self._processes = device, processes
        self._ahead = ThreadPoolExecutor(1) if is_brought(shelves, device) else None
        self._next: tuple[int, Data, Future[Crops]] | None = None
        self.seconds_waited = 0.0

    def __call__(self, step: int, data: Data) -> Crops:
        """lr `(N, C, h, h)` and hr `(N, C, scale * h, scale * h)` of a step, in [0, 1]."""
        began = time.monotonic()
        if self._ahead is None:
            found = self._crops(step, data)
        else:
            if self._next is None or self._next[:2] != (step, data):
                self._bring(step, data)
            assert self._next is not None
            found = self._next[2].result()
        # Before the next are asked for: whoever makes those may take this thread's core at once.
        self.seconds_waited += time.monotonic() - began
        if self._ahead is not None:
            self._bring(step + 1, data)
        return found

    def _bring(self, step: int, data: Data) -> None:
        assert self._ahead is not None
        self._next = step, data, self._ahead.submit(self._crops, step, data)

    def _crops(self, step: int, data: Data) -> Crops:
        share = self._processes.share(data.batch)
        lr, hr = crops.batch(self._shelves, data, self._seed, step, share)
        if lr.device == self._device:
            return lr, hr
        is_pinned = self._device.type == "cuda"
        lr, hr = (t.pin_memory() if is_pinned else t for t in (lr, hr))
        return lr.to(self._device, non_blocking=True), hr.to(self._device, non_blocking=True)


def is_brought(shelves: Shelves, device: torch.device) -> bool:
    """Whether crops are made beside the steps: where there is another core, or a disk, for it.

    Also where steps have a thread for each core, which are not busy all the time.
    """
    is_beside = device.type == "cpu" and available_cores() > 1
    return shelves.is_mapped or shelves.device != device or is_beside
