"""Every figure of a paper's tables, beside what we compute or measure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import cast

from leansr import zoo
from leansr.lab import papers
from leansr.lab.measure.complexity import Convention, lr_size
from leansr.lab.measure.ternary import mean_shifts, operations
from leansr.lab.measure.tradeoff import Row, saved_per_loss
from leansr.lab.reproduce.cell import Cell, Kind, fits
from leansr.lab.reproduce.costs import (
    CONVENTIONS,
    counted,
    is_kernels,
    memory,
    memory_input,
    params,
    run_of,
)
from leansr.lab.reproduce.measured import Measured

# The four test sets of the study, over which its losses are summed.
_STUDY_SETS = ("set5", "set14", "b100", "urban100")
# The networks against which the study's two tables of savings count.
_STUDY_BASES = {"1": "rcan-bl", "2": "rcan-bl-e"}


@dataclass(frozen=True)
class Place:
    """One row of a printed table: `told` is the whole of it, `variant` empty if not in the zoo."""

    paper: str
    table: str
    model: str
    variant: str
    scale: int
    told: dict[str, str]
    convention: Convention


@dataclass(frozen=True)
class Column:
    """What a printed column is: its unit, how ours is computed, and how far it may be from it.

    `ours` returns the figure and what it was counted by, in words. `tolerance` is a share of the
    print, beyond equality to its digits, rounded or cut.
    """

    unit: str
    ours: Callable[[Place], tuple[float, str]]
    tolerance: float | None = None
    kind: Kind = "counted"


def _params(place: Place, unit: float) -> tuple[float, str]:
    what = "kernels alone" if is_kernels(place.paper, place.variant) else "everything learnt"
    return params(place.paper, place.variant, place.scale) / unit, what


def _counted(place: Place, what: str, unit: float) -> tuple[float, str]:
    of = counted(place.variant, place.scale, place.convention)
    return getattr(of, what) / unit, place.convention


def _multi_adds(place: Place, column: str) -> tuple[float, str]:
    for row in papers.rows_of("otherwise", place.paper):
        if (row["table"], row["variant"], row["column"]) == (place.table, place.variant, column):
            convention = cast(Convention, row["convention"])
            lr = int(row["lr_height"]), int(row["lr_width"])
            of = counted(place.variant, place.scale, convention, lr)
            return of.multi_adds / 1e9, f"{convention}, {lr[1]} x {lr[0]} in: {row['why']}"
    return _counted(place, "multi_adds", 1e9)


def _memory(place: Place) -> tuple[float, str]:
    side = memory_input(place.paper, place.table)
    peak = memory(place.variant, place.scale, side)
    return peak, f"FMEN's memory model, {side} x {side} in, MiB"


def _saved(place: Place, what: str) -> tuple[float, str]:
    base = next(
        row
        for row in papers.rows(place.paper)
        if row["variant"] == _STUDY_BASES[place.table]
        and (row["table"], row["scale"]) == (place.table, place.told["scale"])
    )
    saved = saved_per_loss(_printed(base), _printed(place.told))
    return getattr(saved, what), "of the printed counts, for 0.01 dB of the printed PSNR"


def _printed(row: dict[str, str]) -> Row:
    psnr = {name: float(row[f"{name}_psnr"]) for name in _STUDY_SETS}
    return Row(float(row["macs_g"]), float(row["params_k"]), psnr)


def _ternary(place: Place, what: str) -> tuple[float, str]:
    lr = lr_size(place.scale)
    run = run_of(place.variant, place.scale, lr)
    shifts = mean_shifts((1, 3, *lr), run)
    found = getattr(operations(run), what) + shifts
    base = counted("rcan-bl", place.scale, "pure").multi_adds + shifts
    return 100 * (1 - found / base), "against bl's Multi-Adds, mean shifts counted"


# What is computed without training.
COMPUTED = {
    "params_k": Column("K", partial(_params, unit=1e3)),
    "params_m": Column("M", partial(_params, unit=1e6)),
    "macs_g": Column("G", partial(_multi_adds, column="macs_g"), 0.005),
    "flops_g_256": Column("G", partial(_multi_adds, column="flops_g_256"), 0.005),
    "acts_m_256": Column("M", partial(_counted, what="activations", unit=1e6), 0.005),
    "convs": Column("", partial(_counted, what="convs", unit=1)),
    "peak_mem_mb": Column("MB", _memory, 0.05),
    "macs_saved_g": Column("G", partial(_saved, what="multi_adds"), kind="arithmetic"),
    "params_saved_k": Column("K", partial(_saved, what="params"), kind="arithmetic"),
    "mult_reduction_pct": Column("%", partial(_ternary, what="multiplications")),
    "add_reduction_pct": Column("%", partial(_ternary, what="additions")),
}
# What is measured, of weights and on a machine: shown beside the print, and held to nothing.
MEASURED = {
    **{f"{name}_psnr": "dB" for name in (*_STUDY_SETS, "manga109", "div2k_val")},
    **{f"{name}_ssim": "" for name in (*_STUDY_SETS, "manga109", "div2k_val")},
    "test_psnr": "dB",
    "runtime_ms": "ms",
}
# What a row says of itself, and no figures.
_LABELS = {"paper", "table", "model", "variant", "scale", "rank", "note"}


def cells(paper: str, measured: Measured) -> Iterator[Cell]:
    """Every printed figure of the tables of `paper`, in their order."""
    for name in (paper, "challenge"):
        for row in papers.rows_of(name, paper):
            place = Place(
                paper=paper,
                table=row["table"],
                model=row["model"],
                variant=row["variant"],
                scale=int(row["scale"]),
                told=row,
                convention="challenge" if name == "challenge" else CONVENTIONS[paper],
            )
            for column in row:
                if column not in _LABELS and row[column]:
                    yield _cell(place, column, measured)


def _cell(place: Place, column: str, measured: Measured) -> Cell:
    printed = place.told[column]
    ours, is_fit, convention, why, tolerance = None, None, "", "", None
    kind: Kind = "measured"
    if column in MEASURED:
        figure = measured.quality.get((place.variant, place.scale, column))
        if figure is not None:
            ours, convention = figure.value, figure.protocol
        why = reason(place, column) or ("" if figure else "nothing at hand measures it")
    elif not _is_known(place):
        kind, why = COMPUTED[column].kind, "not in the zoo"
    else:
        kind, tolerance = COMPUTED[column].kind, COMPUTED[column].tolerance
        ours, convention = COMPUTED[column].ours(place)
        is_fit = fits(ours, printed, tolerance)
        why = "" if is_fit else reason(place, column)
    return Cell(
        paper=place.paper,
        table=place.table,
        model=place.model,
        variant=place.variant,
        scale=place.scale,
        column=column,
        printed=printed,
        ours=ours,
        kind=kind,
        fits=is_fit,
        convention=convention,
        why=why,
        tolerance=tolerance,
    )


def _is_known(place: Place) -> bool:
    variant = zoo.VARIANTS.get(place.variant)
    return variant is not None and place.scale in variant.scales


def reason(place: Place, column: str) -> str:
    """The first line of misfits.csv for a paper, table, variant, scale and column; `*` is any."""
    own = papers.TITLES[place.paper], place.table, place.variant, str(place.scale), column
    for row in papers.rows("misfits"):
        *pattern, why = row.values()
        if all(part in ("*", part_of) for part, part_of in zip(pattern, own, strict=True)):
            return why
    return ""
