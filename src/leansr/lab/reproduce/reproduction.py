"""A paper whole: its tables, what its text says of them, and how much of it fits."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from leansr.lab import papers
from leansr.lab.reproduce import arguments, claims, hardware, tables, times
from leansr.lab.reproduce.cell import Cell, Kind
from leansr.lab.reproduce.measured import Measured

# Those that are held to the print, and what a score of each is of.
KINDS: dict[Kind, str] = {
    "counted": "counted on the networks",
    "arithmetic": "arithmetic of printed figures",
    "form": "that training form and deploy form are one function",
    "estimated": "estimated for hardware",
}


@dataclass(frozen=True)
class Score:
    """How many figures of a kind are held to the print, and how many of them fit."""

    computed: int
    fitting: int


@dataclass(frozen=True)
class Reproduction:
    """Every printed figure of a paper beside ours, table by table."""

    paper: str
    cells: tuple[Cell, ...]

    def own(self, *kinds: Kind) -> Score:
        """Of the paper's own networks, figures of `kinds`."""
        return _score(cell for cell in self.cells if cell.is_own and cell.kind in kinds)

    def others(self) -> Score:
        """Of the networks that the paper compares with, what is counted."""
        cells = (cell for cell in self.cells if not cell.is_own and cell.kind == "counted")
        return _score(cells)

    def tables(self) -> list[tuple[str, list[Cell]]]:
        """The cells by table, numbered tables first, then what is said in the text."""
        groups: dict[str, list[Cell]] = {}
        for cell in self.cells:
            groups.setdefault(cell.table, []).append(cell)
        numbered = sorted(name for name in groups if name.isdecimal())
        said = [name for name in groups if not name.isdecimal()]
        return [(name, groups[name]) for name in (*numbered, *said)]

    def as_json(self) -> dict[str, Any]:
        """The contract's keys."""
        return {
            "schema": 1,
            "paper": self.paper,
            "own_networks": {kind: vars(self.own(kind)) for kind in KINDS},
            "other_networks": vars(self.others()),
            "tables": [
                {"table": name, "rows": [cell.as_json() for cell in cells]}
                for name, cells in self.tables()
            ],
        }


def reproduce(paper: str, measured: Measured) -> Reproduction:
    """Every figure that `paper`, one of `papers.PAPERS`, prints of its tables and of costs."""
    if paper not in papers.PAPERS:
        raise ValueError(f"{paper}: no such paper; one of {', '.join(papers.PAPERS)}")
    printed = [*tables.cells(paper, measured), *times.cells(paper, measured.timings)]
    said = [*claims.cells(paper, printed), *arguments.cells(paper), *hardware.cells(paper)]
    return Reproduction(paper, (*printed, *said))


def _score(cells: Iterable[Cell]) -> Score:
    fits = [cell.fits for cell in cells if cell.fits is not None]
    return Score(len(fits), sum(fits))
