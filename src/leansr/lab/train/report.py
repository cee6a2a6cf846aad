"""The report of a run: a page and a picture of its curves, made of what lies in its folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from leansr.errors import DataError, LeanSRError
from leansr.image.codecs import beside
from leansr.lab.plot.curves import draw_curves
from leansr.lab.plot.style import plain, write
from leansr.lab.train.environment import NONE
from leansr.lab.train.runs import (
    REPORT,
    WEIGHTS,
    Record,
    has_ended,
    read_record,
    read_weights_facts,
    settings,
)
from leansr.lab.weights import Trained

ENVIRONMENT, CURVES = "environment.json", "curves.png"


def tell_over(folder: Path, tell: Callable[[str], None]) -> None:
    """Says that a run is over, and writes its report if that is not there."""
    if not has_ended(folder):
        try_report(folder, tell)
    tell(f"{folder}: the run is over; its weights are in {WEIGHTS}")


def try_report(folder: Path, tell: Callable[[str], None]) -> None:
    """`write_report`, whose failure is no more than a line."""
    try:
        write_report(folder)
    except LeanSRError as error:
        tell(f"{error}; the run itself is saved")


def write_report(folder: Path) -> None:
    """Writes report.md of a run, and curves.png once its log has a row.

    Weights that cannot be read count as none. DataError if another file of the run is damaged,
    DataError or PictureError if the report cannot be written.
    """
    record = read_record(folder)
    facts = read_weights_facts(folder)
    lines = [
        f"# {record.recipe.variant} x{record.recipe.scale}: {plain(folder.resolve().name)}",
        "",
        *_standing(record),
        "",
        *_quality(record),
    ]
    if record.rows:
        name = plain(folder.resolve().name)
        write(draw_curves({name: record.rows}, "step"), folder / CURVES)
        lines += ["", f"![Validation PSNR and loss over the steps]({CURVES})"]
    lines += ["", "## What it was trained on", "", *_trained_on(facts)]
    lines += ["", "## Recipe", "", *_table(settings(record.recipe))]
    lines += ["", "## Versions and machine, at the last start", "", *_table(_environment(folder))]
    try:
        with beside(folder / REPORT) as part:
            part.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as cause:
        reason = cause.strerror or cause
        raise DataError(f"{folder / REPORT}: cannot be written ({reason})") from cause


def _standing(record: Record) -> list[str]:
    last, schedule = record.last, record.recipe.schedule
    if last is None:
        return ["It has just begun: nothing stands in its log yet."]
    of = f" of {schedule.steps}" if schedule.steps is not None else ""
    budget = f" of {schedule.minutes:g}" if schedule.minutes is not None else ""
    is_over = record.state == "finished"
    lines = [
        f"{'Finished' if is_over else 'Not finished'}: {last.step}{of} steps in "
        f"{last.minutes:g}{budget} minutes of training, validation not counted; "
        f"{record.steps_per_s:.3g} steps/s (median)."
    ]
    waited = [row.waiting_pct for row in record.rows if row.waiting_pct is not None]
    if waited:
        mean = sum(waited) / len(waited)
        lines.append(
            f"Waiting for data took {mean:.1f} % of the steps' time, at most {max(waited):.1f} % "
            f"between two rows of the log."
        )
    return lines


def _quality(record: Record) -> list[str]:
    lines = []
    if record.best is not None and record.last is not None:
        lines.append(
            f"Validation: best {record.best.val_psnr:.3f} dB at step {record.best.step}, which is "
            f"`{WEIGHTS}`; at the end {_decibels(record.last.val_psnr)} at step {record.last.step}."
        )
    elif record.last is not None:
        lines.append(f"No validation pictures were given: `{WEIGHTS}` is the newest average.")
    expect = record.recipe.expect
    if expect is not None:
        lines.append(
            f"The recipe expects {expect.set5_psnr_y:g} dB on Set5 and {expect.set14_psnr_y:g} dB "
            f"on Set14 (luma; {plain(expect.source)}); `leansr evaluate` measures it."
        )
    return lines


def _trained_on(facts: Trained | None) -> list[str]:
    if facts is None:
        return ["There are no weights that can be read."]
    lines = [f"Pictures: {plain(facts.data)}; licence: {plain(facts.data_licence)}."]
    if facts.device:
        lines.append(f"On {plain(facts.device)}.")
    if facts.start_sha256:
        lines.append(f"It started from weights of SHA-256 `{facts.start_sha256}`.")
    return lines


def _table(values: dict[str, Any]) -> list[str]:
    told = {key: _told(value) for key, value in values.items() if value not in (None, [])}
    rows = [f"| {key} | {value} |" for key, value in told.items()]
    return ["| | |", "| --- | --- |", *rows] if rows else ["Not recorded."]


def _told(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return plain(text).replace("|", "\\|")


def _decibels(psnr: float | None) -> str:
    return "not validated" if psnr is None else f"{psnr:.3f} dB"


def _environment(folder: Path) -> dict[str, Any]:
    path = folder / ENVIRONMENT
    if not path.exists():
        return {}
    try:
        told: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        return {key: value for key, value in told.items() if value != NONE}
    except (OSError, ValueError, AttributeError) as cause:
        raise DataError(f"{path}: cannot be read ({cause})") from cause
