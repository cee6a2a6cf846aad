"""Tiles of a picture, each with the halo that makes its result that of the whole picture."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """Along one axis: the pixels `start:stop` to compute and `low:high` to compute them from."""

    start: int
    stop: int
    low: int
    high: int

    def source(self) -> slice:
        """Of the LR picture, what the network sees."""
        return slice(self.low, self.high)

    def target(self, scale: int) -> slice:
        """Of the SR picture, where the result goes."""
        return slice(self.start * scale, self.stop * scale)

    def kept(self, scale: int) -> slice:
        """Of the network's output, what is exact."""
        return slice((self.start - self.low) * scale, (self.stop - self.low) * scale)


def spans(length: int, tile: int, halo: int) -> list[Span]:
    """`length` pixels in nearly equal parts of at most `tile`, each `halo` wider where it can."""
    count = -(-length // tile)
    edges = [length * i // count for i in range(count + 1)]
    return [
        Span(start, stop, max(0, start - halo), min(length, stop + halo))
        for start, stop in itertools.pairwise(edges)
    ]


def tiles(height: int, width: int, tile: int, halo: int) -> Iterator[tuple[Span, Span]]:
    """Rows and columns of every tile of a picture, row by row."""
    columns = spans(width, tile, halo)
    for rows in spans(height, tile, halo):
        for column in columns:
            yield rows, column
