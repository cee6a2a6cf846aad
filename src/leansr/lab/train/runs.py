"""Runs as their folders tell them, and how their recipes differ."""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

import msgspec

from leansr.errors import DataError, WeightsError
from leansr.lab.train.checkpoint import BEFORE, NEWEST, check_whole
from leansr.lab.train.log import Row, read_rows
from leansr.lab.train.recipe import Recipe, is_same_run
from leansr.lab.weights import Trained, read_facts

State = Literal["finished", "running?", "stopped", "lost"]
RECIPE, LOG, WEIGHTS, REPORT = "recipe.json", "log.csv", "weights.safetensors", "report.md"
# A run that goes on writes a checkpoint every three minutes.
_QUIET_MINUTES = 10.0


@dataclass(frozen=True)
class Record:
    """A run: what it is made by, the rows of its log, and where it stands.

    `state` is "finished" when the budget is used, else "running?" if something was written in the
    last ten minutes and no report after it, "lost" if there is no whole checkpoint to go on from,
    "stopped" if there is.
    """

    folder: Path
    recipe: Recipe
    rows: tuple[Row, ...]
    state: State

    @property
    def last(self) -> Row | None:
        """The newest row of the log, None if it has just begun."""
        return self.rows[-1] if self.rows else None

    @property
    def best(self) -> Row | None:
        """The row with the highest validation PSNR, None if there was no validation."""
        known = [row for row in self.rows if row.val_psnr is not None]
        return max(known, key=lambda row: row.val_psnr or 0.0, default=None)

    @property
    def steps_per_s(self) -> float | None:
        """The median over the log, which a pause of the machine does not move."""
        return median(row.steps_per_s for row in self.rows) if self.rows else None

    def as_json(self) -> dict[str, Any]:
        """A row of `leansr runs --json`, without the run's name and its differences."""
        last, best, schedule = self.last, self.best, self.recipe.schedule
        return {
            "folder": str(self.folder),
            "variant": self.recipe.variant,
            "scale": self.recipe.scale,
            "state": self.state,
            "step": last.step if last else 0,
            "of_steps": schedule.steps,
            "minutes": last.minutes if last else 0.0,
            "of_minutes": schedule.minutes,
            "steps_per_s": self.steps_per_s,
            "waiting_pct": last.waiting_pct if last else None,
            "loss": last.loss if last else None,
            "best_psnr": best.val_psnr if best else None,
            "best_step": best.step if best else None,
        }


def find_runs(folder: Path) -> list[Path]:
    """`folder` itself if it is a run's, else every run's below it; DataError if there is none."""
    if not folder.is_dir():
        raise DataError(f"{folder}: is not a folder")
    marks = (RECIPE, LOG, NEWEST, BEFORE)
    if any((folder / name).exists() for name in marks):
        return [folder]
    found = sorted({path.parent for name in marks for path in folder.rglob(name)})
    if not found:
        raise DataError(f"{folder}: holds no run of `leansr train`")
    return found


def read_record(folder: Path) -> Record:
    """The run in `folder`; DataError, naming the file, if a part of it is missing or damaged."""
    recipe = read_recipe(folder)
    rows = tuple(read_rows(folder / LOG))
    return Record(folder, recipe, rows, _state(folder, recipe, rows))


def is_over(folder: Path, recipe: Recipe) -> bool:
    """Whether the run of `recipe` in `folder` has used its budget, by its files alone.

    Its report, which is written last, must be there: a run may be killed after the last row of its
    log and before the last checkpoint. Where a file is missing or damaged, checkpoints decide.
    """
    try:
        record = read_record(folder)
    except DataError:
        return False
    is_whole = has_ended(folder) and read_weights_facts(folder) is not None
    return is_whole and record.state == "finished" and is_same_run(record.recipe, recipe)


def read_weights_facts(folder: Path) -> Trained | None:
    """What a run's weights say of themselves; None if they are missing or cannot be read."""
    try:
        facts = read_facts(folder / WEIGHTS)
    except WeightsError:
        return None
    return facts if isinstance(facts, Trained) else None


def unfinished(weights: Path) -> str | None:
    """What is to be said of weights of a run that is not over; None if there is nothing.

    Weights are a run's best, which may be from before its end: its folder decides, where they still
    lie in it. WeightsError if they cannot be read.
    """
    facts = read_facts(weights)
    if not isinstance(facts, Trained):
        return None
    schedule = facts.recipe.schedule
    if schedule.steps is not None:
        done, budget, unit = float(facts.steps), float(schedule.steps), "steps"
    else:
        # The header's minutes have one decimal.
        done, budget, unit = facts.minutes, round(schedule.minutes or 0.0, 1), "minutes"
    state = None
    if weights.name == WEIGHTS:
        with suppress(DataError):
            state = read_record(weights.parent).state
    if done >= budget or state == "finished":
        return None
    why = "the run is not over" if state else "the run was stopped, or this is its best"
    return f"{weights}: after {done:.10g} of {budget:.10g} {unit}; {why}"


def read_recipe(folder: Path) -> Recipe:
    """The recipe of a run with all that it leaves to defaults; DataError if it is not there."""
    path = folder / RECIPE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Recipe)
    except OSError as cause:
        raise DataError(f"{path}: cannot be read ({cause.strerror}); is it a run?") from cause
    except (msgspec.MsgspecError, ValueError) as cause:
        raise DataError(f"{path}: is not the recipe of a run ({cause})") from cause


def settings(recipe: Recipe) -> dict[str, Any]:
    """Every key of a recipe, those of its tables as `table.key`; a table that is not there: None.

    >>> from leansr.lab.train.recipe import load
    >>> settings(load("sesr-m5_x2"))["schedule.warmup_steps"]
    300
    """
    found: dict[str, Any] = {}

    def collect(table: dict[str, Any], prefix: str) -> None:
        for key, value in table.items():
            if isinstance(value, dict) and value:
                collect(value, f"{prefix}{key}.")
            else:
                found[prefix + key] = value or None if isinstance(value, dict) else value

    collect(json.loads(msgspec.json.encode(recipe)), "")
    return found


def differences(recipes: Sequence[Recipe]) -> list[dict[str, Any]]:
    """Of each recipe the settings that are not the same in all of them.

    Without variant and scale, which every table of runs names, and without what is expected.
    """
    each = [
        {
            key: value
            for key, value in settings(recipe).items()
            if key not in ("variant", "scale") and key.partition(".")[0] != "expect"
        }
        for recipe in recipes
    ]
    absent = object()

    def differs(key: str) -> bool:
        first, *others = (json.dumps(own[key]) if key in own else absent for own in each)
        return any(other != first for other in others)

    return [{key: value for key, value in own.items() if differs(key)} for own in each]


def usual(told: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of the differences of several recipes, what more than half of the recipes have."""
    found = {}
    for key in sorted({key for own in told for key in own}):
        values = [json.dumps(own[key]) for own in told if key in own]
        most = max(values, key=values.count)
        if values.count(most) * 2 > len(told):
            found[key] = json.loads(most)
    return found


def _state(folder: Path, recipe: Recipe, rows: Sequence[Row]) -> State:
    schedule = recipe.schedule
    if rows:
        # The log's minutes have two decimals.
        is_over = (
            rows[-1].step >= schedule.steps
            if schedule.steps is not None
            else rows[-1].minutes >= round(schedule.minutes or 0.0, 2)
        )
        if is_over:
            return "finished"
    if not has_ended(folder) and time.time() - _newest(folder) < _QUIET_MINUTES * 60:
        return "running?"
    return "stopped" if any(map(_is_whole, _checkpoints(folder))) else "lost"


def has_ended(folder: Path) -> bool:
    """Whether the report is newer than log and checkpoints: an earlier stop has left one too."""
    report = folder / REPORT
    return report.exists() and report.stat().st_mtime >= _newest(folder)


def _newest(folder: Path) -> float:
    """When log or checkpoints were last written, as a file's time."""
    written = [path for path in (*_checkpoints(folder), folder / LOG) if path.exists()]
    return max((path.stat().st_mtime for path in written), default=0.0)


def _checkpoints(folder: Path) -> list[Path]:
    return [path for path in (folder / NEWEST, folder / BEFORE) if path.exists()]


def _is_whole(path: Path) -> bool:
    try:
        check_whole(path)
    except DataError:
        return False
    return True
