"""A reproduction for people: as Markdown, or aligned for a terminal."""

from collections.abc import Iterable
from dataclasses import dataclass

from leansr.lab.papers import TITLES
from leansr.lab.reproduce import hardware, times
from leansr.lab.reproduce.arguments import COLLAPSE
from leansr.lab.reproduce.cell import CLAIM, Cell
from leansr.lab.reproduce.reproduction import KINDS, Reproduction
from leansr.lab.reproduce.tables import COMPUTED, MEASURED

_MARKS = {True: " ✓", False: " ✗", None: ""}
_UNITS = {name: of.unit for name, of in COMPUTED.items()} | MEASURED | times.COLUMNS
_LEGEND = (
    "In a cell: printed → ours, or what is printed alone where nothing at hand computes or "
    "measures it; ✓ where ours fits, ✗ where it does not (the reason is below the table), neither "
    "where quality or time is measured or modelled."
)

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
    scores = "\n".join(f"- {line}" for line in _scores(result))
    parts = [f"# {TITLES[result.paper]}, reproduced", scores, _LEGEND]
    for section in _sections(result):
        parts.append(f"## {section.title}")
        parts += [_piped(grid) for grid in section.grids]
        parts += [section.missing] if section.missing else []
        parts += ["\n".join(f"- {reason}" for reason in section.reasons)] * bool(section.reasons)
    return "\n\n".join(parts) + "\n"


def text(result: Reproduction) -> str:
    """The same, its columns aligned."""
    parts = [f"{TITLES[result.paper]}\n" + "\n".join(_scores(result)), _LEGEND]
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


def _scores(result: Reproduction) -> list[str]:
    lines = []
    for kind, words in KINDS.items():
        score = result.own(kind)
        if score.computed:
            lines.append(f"{score.fitting} of {score.computed} of its own networks fit, {words}")
    others = result.others()
    lines.append(f"{others.fitting} of {others.computed} of those it compares with fit, counted")
    return lines


def _sections(result: Reproduction) -> list[Section]:
    sections = [_section(name, cells) for name, cells in result.tables()]
    return [*sections, Section("What fits", (_tolerances(result.cells),), "", ())]


def _section(name: str, cells: list[Cell]) -> Section:
    title = f"Table {name}" if name.isdecimal() else f"{name[:1].upper()}{name[1:]}"
    if cells[0].column in (CLAIM, COLLAPSE):
        grids: tuple[Grid, ...] = (_list(cells),)
    else:
        computed = [cell for cell in cells if cell.kind != "measured"]
        measured = [cell for cell in cells if cell.kind == "measured"]
        grids = tuple(
            _pivot(group, is_measured)
            for group, is_measured in ((computed, False), (measured, True))
            if group
        )
    empty = [cell for cell in cells if cell.ours is None]
    missing = f"Of {len(cells)} printed figures {len(empty)} have none of ours."
    reasons = dict.fromkeys(f"`{c.variant}` {c.column}: {c.why}" for c in cells if _is_told(c))
    return Section(title, grids, missing if empty else "", tuple(reasons))


def _is_told(cell: Cell) -> bool:
    """Whether the reason of a cell is more than that nothing is at hand."""
    has_ours = cell.ours is not None
    return bool(cell.why) and (has_ours or cell.why not in ("not in the zoo", *_NOTHING))


_NOTHING = ("nothing at hand measures it", "not timed")


def _pivot(cells: list[Cell], is_measured: bool) -> Grid:
    """A row for each network and scale, a column for each of the paper's; what is measured has a
    last one that says by what."""
    columns = list(dict.fromkeys(cell.column for cell in cells))
    places: dict[tuple[str, str, int], dict[str, Cell]] = {}
    for cell in cells:
        places.setdefault((cell.model, cell.variant, cell.scale), {})[cell.column] = cell
    has_ways = is_measured and any(cell.convention for cell in cells)
    grid = [["model", "variant", "scale", *columns, *["measured by"] * has_ways]]
    for (model, variant, scale), found in places.items():
        texts = [_both(found[column]) if column in found else "" for column in columns]
        ways = "; ".join(dict.fromkeys(c.convention for c in found.values() if c.convention))
        grid.append(
            [model, f"`{variant}`" * bool(variant), f"x{scale}", *texts, *[ways] * has_ways]
        )
    return grid


def _list(cells: list[Cell]) -> Grid:
    """A row for each figure, with how it is computed."""
    return [
        ["what", "variant", "scale", "printed → ours", "fits", "how"],
        *(
            [c.model, f"`{c.variant}`", f"x{c.scale}", _both(c), _rule(c), c.convention]
            for c in cells
        ),
    ]


def _both(cell: Cell) -> str:
    if cell.column == COLLAPSE:
        # Rounding, which differs from machine to machine; the JSON has what it was on this one.
        return f"equal{_MARKS[cell.fits]}"
    if cell.ours is None:
        return cell.printed
    return f"{cell.printed} → {figure(cell.ours, cell.printed)}{_MARKS[cell.fits]}"


def _rule(cell: Cell) -> str:
    if cell.kind in ("measured", "estimated") and cell.fits is None:
        return f"{cell.kind}, held to nothing"
    if cell.column == COLLAPSE:
        return "to float rounding"
    within = f", or within {cell.tolerance:.1%}" if cell.tolerance is not None else ""
    return f"to its digits, rounded or cut{within}"


def _tolerances(cells: Iterable[Cell]) -> Grid:
    """Each column of the tables, when it fits, and what ours is counted by."""
    ways: dict[tuple[str, str], dict[str, None]] = {}
    for cell in cells:
        if cell.ours is not None and cell.column not in (CLAIM, COLLAPSE):
            by = "see beside it" if cell.kind == "measured" else cell.convention
            ways.setdefault((cell.column, _rule(cell)), {})[by] = None
    grid = [["column", "unit", "fits", "by"]]
    for (column, rule), conventions in ways.items():
        unit = (_UNITS | hardware.COLUMNS)[column]
        grid.append([column, unit, rule, "; ".join(conventions)])
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
