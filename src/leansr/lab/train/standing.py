"""How rows that were trained by one budget stand to each other, and to the order in print."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import sqrt
from statistics import mean, median, stdev
from typing import Any, Literal

from leansr.zoo.costs import Cost

Kind = Literal["order", "tie", "base"]
Verdict = Literal["holds", "reversed", "better", "worse", "equal", "cannot be told apart"]


@dataclass(frozen=True)
class Entry:
    """A row: what its network costs, what is printed, and what the runs gave.

    `printed` and `place` as in a ranking's row; `psnr` is in dB on the validation pictures and
    `minutes` of training, both by seed.
    """

    name: str
    variant: str
    cost: Cost
    printed: float | None
    place: int | None
    psnr: dict[int, float]
    minutes: dict[int, float]

    @property
    def mean(self) -> float | None:
        """Over the seeds; None before the first run is over."""
        return mean(self.psnr.values()) if self.psnr else None

    @property
    def deviation(self) -> float | None:
        """The standard deviation over seeds, in dB; None where there are not two."""
        return stdev(self.psnr.values()) if len(self.psnr) > 1 else None


@dataclass(frozen=True)
class Pair:
    """Two rows: `difference` of their means over the seeds that both have, first less second.

    `printed` is the difference in print, where both have figures. `margin` is what the difference
    must exceed to count. Of an "order", `first` is the one that the paper puts first, and the
    verdict is whether that holds; of a "tie", which the paper does not order, whether they are
    equal here too; of a "base", which is the ranking's first row, whether `first` is better.
    """

    first: str
    second: str
    kind: Kind
    difference: float
    printed: float | None
    margin: float | None
    verdict: Verdict


def places(entries: Sequence[Entry]) -> list[int | None]:
    """The paper's place of each entry, the best being 1 and equal figures sharing one."""
    printed = [entry.printed for entry in entries if entry.printed is not None]
    return [
        entry.place if entry.printed is None else 1 + sum(one > entry.printed for one in printed)
        for entry in entries
    ]


def own_places(entries: Sequence[Entry]) -> list[int | None]:
    """The place of each entry by its mean, None without one."""
    means = [entry.mean for entry in entries]
    return [
        None if one is None else 1 + sum(other is not None and other > one for other in means)
        for one in means
    ]


def pairs(entries: Sequence[Entry]) -> list[Pair]:
    """Every two rows that the paper orders; without an order, every row against the first.

    A pair that has no seed in common yet is left out.
    """
    by_paper = list(zip(places(entries), entries, strict=True))
    ordered = [(place, entry) for place, entry in by_paper if place is not None]
    if not ordered:
        base, *others = entries
        found = [_pair(entry, base, entries, "base") for entry in others]
    else:
        ordered.sort(key=lambda placed: placed[0])
        found = [
            _pair(first, second, entries, "tie" if place == other else "order")
            for (place, first), (other, second) in combinations(ordered, 2)
        ]
    return [pair for pair in found if pair is not None]


def neighbours(entries: Sequence[Entry]) -> list[Pair]:
    """Of `pairs`, those of rows that follow each other in the paper's order, or all without one."""
    ordered = [
        (place, entry.name)
        for place, entry in zip(places(entries), entries, strict=True)
        if place is not None
    ]
    names = [name for _, name in sorted(ordered, key=lambda placed: placed[0])]
    beside = set(pairwise(names))
    return [pair for pair in pairs(entries) if not names or (pair.first, pair.second) in beside]


def margin(first: Entry, second: Entry, entries: Sequence[Entry]) -> float | None:
    """What the difference of two rows must exceed, in dB: three of its standard errors.

    Those are of the largest of three deviations over seeds, of the two rows over the seeds that
    both have and the median one of all rows, so that rows whose few seeds lie together by luck do
    not count as exact. Of rows that are the same, 2 % (of 3 seeds) or 5 % (of 2) come out as
    different. None where they share fewer than two seeds.
    """
    common = first.psnr.keys() & second.psnr.keys()
    if len(common) < 2:
        return None
    own = [stdev(row.psnr[seed] for seed in common) for row in (first, second)]
    known = [row.deviation for row in entries if row.deviation is not None]
    return 3 * max(*own, median(known)) * sqrt(2 / len(common))


def kendall(entries: Sequence[Entry]) -> float | None:
    """Kendall's tau of our means against the paper's order, whose ties are left out."""
    signs = [
        (pair.difference > 0) - (pair.difference < 0)
        for pair in pairs(entries)
        if pair.kind == "order"
    ]
    return sum(signs) / len(signs) if signs else None


def as_json(entries: Sequence[Entry]) -> dict[str, Any]:
    """`rows`, `pairs`, the count of `verdicts` and `tau` of a ranking's JSON."""
    found = pairs(entries)
    beside = {(pair.first, pair.second) for pair in neighbours(entries)}
    verdicts = [pair.verdict for pair in found]
    return {
        "rows": [
            {
                "name": entry.name,
                "variant": entry.variant,
                "params": entry.cost.params,
                "multi_adds": entry.cost.multi_adds,
                "psnr": {str(seed): round(psnr, 4) for seed, psnr in entry.psnr.items()},
                "mean": None if entry.mean is None else round(entry.mean, 4),
                "deviation": None if entry.deviation is None else round(entry.deviation, 4),
                "place": own,
                "printed": entry.printed,
                "printed_place": place,
                "minutes": round(sum(entry.minutes.values()), 2),
            }
            for entry, place, own in zip(entries, places(entries), own_places(entries), strict=True)
        ],
        "pairs": [
            {
                "first": pair.first,
                "second": pair.second,
                "kind": pair.kind,
                "are_neighbours": (pair.first, pair.second) in beside,
                "difference": round(pair.difference, 4),
                "printed_difference": None if pair.printed is None else round(pair.printed, 4),
                "margin": None if pair.margin is None else round(pair.margin, 4),
                "verdict": pair.verdict,
            }
            for pair in found
        ],
        "verdicts": {verdict: verdicts.count(verdict) for verdict in dict.fromkeys(verdicts)},
        "tau": kendall(entries),
    }


def _pair(first: Entry, second: Entry, entries: Sequence[Entry], kind: Kind) -> Pair | None:
    common = sorted(first.psnr.keys() & second.psnr.keys())
    if not common:
        return None
    difference = mean(first.psnr[seed] - second.psnr[seed] for seed in common)
    bound = margin(first, second, entries)
    printed = None
    if first.printed is not None and second.printed is not None:
        printed = first.printed - second.printed
    verdict = _verdict(difference, bound, kind)
    return Pair(first.name, second.name, kind, difference, printed, bound, verdict)


def _verdict(difference: float, bound: float | None, kind: Kind) -> Verdict:
    if bound is None or abs(difference) <= bound:
        return "equal" if kind == "tie" and bound is not None else "cannot be told apart"
    if kind == "order":
        return "holds" if difference > 0 else "reversed"
    return "better" if difference > 0 else "worse"
