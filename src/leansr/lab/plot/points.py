"""The points of a quality and cost front: what the papers print, and what we released."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from leansr import zoo
from leansr.lab import papers
from leansr.zoo.costs import costs
from leansr.zoo.release import releases

Kind = Literal["ours", "own", "baseline"]
Cost = Literal["multi_adds", "params", "measured_ms"]
COSTS: tuple[Cost, ...] = ("multi_adds", "params", "measured_ms")
BENCHMARKS = ("Set5", "Set14", "B100", "Urban100", "Manga109")

_COLUMNS = {"multi_adds": ("macs_g", 1e9), "params": ("params_k", 1e3)}


@dataclass(frozen=True)
class Point:
    """A network: its cost (Multi-Adds, parameters or milliseconds) and its PSNR in dB.

    `kind` says whose: "ours" are released weights as measured, "own" networks as their papers
    print them, "baseline" others as a paper prints them.
    """

    name: str
    cost: float
    psnr: float
    kind: Kind


def printed_points(scale: int, benchmark: str, cost: Cost) -> list[Point]:
    """What the papers print; the same network as often as it is printed with another figure."""
    column, unit = _COLUMNS[cost]
    found: dict[tuple[str, float, float], Point] = {}
    for kind, row, psnr in _rows(scale, benchmark):
        if row[column]:
            point = Point(_name(row), float(row[column]) * unit, psnr, kind)
            found.setdefault((point.name.lower(), point.cost, psnr), point)
    return list(found.values())


def timed_points(scale: int, benchmark: str, ms: Mapping[str, float]) -> list[Point]:
    """Those printed networks that are in `ms`, by variant, each with its own paper's PSNR.

    A baseline's is that of the first paper that has it.
    """
    found: dict[str, Point] = {}
    for kind, row, psnr in _rows(scale, benchmark):
        variant = row["variant"]
        if variant in ms:
            found.setdefault(variant, Point(_name(row), ms[variant], psnr, kind))
    return list(found.values())


def released_points(
    scale: int, benchmark: str, cost: Cost, ms: Mapping[str, float] | None = None
) -> list[Point]:
    """The releases at `scale` whose cards state the PSNR on `benchmark`.

    With `ms`, by variant, those that are in it, and their cost is that.
    """
    found = []
    for (name, at), release in releases().items():
        psnr = release.psnr_y(benchmark)
        # Multi-Adds and parameters of eight bits are no cost to be compared with those in floats.
        if at != scale or psnr is None or (ms is None and zoo.VARIANTS[name].dtype == "int8"):
            continue
        if ms is None:
            found.append(Point(name, float(getattr(costs()[name, scale], cost)), psnr, "ours"))
        elif name in ms:
            found.append(Point(name, ms[name], psnr, "ours"))
    return found


def pareto(points: list[Point]) -> list[Point]:
    """Those that no other point beats: none is as good or better and costs less or the same."""
    front: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, -p.psnr)):
        if not front or point.psnr > front[-1].psnr:
            front.append(point)
    return front


def _rows(scale: int, benchmark: str) -> list[tuple[Kind, dict[str, str], float]]:
    """The printed rows with a PSNR on `benchmark`, a paper's own networks before all others."""
    column = f"{benchmark.lower()}_psnr"
    own: list[tuple[Kind, dict[str, str], float]] = []
    others: list[tuple[Kind, dict[str, str], float]] = []
    for paper, tables in papers.WHOLE_TABLES.items():
        for row in papers.rows(paper):
            if row["table"] in tables and row["scale"] == str(scale) and row[column]:
                variant = zoo.VARIANTS.get(row["variant"])
                psnr = float(row[column])
                # A family has the name of the paper that proposes it.
                if variant is not None and variant.family == paper:
                    own.append(("own", row, psnr))
                else:
                    others.append(("baseline", row, psnr))
    return own + others


def _name(row: dict[str, str]) -> str:
    """Without what a table adds in brackets: "SESR-M5 (f=16, m=5)"."""
    return row["model"].partition(" (")[0]
