"""The papers' tables of run times, beside what `leansr bench` measured of the same networks."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leansr.errors import DataError, UsageError
from leansr.lab import papers
from leansr.lab.measure.times import SCALE
from leansr.lab.reproduce.cell import Cell

# Of a table like `fmen-1`, and of a model in it.
Place = tuple[str, str]
COLUMNS = {"runtime_ms": "ms", "time_change_pct": "%"}


@dataclass(frozen=True)
class Timing:
    """A network's time in ms, by how many percent it is above its base's, and how both were had."""

    runtime_ms: float
    time_change_pct: float
    how: str


def read_timings(paths: Sequence[Path], paper: str | None = None) -> dict[Place, Timing]:
    """What files of `leansr bench --table --json` say of the tables of `paper`, or of any.

    DataError for one that is no such file; UsageError for a table of another paper, or one twice.
    """
    found: dict[Place, Timing] = {}
    for path in paths:
        table, timings = _read(path)
        if paper is not None and not table.startswith(f"{paper}-"):
            raise UsageError(f"{path}: is of the table {table}, which is not of {paper}")
        if found.keys() & timings.keys():
            raise UsageError(f"{path}: is of the table {table}, and so is another file of times")
        found |= timings
    return found


def _read(path: Path) -> tuple[str, dict[Place, Timing]]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        table, how = str(value["table"]), _how(value)
        found = {}
        for ratio in value["ratios"]:
            if ratio["median_ms"] is not None:
                timing = Timing(float(ratio["median_ms"]), float(ratio["change_pct"]), how)
                if not (0 < timing.runtime_ms < math.inf and math.isfinite(timing.time_change_pct)):
                    raise ValueError(f"{timing.runtime_ms} ms")
                found[table, str(ratio["model"])] = timing
    except OSError as cause:
        raise DataError(f"{path}: cannot be read ({cause.strerror})") from cause
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as cause:
        raise DataError(f"{path}: was not written by `leansr bench --table --json`") from cause
    return table, found


def cells(paper: str, timings: Mapping[Place, Timing]) -> Iterator[Cell]:
    """Every time and change of time that the tables of `paper` print."""
    for row in papers.rows_of("times", paper):
        table, model = row["table"], row["model"]
        timing = timings.get((f"{paper}-{table}", model))
        figures = {"runtime_ms": row["printed_ms"], "time_change_pct": row["printed_change_pct"]}
        for column, figure in figures.items():
            if figure:
                yield Cell(
                    paper=paper,
                    table=table,
                    model=model,
                    variant=row["variant"],
                    scale=SCALE,
                    column=column,
                    printed=figure,
                    ours=getattr(timing, column) if timing else None,
                    kind="measured",
                    fits=None,
                    convention=timing.how if timing else "",
                    why=row["why"] or ("" if timing else "not timed"),
                )


def _how(value: dict[str, Any]) -> str:
    height, width = value["lr_size"]
    row, about = value["rows"][0], value["machine"]
    return (
        f"median of {value['runs']}, {width} x {height} in, {row['backend']} {row['dtype']}, "
        f"threads: {about['threads']}, {about['cpu']}"
    )
