"""One picture from standard input, to standard output, or both."""

import shutil
import sys
import tempfile
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

from leansr.errors import PictureError, UsageError
from leansr.image.codecs import formats
from leansr.runtime import batch
from leansr.runtime.files import Job
from leansr.runtime.line import Existing, Outcome
from leansr.runtime.plan import check_suffix
from leansr.runtime.route import Way

STANDARD = Path("-")
# As many as tell a format.
_HEAD = 64


def run(
    inputs: Sequence[Path],
    output: Path | None,
    way: Way,
    existing: Existing,
    suffix: str | None,
    compression: int | None,
) -> Generator[Outcome]:
    """Upscales the one picture of `inputs` to `output`, of which one at least is STANDARD.

    Without `output` it goes to standard output, in the format of the suffix, or in that of the
    input if there is none. It passes through files, so memory does not depend on which way it
    comes. Raises UsageError if it does not say where something goes.
    """
    source, target = inputs[0], output or STANDARD
    if len(inputs) != 1 or source.is_dir():
        raise UsageError("- is for one picture, and there is nothing beside it")
    if target != STANDARD:
        if target.is_dir() or not target.suffix:
            raise UsageError(f"{target}: standard input has no name; give a file with -o")
        check_suffix(target, suffix)
    elif sys.stdout is None:
        raise UsageError("standard output is closed; give -o FILE")
    elif sys.stdout.isatty():
        raise UsageError("standard output is a terminal; give -o FILE, or lead it to a program")
    if source == STANDARD and sys.stdin is None:
        raise UsageError("standard input is closed; give a file")
    with tempfile.TemporaryDirectory(prefix="leansr-") as folder:
        try:
            job = Job(source, target)
            outcome = _run(job, Path(folder), way, existing, suffix, compression)
        except PictureError as error:
            named = str(error).replace(str(Path(folder, "in")), "standard input")
            outcome = Outcome(Job(source, target), "failed", PictureError(named))
    yield outcome


def _run(
    job: Job,
    folder: Path,
    way: Way,
    existing: Existing,
    suffix: str | None,
    compression: int | None,
) -> Outcome:
    source, target = job.source, job.target
    if source == STANDARD:
        source = folder / "in"
        # Before there is a copy of what may have no end.
        head = sys.stdin.buffer.read(_HEAD)
        _told(head, source)
        with source.open("wb") as file:
            file.write(head)
            shutil.copyfileobj(sys.stdin.buffer, file)
    if target == STANDARD:
        target = folder / f"out{suffix or _suffix_of(source)}"
    (outcome,) = batch.run([Job(source, target)], way, existing, compression=compression)
    if outcome.error is not None:
        raise outcome.error
    if job.target == STANDARD:
        try:
            with target.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        except BrokenPipeError as cause:
            raise PictureError("standard output: was closed before the end") from cause
    return replace(outcome, job=job)


def _suffix_of(source: Path) -> str:
    """The suffix of its format, by its content."""
    try:
        with source.open("rb") as file:
            return _told(file.read(_HEAD), source).suffixes[0]
    except OSError as cause:
        raise PictureError(f"{source}: cannot be read ({cause.strerror})") from cause


def _told(head: bytes, source: Path) -> formats.Format:
    found = formats.told(head)
    if found is None:
        raise PictureError(f"{source}: is not a picture that can be decoded")
    return found
