"""Random aligned crops, the same for the same seed and step on every machine."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from leansr.image.arrays import Pixels, to_unit
from leansr.lab.train.pictures import Pair
from leansr.lab.train.recipe import Data

Place = tuple[Pair, int, int]


def batch(
    pairs: Sequence[Pair], scale: int, data: Data, seed: int, step: int
) -> tuple[Tensor, Tensor]:
    """The random crops of one step: lr `(N, C, h, h)`, hr `(N, C, scale * h, scale * h)`.

    float32 in [0, 1], each turned into one of its eight flips and rotations. The crops depend on
    `seed` and `step` alone, so a run that is continued sees those that it would have seen.
    """
    random = np.random.default_rng((seed, step))
    lrs: list[Pixels] = []
    hrs: list[Pixels] = []
    lr_crop = data.lr_crop
    for _ in range(data.batch):
        places = [_place(pairs, lr_crop, random) for _ in range(data.candidates)]
        if data.candidates > 1:
            places.sort(key=lambda place: _detail(place, lr_crop))
        pair, y, x = places[-1]
        turns, flip = int(random.integers(4)), bool(random.integers(2))
        for crops, pixels, factor in ((lrs, pair.lr, 1), (hrs, pair.hr, scale)):
            side = lr_crop * factor
            crop = pixels[y * factor : y * factor + side, x * factor : x * factor + side]
            crops.append(dihedral(crop, turns, flip))
    return _tensor(lrs), _tensor(hrs)


def _place(pairs: Sequence[Pair], side: int, random: np.random.Generator) -> Place:
    pair = pairs[int(random.integers(len(pairs)))]
    height, width = pair.lr.shape[:2]
    return pair, int(random.integers(height - side + 1)), int(random.integers(width - side + 1))


def _detail(place: Place, side: int) -> float:
    """How much neighbours differ in a crop, on every second row: enough to rank candidates."""
    pair, y, x = place
    crop = pair.lr[y : y + side : 2, x : x + side].astype(np.int32)
    return float(np.abs(np.diff(crop, axis=0)).mean() + np.abs(np.diff(crop, axis=1)).mean())


def dihedral(pixels: Pixels, turns: int, flip: bool) -> Pixels:
    """One of the eight ways to lay a picture `(H, W, C)`."""
    turned = np.rot90(pixels, turns)
    return turned[:, ::-1] if flip else turned


def _tensor(crops: list[Pixels]) -> Tensor:
    stacked = torch.from_numpy(to_unit(np.stack(crops)))
    return stacked.permute(0, 3, 1, 2)
