"""What the texts say of the tables' costs, from the same rows."""

from collections.abc import Callable, Iterator

from leansr.lab import papers
from leansr.lab.reproduce.cell import CLAIM, Cell, fits
from leansr.lab.reproduce.costs import CONVENTIONS, counted
from leansr.lab.reproduce.tables import MEASURED

_KINDS: dict[str, Callable[[float, float], float]] = {
    "ratio": lambda over, under: over / under,
    "difference": lambda over, under: over - under,
    "drop": lambda over, under: 100 * (over - under) / over,
    "rise": lambda over, under: 100 * (over - under) / under,
}
_UNITS = {"params_k": ("params", 1e3), "macs_g": ("multi_adds", 1e9)}


def cells(paper: str, table_cells: list[Cell]) -> Iterator[Cell]:
    """Every claim in the text of `paper`, computed from the cells of its tables.

    A network of the paper's own counts as we count it, at the digits of its table, for the
    sentence was written from those; one that it is compared with, as printed.
    """
    known = {(c.table, c.model, c.scale, c.column): c for c in table_cells}
    for row in papers.rows_of("claims", paper):
        column, scale = row["column"], int(row["scale"])
        over, under = (_value(paper, row[side], scale, column, known) for side in ("over", "under"))
        if over is None or under is None:
            yield _cell(paper, row, None, None, "nothing at hand measures it")
            continue
        ours = _KINDS[row["kind"]](over, under)
        is_fit = None if column in MEASURED else fits(ours, row["printed"], 0.005)
        yield _cell(paper, row, ours, is_fit, row["why"])


def _value(
    paper: str,
    entry: str,
    scale: int,
    column: str,
    known: dict[tuple[str, str, int, str], Cell],
) -> float | None:
    """Of `table|model`, or of a network that is in no table, `zoo|variant`."""
    table, _, model = entry.partition("|")
    if table == "zoo":
        what, unit = _UNITS[column]
        return getattr(counted(model, scale, CONVENTIONS[paper]), what) / unit
    cell = known[table, model, scale, column]
    if column in MEASURED or (cell.is_own and not cell.fits):
        return cell.ours
    return float(cell.printed)


def _cell(
    paper: str, row: dict[str, str], ours: float | None, is_fit: bool | None, why: str
) -> Cell:
    return Cell(
        paper=paper,
        table=row["place"],
        model=row["claim"],
        variant=row["variant"],
        scale=int(row["scale"]),
        column=CLAIM,
        printed=row["printed"],
        ours=ours,
        fits=is_fit,
        convention=f"{row['over']} over {row['under']}, {row['column']}, {row['kind']}",
        why=why,
        is_own=True,
    )
