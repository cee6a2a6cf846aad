"""What the texts say of the tables' costs, from the same rows."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from leansr.lab import papers
from leansr.lab.reproduce.cell import CLAIM, Cell, at_digits, fits
from leansr.lab.reproduce.costs import CONVENTIONS
from leansr.lab.reproduce.tables import COMPUTED, MEASURED, Place

# A share of the claim: sentences round what tables print.
TOLERANCE = 0.005
_KINDS: dict[str, Callable[[float, float], float]] = {
    "ratio": lambda over, under: over / under,
    "difference": lambda over, under: over - under,
    "drop": lambda over, under: 100 * (over - under) / over,
    "rise": lambda over, under: 100 * (over - under) / under,
}
# Table, model, scale, column.
Known = Mapping[tuple[str, str, int, str], Cell]


@dataclass(frozen=True)
class _Side:
    """One of the two figures of a claim; `why` says what is taken as printed, and what ours is."""

    value: float | None
    told: str
    why: str = ""


def cells(paper: str, table_cells: list[Cell]) -> Iterator[Cell]:
    """Every claim in the text of `paper`, computed from the cells of its tables.

    A cost that we count enters as we count it, at the digits of the table, for the sentence was
    written from those. One of another paper's network that is not what we count, or that we cannot
    count, enters as printed, and `why` says so.
    """
    known = {(c.table, c.model, c.scale, c.column): c for c in table_cells}
    for row in papers.rows_of("claims", paper):
        column, scale = row["column"], int(row["scale"])
        over, under = (_side(paper, row[side], scale, column, known) for side in ("over", "under"))
        is_known = over.value is not None and under.value is not None
        is_measured = column in MEASURED
        ours = None
        if over.value is not None and under.value is not None:
            ours = _KINDS[row["kind"]](over.value, under.value)
        whys = [row["why"], over.why, under.why] if is_known else ["nothing at hand measures it"]
        yield Cell(
            paper=paper,
            table=row["place"],
            model=row["claim"],
            variant=row["variant"],
            scale=scale,
            column=CLAIM,
            printed=row["printed"],
            ours=ours,
            kind="measured" if is_measured else "counted",
            fits=None if ours is None or is_measured else fits(ours, row["printed"], TOLERANCE),
            convention=f"{row['kind']} of {column}: {over.told}, {under.told}",
            why="; ".join(filter(None, whys)),
            tolerance=TOLERANCE,
        )


def _side(paper: str, entry: str, scale: int, column: str, known: Known) -> _Side:
    """Of `table|model`, or of a network that is in no table, `zoo|variant`."""
    table, _, model = entry.partition("|")
    if table == "zoo":
        place = Place(paper, "", model, model, scale, {}, CONVENTIONS[paper])
        return _Side(COMPUTED[column].ours(place)[0], f"{model} as counted")
    cell, told = known[table, model, scale, column], f"{model} of Table {table}"
    if column in MEASURED:
        return _Side(cell.ours, told)
    if cell.ours is None:
        return _Side(float(cell.printed), told, f"{model} as printed: {cell.why}")
    if not cell.fits and not cell.is_own:
        why = f"{model} as printed, {cell.printed}; we count {cell.ours:.4g}"
        return _Side(float(cell.printed), told, why)
    return _Side(at_digits(cell.ours, cell.printed), told)
