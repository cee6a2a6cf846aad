"""Tiles of a picture, each with the halo that makes its result that of the whole picture."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Span:
    """Along one axis: the pixels `start:stop` to compute and `low:high` to compute them from."""

    start: int
    stop: int
    low: int
    high: int

    def source(self, first: int = 0) -> slice:
        """What the network sees, of LR pixels from number `first` on."""
        return slice(self.low - first, self.high - first)

    def target(self, scale: int, first: int = 0) -> slice:
        """Where the result goes, in SR pixels from those of LR number `first` on."""
        return slice((self.start - first) * scale, (self.stop - first) * scale)

    def wider(self, reach: int, length: int) -> "Span":
        """The same pixels from `reach` more on either side, where `length` has them."""
        return replace(self, low=max(0, self.low - reach), high=min(length, self.high + reach))

    def kept(self, scale: int) -> slice:
        """Of the network's output, what is exact."""
        return slice((self.start - self.low) * scale, (self.stop - self.low) * scale)


def spans(length: int, tile: int, halo: int, smallest: int = 1, grid: int = 1) -> list[Span]:
    """`length` pixels in nearly equal parts of at most `tile`, each `halo` wider where it can.

    Each sees `smallest` pixels at least, where there are so many: a network that takes no fewer
    has edges continued, and inside the picture they would not be the picture's. Each begins to see
    at a multiple of `grid`, on which the strides of a network lie in the whole picture too.
    """
    count = -(-length // tile)
    edges = [length * i // count for i in range(count + 1)]
    parts = []
    for start, stop in itertools.pairwise(edges):
        low, high = max(0, start - halo), min(length, stop + halo)
        high = min(length, max(high, low + smallest))
        low = max(0, min(low, high - smallest))
        parts.append(Span(start, stop, low - low % grid, high))
    return parts


def tiles(rows: Sequence[Span], columns: Sequence[Span]) -> Iterator[tuple[Span, Span]]:
    """Rows and columns of every tile, row by row."""
    return itertools.product(rows, columns)
