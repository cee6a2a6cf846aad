"""The papers' tables of run times, and the same networks timed here.

A paper's milliseconds are its GPU's; what can be compared is by how much a network is slower or
faster than another of the same table.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from leansr.errors import UsageError
from leansr.lab import papers
from leansr.lab.measure.contender import Backend, Dtype, contenders
from leansr.lab.measure.speed import Row, Speed, bench

# Every table of times is of x4.
SCALE = 4
# Height and width: MemNet, which works on pixels of the output, takes seconds for no more.
LR = (54, 96)


@dataclass(frozen=True)
class Time:
    """A run time as printed; `base` is the model of the table that it is compared with.

    `change_pct` is as printed, else of the printed times. `variant` and `form` are empty for a
    network that is not ours, `device` is where the paper names none.
    """

    model: str
    variant: str
    form: str
    base: str
    printed_ms: float
    printed_change_pct: float
    device: str


@dataclass(frozen=True)
class Ratio:
    """A printed time and the same here, each against its base; None where it is not ours.

    `change_pct` is the median over the rounds of the change within a round, `change_q1_pct` and
    `change_q3_pct` its quartiles. `min_change_pct` is the change of the shortest runs, which a
    busy machine disturbs less as a rule.
    """

    printed: Time
    median_ms: float | None
    change_pct: float | None
    change_q1_pct: float | None
    change_q3_pct: float | None
    min_change_pct: float | None

    def as_json(self) -> dict[str, Any]:
        """One flat object."""
        told = asdict(self)
        return {**told.pop("printed"), **told}


@dataclass(frozen=True)
class Timed:
    """A table timed here: the run, and what it says of each printed time."""

    table: str
    speed: Speed
    ratios: tuple[Ratio, ...]

    def as_json(self) -> dict[str, Any]:
        """The keys of `leansr bench --table --json`."""
        return self.speed.as_json() | {
            "table": self.table,
            "ratios": [ratio.as_json() for ratio in self.ratios],
        }


def tables() -> dict[str, list[Time]]:
    """Every table of times as printed, by paper and number, like `fmen-1`."""
    result: dict[str, list[Time]] = {}
    rows = papers.rows("times")
    printed = {(r["paper"], r["table"], r["model"]): float(r["printed_ms"]) for r in rows}
    for row in rows:
        ms = float(row["printed_ms"])
        change = 100 * (ms / printed[row["paper"], row["table"], row["base"]] - 1)
        result.setdefault(f"{row['paper'].lower()}-{row['table']}", []).append(
            Time(
                model=row["model"],
                variant=row["variant"],
                form=row["form"],
                base=row["base"],
                printed_ms=ms,
                printed_change_pct=float(row["printed_change_pct"] or change),
                device=row["device"],
            )
        )
    return result


def timed(
    table: str,
    threads: int,
    runs: int = 20,
    lr: tuple[int, int] = LR,
    *,
    backend: Backend = "torch",
    dtype: Dtype = "float32",
    warmup: int = 3,
    report: Callable[[str], None] = lambda line: None,
) -> Timed:
    """Times the networks of `table` that are ours; `lr` is height and width.

    Raises UsageError for a table that is not there, and what `bench` raises.
    """
    known = tables()
    if table not in known:
        raise UsageError(f"{table}: no such table of times; one of {', '.join(known)}")
    ours = [f"{time.variant}:{time.form}" for time in known[table] if time.variant]
    speed = bench(
        contenders(ours, SCALE, [backend], dtype),
        lr,
        threads,
        warmup=warmup,
        runs=runs,
        report=report,
    )
    return Timed(table, speed, tuple(ratios(known[table], speed.rows)))


def ratios(printed: Sequence[Time], rows: Sequence[Row]) -> list[Ratio]:
    """What `rows` say of each printed time; they are those of its variants, of one benchmark."""
    found: dict[tuple[str, str], Row] = {(row.variant, row.form): row for row in rows}
    ours = {time.model: found.get((time.variant, time.form)) for time in printed}
    result = []
    for time in printed:
        row, base = ours[time.model], ours[time.base]
        if row is None or base is None:
            result.append(Ratio(time, None, None, None, None, None))
            continue
        changes = 100 * (np.array(row.seconds) / np.array(base.seconds) - 1)
        q1, median, q3 = np.percentile(changes, (25, 50, 75)).tolist()
        shortest = 100 * (row.min_ms / base.min_ms - 1)
        result.append(Ratio(time, row.median_ms, median, q1, q3, shortest))
    return result
