"""Random aligned crops, the same for the same seed and step on every machine."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from leansr.image.arrays import WHITE
from leansr.lab.train.pictures import Pictures
from leansr.lab.train.recipe import Data

EVERY = slice(None)
# Whether a crop has its rows reversed, its columns reversed, and is then transposed.
Way = tuple[bool, bool, bool]


class Shelves:
    """Pictures where crops are taken from them: on `device`, unless they are mapped from disk."""

    def __init__(self, pictures: Pictures, scale: int, device: torch.device) -> None:
        self.scale = scale
        self.is_mapped = pictures.is_mapped
        self.device = torch.device("cpu") if pictures.is_mapped else device
        self.white = WHITE[pictures.hr.dtype.name]
        self.lr, self.hr = (
            _storable(torch.from_numpy(pixels)).to(self.device)
            for pixels in (pictures.lr, pictures.hr)
        )
        pairs = pictures.pairs
        self.sides = np.array([pair.lrs[0].shape[:2] for pair in pairs])
        lr_starts = _starts([lr.shape for pair in pairs for lr in pair.lrs])
        self.lr_starts = lr_starts.reshape(len(pairs), -1)
        self.hr_starts = _starts([pair.hr.shape for pair in pairs])


def batch(
    shelves: Shelves, data: Data, seed: int, step: int, share: slice = EVERY
) -> tuple[Tensor, Tensor]:
    """The random crops of one step: lr `(N, C, h, h)`, hr `(N, C, scale * h, scale * h)`.

    float32 in [0, 1], each turned into one of its eight flips and rotations, or the `share` of
    them that one of several processes sees. The crops depend on `seed` and `step` alone, so a run
    that is continued sees those that it would have seen.
    """
    random = np.random.default_rng((seed, step))
    shape = data.batch, data.candidates
    picture = random.integers(len(shelves.sides), size=shape)[share]
    version = random.integers(shelves.lr_starts.shape[1], size=shape)[share]
    reverse, flip, transpose = random.integers(2, size=(3, data.batch), dtype=bool)[:, share]
    room = shelves.sides[picture] - data.lr_crop + 1
    corner = (random.random((*shape, 2))[share] * room).astype(np.int64)
    width = shelves.sides[picture][..., 1]
    lr_start = shelves.lr_starts[picture, version] + corner[..., 0] * width + corner[..., 1]
    best = np.zeros(len(flip), np.int64)
    if data.candidates > 1:
        best = _most_detailed(shelves, lr_start, width, data.lr_crop)
    chosen = np.arange(len(best)), best
    picture, width, corner = picture[chosen], width[chosen], corner[chosen] * shelves.scale
    hr_width = width * shelves.scale
    hr_start = shelves.hr_starts[picture] + corner[:, 0] * hr_width + corner[:, 1]
    laid = [(bool(r), bool(f), bool(t)) for r, f, t in zip(reverse, flip, transpose, strict=True)]
    lr = _taken(shelves.lr, lr_start[chosen], width, data.lr_crop, laid)
    hr = _taken(shelves.hr, hr_start, hr_width, data.lr_crop * shelves.scale, laid)
    return _floats(lr, shelves.white), _floats(hr, shelves.white)


def _starts(shapes: Sequence[tuple[int, ...]]) -> np.ndarray:
    """Where each of the pictures begins that lie one after the other."""
    counts = np.array([height * width for height, width, _ in shapes])
    return np.cumsum(counts) - counts


def _most_detailed(shelves: Shelves, start: np.ndarray, width: np.ndarray, side: int) -> np.ndarray:
    """Of each row of candidates, the one whose neighbours differ most on every second row."""
    views = [
        _view(shelves.lr, first, 2 * stride, side // 2, side)
        for first, stride in zip(start.ravel().tolist(), width.ravel().tolist(), strict=True)
    ]
    crops = _floats(torch.stack(views), shelves.white)
    by_row, by_column = (crops.diff(dim=dim).abs().flatten(1).mean(dim=1) for dim in (2, 3))
    return (by_row + by_column).view(start.shape).argmax(dim=1).cpu().numpy()


def _taken(
    pixels: Tensor, start: np.ndarray, width: np.ndarray, side: int, laid: Sequence[Way]
) -> Tensor:
    """Crops `(N, C, side, side)` of `pixels` `(pixels, C)`, each laid in its way."""
    crops = []
    for first, stride, way in zip(start.tolist(), width.tolist(), laid, strict=True):
        crop = _view(pixels, first, stride, side, side)
        reverse, flip, transpose = way
        dims = [dim for dim, is_turned in ((1, reverse), (2, flip)) if is_turned]
        crop = crop.flip(dims) if dims else crop
        crops.append(crop.mT if transpose else crop)
    return torch.stack(crops)


def _view(pixels: Tensor, start: int, stride: int, rows: int, columns: int) -> Tensor:
    """Pixels `(C, rows, columns)` from `start` on, rows `stride` pixels apart; no copy."""
    channels = pixels.shape[1]
    strides = (1, stride * channels, channels)
    return pixels.as_strided((channels, rows, columns), strides, start * channels)


def _storable(pixels: Tensor) -> Tensor:
    """uint16 as int16: torch turns and picks no uint16."""
    return pixels.view(torch.int16) if pixels.dtype == torch.uint16 else pixels


def _floats(crops: Tensor, white: int) -> Tensor:
    """What is stored as float32 in [0, 1]."""
    stored = crops.view(torch.uint16) if crops.dtype == torch.int16 else crops
    return stored.float() * (1 / white)
