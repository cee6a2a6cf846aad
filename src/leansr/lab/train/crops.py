"""Random aligned crops, the same for the same seed and step on every machine."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from leansr.image.arrays import WHITE, Pixels
from leansr.lab.train.pictures import Pictures
from leansr.lab.train.recipe import Data

EVERY = slice(None)


class Shelves:
    """Pictures where crops are taken from them: on `device`, unless they are mapped from disk."""

    def __init__(self, pictures: Pictures, scale: int, device: torch.device) -> None:
        self.scale = scale
        self.is_mapped = pictures.is_mapped
        self.device = torch.device("cpu") if pictures.is_mapped else device
        self.white = WHITE[pictures.hr.dtype.name]
        self.lr, self.hr = (_stored(pixels, self.device) for pixels in (pictures.lr, pictures.hr))
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
    ways = reverse, flip, transpose
    lr = _laid(lr_start[chosen], width, data.lr_crop, *ways)
    hr = _laid(hr_start, hr_width, data.lr_crop * shelves.scale, *ways)
    return _taken(shelves.lr, lr, shelves.white), _taken(shelves.hr, hr, shelves.white)


def _starts(shapes: Sequence[tuple[int, ...]]) -> np.ndarray:
    """Where each of the pictures begins that lie one after the other."""
    counts = np.array([height * width for height, width, _ in shapes])
    return np.cumsum(counts) - counts


@dataclass(frozen=True)
class _Places:
    """Where `rows` x `columns` crops lie among pixels that are numbered through, `(N,)` each.

    From the pixel `first` on, and so many pixels from a row, and from a column, to the next one.
    """

    first: np.ndarray
    by_row: np.ndarray
    by_column: np.ndarray
    rows: int
    columns: int


def _laid(
    start: np.ndarray,
    width: np.ndarray,
    side: int,
    reverse: np.ndarray,
    flip: np.ndarray,
    transpose: np.ndarray,
) -> _Places:
    """Crops from `start` on, their rows and columns reversed, then transposed, where it is said."""
    first = start + reverse * (side - 1) * width + flip * (side - 1)
    by_row, by_column = np.where(reverse, -width, width), np.where(flip, -1, 1)
    return _Places(
        first,
        np.where(transpose, by_column, by_row),
        np.where(transpose, by_row, by_column),
        side,
        side,
    )


def _most_detailed(shelves: Shelves, start: np.ndarray, width: np.ndarray, side: int) -> np.ndarray:
    """Of each row of candidates, the one whose neighbours differ most on every second row."""
    first, stride = start.ravel(), 2 * width.ravel()
    places = _Places(first, stride, np.ones_like(first), side // 2, side)
    crops = _taken(shelves.lr, places, shelves.white)
    by_row, by_column = (crops.diff(dim=dim).abs().flatten(1).mean(dim=1) for dim in (2, 3))
    return (by_row + by_column).view(start.shape).argmax(dim=1).cpu().numpy()


def _taken(pixels: Pixels | Tensor, places: _Places, white: int) -> Tensor:
    """Crops `(N, C, rows, columns)` of `pixels` `(pixels, C)` as float32 in [0, 1]."""
    if isinstance(pixels, Tensor):
        stored = _gathered(pixels, places)
        crops = stored.view(torch.uint16) if stored.dtype == torch.int16 else stored
        return crops.float() * (1 / white)
    # By numpy: torch would start threads of its own for it, beside those of the step.
    copied = _copied(pixels, places).astype(np.float32)
    copied *= np.float32(1 / white)
    return torch.from_numpy(copied)


def _copied(pixels: Pixels, places: _Places) -> Pixels:
    """Of memory: each crop is a view, laid by its strides, that is copied once."""
    channels, size = pixels.shape[1], pixels.itemsize
    shape = channels, places.rows, places.columns
    crops = np.empty((len(places.first), *shape), pixels.dtype)
    of_each = (places.first, places.by_row, places.by_column)
    each = (np.stack(of_each, axis=1) * (channels * size)).tolist()
    for crop, (offset, by_row, by_column) in zip(crops, each, strict=True):
        crop[...] = np.ndarray(shape, pixels.dtype, pixels, offset, (size, by_row, by_column))
    return crops


def _gathered(pixels: Tensor, places: _Places) -> Tensor:
    """Of a device: all crops at once, for each of them alone would be launched for itself."""
    of_each = (places.first, places.by_row, places.by_column)
    each = torch.from_numpy(np.stack(of_each)).to(pixels.device)[..., None, None]
    row = torch.arange(places.rows, device=pixels.device)[:, None]
    column = torch.arange(places.columns, device=pixels.device)
    first, by_row, by_column = each
    crops = pixels[first + row * by_row + column * by_column].movedim(3, 1)
    return crops.clone(memory_format=torch.contiguous_format)


def _stored(pixels: Pixels, device: torch.device) -> Pixels | Tensor:
    """Pixels in memory as they are, else on `device`, uint16 as int16: torch picks no uint16."""
    if device.type == "cpu":
        return pixels
    return torch.from_numpy(pixels.view(np.int16) if pixels.dtype == np.uint16 else pixels).to(
        device
    )
