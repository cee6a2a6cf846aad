"""Rows of a picture from where they come."""

from typing import Protocol

import numpy as np

from leansr.image.arrays import Pixels
from leansr.image.picture import Picture


class Source(Protocol):
    """A picture whose rows are read from the top, each once.

    `sample` has its mode, its dtype and all that travels with it, and pixels that mean nothing.
    """

    height: int
    width: int
    sample: Picture

    def read(self, count: int) -> Pixels:
        """The next rows `(count, W, C)`; PictureError if they cannot be decoded."""


class Whole:
    """A picture that is in memory, as a source."""

    def __init__(self, picture: Picture) -> None:
        self.height, self.width = picture.pixels.shape[:2]
        self.sample, self._row = picture, 0

    def read(self, count: int) -> Pixels:
        """The next rows, not copied."""
        self._row += count
        return self.sample.pixels[self._row - count : self._row]


class Window:
    """Rows of a source, of which those that are still wanted are kept."""

    def __init__(self, source: Source) -> None:
        self._source, self._low = source, 0
        self._kept: Pixels = source.read(0)

    @property
    def channels(self) -> int:
        channels: int = self._kept.shape[2]
        return channels

    def rows(self, low: int, high: int) -> Pixels:
        """Rows `low:high`, neither below those of the last call."""
        kept = self._kept[low - self._low :]
        # A copy even of what is kept alone, so that what is not goes.
        self._kept = np.concatenate([kept, self._source.read(high - low - len(kept))])
        self._low = low
        return self._kept
