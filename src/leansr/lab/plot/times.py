"""Times that `leansr bench` measured, for figures."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from leansr.errors import DataError, UsageError
from leansr.lab.measure.speed_text import ways


@dataclass(frozen=True)
class Times:
    """Median milliseconds by variant, and how they were measured, in words."""

    ms: dict[str, float]
    how: str


def read_times(path: Path, scale: int) -> Times:
    """The times in a file of `leansr bench --json`.

    DataError if it is none, or a time is not finite and above 0; UsageError if it is of another
    scale or has a variant twice.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        rows = value["rows"]
        names = [str(row["variant"]) for row in rows]
        ms = {str(row["variant"]): float(row["median_ms"]) for row in rows}
        at = value["scale"]
        if not isinstance(at, int) or not all(0 < one < math.inf for one in ms.values()):
            raise ValueError
        height, width = value["lr_size"]
        how = f"median for {width} x {height} in, {ways(rows)}"
        machine = f"{value['machine']['cpu']}, threads: {value['machine']['threads']}"
    except OSError as cause:
        raise DataError(f"{path}: cannot be read ({cause.strerror})") from cause
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as cause:
        raise DataError(f"{path}: was not written by `leansr bench --json`") from cause
    if at != scale:
        raise UsageError(f"{path}: was timed at x{at}, not x{scale}")
    if len(ms) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"{path}: has {twice} more than once; time one form, backend and dtype")
    return Times(ms, f"{how}, {machine}")
