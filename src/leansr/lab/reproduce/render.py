"""A reproduction for people: as Markdown, or aligned for a terminal."""

from collections.abc import Iterable
from dataclasses import dataclass

from leansr.lab.papers import TITLES
from leansr.lab.reproduce import hardware, times
from leansr.lab.reproduce.arguments import COLLAPSE
from leansr.lab.reproduce.cell import CLAIM, Cell
from leansr.lab.reproduce.reproduction import Reproduction
from leansr.lab.reproduce.tables import COMPUTED, MEASURED

_MARKS = {True: " ✓", False: " ✗", None: ""}

# Texts row by row, the first its head.
Grid = list[list[str]]


@dataclass(frozen=True)
class Section:
    """What is shown of one table: grids, then a line about what is missing, then the reasons."""

    title: str
    grids: tuple[Grid, ...]
    missing: str
    reasons: tuple[str, ...]


def markdown(result: Reproduction) -> str:
    """Every table: printed, ours, whether it fits, and why not."""
    parts = [f"# {TITLES[result.paper]}, reproduced", _summary(result)]
    for section in _sections(result):
        parts.append(f"## {section.title}")
        parts += [_piped(grid) for grid in section.grids]
        parts += [section.missing] if section.missing else []
        parts += ["\n".join(f"- {reason}" for reason in section.reasons)] * bool(section.reasons)
    return "\n\n".join(parts) + "\n"


def text(result: Reproduction) -> str:
    """The same, its columns aligned."""
    parts = [f"{TITLES[result.paper]}: {_summary(result)}"]
    for section in _sections(result):
        parts.append(section.title)
        parts += [_aligned(grid) for grid in section.grids]
        parts += [section.missing] if section.missing else []
        parts += ["\n".join(f"  {reason}" for reason in section.reasons)] * bool(section.reasons)
    return "\n\n".join(parts) + "\n"


def figure(ours: float, printed: str) -> str:
    """`ours` with one digit more than is printed; what would read as zero in powers of ten."""
    decimals = len(printed.partition(".")[2]) + 1
    return f"{ours:.{decimals}f}" if abs(ours) >= 10**-decimals or ours == 0 else f"{ours:.1e}"


def _summary(result: Reproduction) -> str:
    own, others = result.own(), result.others()
    return (
        f"Computed without training: {own.fitting} of {own.computed} figures of the paper's own "
        f"networks fit, and {others.fitting} of {others.computed} of those it compares with. "
        f"In a cell: printed → ours, ✓ where it fits, ✗ where it does not (the reason is below "
        f"the table), neither where quality or time is measured."
    )


def _sections(result: Reproduction) -> list[Section]:
    sections = [_section(name, cells) for name, cells in result.tables()]
    return [*sections, Section("How ours is counted", (_tolerances(result.cells),), "", ())]


def _section(name: str, cells: list[Cell]) -> Section:
    title = f"Table {name}" if name.isdecimal() else f"{name[:1].upper()}{name[1:]}"
    known = [cell for cell in cells if cell.ours is not None]
    if cells[0].column in (CLAIM, COLLAPSE):
        grids: tuple[Grid, ...] = (_list(known),) if known else ()
    else:
        computed = [cell for cell in known if cell.fits is not None]
        measured = [cell for cell in known if cell.fits is None]
        grids = tuple(
            _pivot(group, is_measured)
            for group, is_measured in ((computed, False), (measured, True))
            if group
        )
    whys = [cell.why for cell in cells if cell.ours is None]
    missing = f"Of {len(cells)} printed figures {len(whys)} have none of ours: {_tally(whys)}."
    reasons = dict.fromkeys(f"`{c.variant}` {c.column}: {c.why}" for c in known if c.why)
    return Section(title, grids, missing if whys else "", tuple(reasons))


def _pivot(cells: list[Cell], is_measured: bool) -> Grid:
    """A row for each network and scale, a column for each of the paper's; what is measured has a
    last one that says by what."""
    columns = list(dict.fromkeys(cell.column for cell in cells))
    places: dict[tuple[str, str, int], dict[str, Cell]] = {}
    for cell in cells:
        places.setdefault((cell.model, cell.variant, cell.scale), {})[cell.column] = cell
    grid = [["model", "variant", "scale", *columns, *["measured by"] * is_measured]]
    for (model, variant, scale), found in places.items():
        texts = [_both(found[column]) if column in found else "" for column in columns]
        ways = "; ".join(dict.fromkeys(cell.convention for cell in found.values()))
        grid.append([model, f"`{variant}`", f"x{scale}", *texts, *[ways] * is_measured])
    return grid


def _list(cells: list[Cell]) -> Grid:
    """A row for each figure, with how it is computed."""
    return [
        ["what", "variant", "scale", "printed → ours", "how"],
        *(
            [c.model, f"`{c.variant}`", f"x{c.scale}", _both(c), c.convention.replace("|", " ")]
            for c in cells
        ),
    ]


def _both(cell: Cell) -> str:
    assert cell.ours is not None
    if cell.column == COLLAPSE:
        # Rounding, which differs from machine to machine; the JSON has what it was on this one.
        return f"equal →{_MARKS[cell.fits]}"
    return f"{cell.printed} → {figure(cell.ours, cell.printed)}{_MARKS[cell.fits]}"


def _tally(reasons: Iterable[str]) -> str:
    counts: dict[str, int] = {}
    for reason in reasons:
        counts[reason] = counts.get(reason, 0) + 1
    return ", ".join(f"{count} ({reason})" for reason, count in counts.items())


def _tolerances(cells: Iterable[Cell]) -> Grid:
    """The columns that appear, the tolerance of each, and what each is counted or measured by."""
    ways: dict[str, list[str]] = {}
    for cell in cells:
        if cell.ours is not None and cell.column not in (CLAIM, COLLAPSE):
            ways.setdefault(cell.column, []).extend([cell.convention] * (cell.fits is not None))
    rules = {name: (of.unit, of.tolerance) for name, of in COMPUTED.items()} | hardware.COLUMNS
    grid = [["column", "unit", "fits", "by"]]
    for column, conventions in ways.items():
        if conventions:
            unit, tolerance = rules[column]
            rule = "to its digits, rounded or cut"
            rule += f", or within {tolerance:.1%}" if tolerance is not None else ""
            grid.append([column, unit, rule, "; ".join(dict.fromkeys(conventions))])
        else:
            unit = (MEASURED | times.COLUMNS)[column]
            grid.append([column, unit, "measured, held to nothing", "see beside it"])
    return grid


def _piped(grid: Grid) -> str:
    head, *rows = grid
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _aligned(grid: Grid) -> str:
    plain = [[cell.replace("`", "") for cell in row] for row in grid]
    widths = [max(map(len, column)) for column in zip(*plain, strict=True)]
    lines = ("  ".join(t.ljust(w) for t, w in zip(row, widths, strict=True)) for row in plain)
    return "\n".join(line.rstrip() for line in lines)
