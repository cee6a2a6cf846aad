"""A plain PyTorch training loop, in the way that BasicSR and its kin go about it."""

import copy
import random
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from leansr import zoo
from leansr.image.arrays import to_unit
from leansr.image.colour import luma
from leansr.lab.nets import as_drawn
from leansr.lab.train.recipe import Data


class PairedPictures(Dataset):
    """One random aligned crop of a picture an item; both PNGs are read whole for it."""

    def __init__(self, pngs: Path, scale: int, data: Data, colour: str) -> None:
        self._pairs = [(pngs / "LR" / path.name, path) for path in sorted((pngs / "HR").iterdir())]
        self._scale, self._side, self._colour = scale, data.lr_crop, colour

    def __len__(self) -> int:
        # As BasicSR enlarges a small data set, so that workers are not started again.
        return 100 * len(self._pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        lr, hr = (self._read(path) for path in self._pairs[index % len(self._pairs)])
        side, scale = self._side, self._scale
        y, x = (random.randint(0, full - side) for full in lr.shape[:2])
        lr = lr[y : y + side, x : x + side]
        hr = hr[y * scale : (y + side) * scale, x * scale : (x + side) * scale]
        flip, turns = random.random() < 0.5, random.randrange(4)
        crops = [np.rot90(p[:, ::-1] if flip else p, turns) for p in (lr, hr)]
        lr, hr = (torch.from_numpy(crop.transpose(2, 0, 1).copy()) for crop in crops)
        return lr, hr

    def _read(self, path: Path) -> np.ndarray:
        unit = to_unit(np.asarray(Image.open(path)))
        return luma(unit)[..., None] if self._colour == "y" else unit


class PlainLoop:
    """Adam and L1 in float32 on the network as drawn, and a moving average of its weights."""

    def __init__(self, network: str, scale: int, data: Data, pngs: Path, workers: int) -> None:
        variant = zoo.find(network, scale)
        pictures = PairedPictures(pngs, scale, data, variant.colour)
        self._crops = iter(
            DataLoader(pictures, data.batch, shuffle=True, num_workers=workers, drop_last=True)
        )
        self._network = as_drawn(variant, scale)
        self._average = copy.deepcopy(self._network)
        self._optimizer = torch.optim.Adam(self._network.parameters(), 5e-4)
        self.waiting_pct = 0.0

    def seconds_per_step(self, steps: int) -> float:
        """Over `steps` steps after two."""
        for count in (2, steps):
            began, waited = time.monotonic(), 0.0
            for _ in range(count):
                asked = time.monotonic()
                lr, hr = next(self._crops)
                waited += time.monotonic() - asked
                self._step(lr, hr)
        seconds = time.monotonic() - began
        self.waiting_pct = 100 * waited / seconds
        return seconds / steps

    def _step(self, lr: Tensor, hr: Tensor) -> None:
        self._optimizer.zero_grad()
        loss = F.l1_loss(self._network(lr), hr)
        loss.backward()
        self._optimizer.step()
        pairs = zip(self._average.parameters(), self._network.parameters(), strict=True)
        for average, parameter in pairs:
            average.data.mul_(0.999).add_(parameter.data, alpha=0.001)
        # Written to the log at every step, as the losses of a dictionary are there.
        loss.item()


def held_mib() -> float:
    """Memory of this process and its workers, shared pages once, in MiB, as it stands."""
    own = Path("/proc/self")
    children = (own / "task" / str(own.resolve().name) / "children").read_text().split()
    total = 0
    for process in (own, *(Path("/proc") / child for child in children)):
        lines = (process / "smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024
