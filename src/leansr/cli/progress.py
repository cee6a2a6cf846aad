"""What a batch of pictures tells while it works, and at its end."""

import contextlib
import os
import sys
import time
from collections import Counter
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import IO, Any

import click

from leansr.cli import options
from leansr.runtime.files import Job
from leansr.runtime.line import Outcome


class Report:
    """Tells of the outcomes of `jobs`: paths or lines of JSON on stdout, all else on stderr.

    A bar on a terminal, moved on by the bytes of the inputs; a summary where there are several.
    """

    def __init__(self, jobs: Sequence[Job], *, verbose: bool, as_json: bool) -> None:
        self._verbose, self._as_json = verbose, as_json
        self._count, self._began = len(jobs), time.perf_counter()
        self._states, self._skipped = Counter[str](), Counter[str]()
        self._megapixels, self._noted = 0.0, set[str]()
        hidden = len(jobs) < 2 or sys.stderr is None or not sys.stderr.isatty()
        self._bar = None if hidden else _bar([_bytes(job.source) for job in jobs])

    def show(self, outcomes: Generator[Outcome]) -> int:
        """Tells of every outcome as it comes; the exit code.

        Where it is interrupted (^C, a signal to end), pictures that are being written are
        finished, all others dropped, and the program is over with 128 + the signal's number.
        """
        try:
            with self._bar or contextlib.nullcontext():
                for outcome in outcomes:
                    self._tell(outcome)
        except (KeyboardInterrupt, SystemExit) as stop:
            code = stop.code if isinstance(stop, SystemExit) else 130
            try:
                outcomes.close()
                self._end(interrupted=True)
            finally:
                _leave(code if isinstance(code, int) else 1)
        self._end(interrupted=False)
        return 1 if self._states["failed"] else 0

    def _tell(self, outcome: Outcome) -> None:
        self._states[outcome.status] += 1
        if outcome.why is not None:
            self._skipped[outcome.why] += 1
        if outcome.made is not None:
            self._megapixels += outcome.made.megapixels
        if self._bar is not None:
            _say(sys.stderr, "\r\x1b[K", newline=False)
        if outcome.error is not None:
            _say(sys.stderr, f"leansr: {options.printable(outcome.error)}")
        elif self._verbose and outcome.choice is not None:
            engine = outcome.choice.engine
            if engine is not None and engine not in self._noted:
                self._noted.add(engine)
                _say(sys.stderr, f"leansr: {engine}")
            line = f"{outcome.job.source}: {outcome.choice.words}"
            _say(sys.stderr, options.printable(line))
        elif self._verbose and outcome.why is not None:
            _say(sys.stderr, options.printable(f"{outcome.job.source}: skipped, {outcome.why}"))
        for note in outcome.notes:
            # Once: of a folder of photos it is the same for each.
            if note not in self._noted:
                self._noted.add(note)
                _say(sys.stderr, options.printable(f"leansr: {outcome.job.source}: {note}"))
        if self._as_json:
            _say(sys.stdout, options.json_line(_row(outcome)))
        elif outcome.status in ("done", "planned") and outcome.job.target != Path("-"):
            # As bytes: a name need not be text in the encoding of stdout.
            _say(sys.stdout, os.fsencode(outcome.job.target))
        if self._bar is not None:
            speed = self._megapixels / max(1e-9, time.perf_counter() - self._began)
            self._bar.update(_bytes(outcome.job.source), (sum(self._states.values()), speed))

    def _end(self, *, interrupted: bool) -> None:
        seconds = time.perf_counter() - self._began
        if self._as_json:
            states = {state: self._states[state] for state in ("done", "skipped", "failed")}
            if self._states["planned"]:
                states["planned"] = self._states["planned"]
            figures = {"megapixels": self._megapixels, "seconds": seconds}
            value = {"schema": 1, "status": "summary"} | states | figures
            _say(sys.stdout, options.json_line(value | {"interrupted": interrupted}))
        if self._count > 1 or interrupted:
            _say(sys.stderr, f"leansr: {self._summary(seconds, interrupted)}")

    def _summary(self, seconds: float, interrupted: bool) -> str:
        parts = []
        if self._states["planned"]:
            parts.append(f"{self._states['planned']} to do")
        else:
            speed = self._megapixels / seconds
            work = f"{self._megapixels:.1f} megapixels in {seconds:.1f} s, {speed:.2f} a second"
            parts.append(f"{self._states['done']} done" + (f" ({work})" * bool(self._megapixels)))
        if self._skipped:
            reasons = ", ".join(f"{count} {why}" for why, count in self._skipped.items())
            parts.append(f"{self._states['skipped']} skipped ({reasons})")
        if self._states["failed"]:
            parts.append(f"{self._states['failed']} failed, each named above")
        if interrupted:
            left = self._count - sum(self._states.values())
            parts.append(f"interrupted, at most {left} not done")
        return "; ".join(parts)


def _row(outcome: Outcome) -> dict[str, Any]:
    row: dict[str, Any] = {
        "schema": 1,
        "status": outcome.status,
        "source": str(outcome.job.source),
        "target": str(outcome.job.target),
    }
    if outcome.error is not None:
        row["reason"] = str(outcome.error)
    if outcome.why is not None:
        row["reason"] = outcome.why
    if outcome.notes:
        row["notes"] = list(outcome.notes)
    if outcome.made is not None and outcome.choice is not None:
        made = outcome.made
        row |= {"model": made.model, "steps": list(made.steps), "weights": outcome.choice.kind}
        if outcome.choice.engine is not None:
            row["engine"] = outcome.choice.engine
        row |= {"width": made.width, "height": made.height}
        row["seconds"] = {"read": made.read, "upscale": made.upscale, "write": made.write}
    return row


def _say(stream: IO[Any] | None, text: str | bytes, newline: bool = True) -> None:
    """A line on a stream; where nobody reads it any more, the work goes on without it."""
    if stream is None:
        return
    try:
        click.echo(text, file=stream, nl=newline)
        stream.flush()
    except BrokenPipeError:
        # What follows goes nowhere, the last flush of the interpreter too.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _leave(code: int) -> None:
    # Threads that are in the middle of a picture are not waited for: they have no file open.
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


def _bytes(path: Path) -> int:
    try:
        return max(1, path.stat().st_size)
    except OSError:
        return 1


def _bar(sizes: Sequence[int]) -> Any:
    def shown(state: tuple[int, float] | None) -> str:
        done, speed = state or (0, 0.0)
        return f"{done} of {len(sizes)}, {speed:.2f} megapixels/s"

    return click.progressbar(
        length=sum(sizes), label="Upscaling", file=sys.stderr, item_show_func=shown
    )
