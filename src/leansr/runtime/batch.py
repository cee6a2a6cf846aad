"""Files and folders of pictures: what goes where, and one bad file that does not stop the rest."""

import os
import re
import time
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from leansr.errors import PictureError
from leansr.runtime import pipeline
from leansr.runtime.choice import Upscalers
from leansr.runtime.files import Job
from leansr.runtime.inputs import real
from leansr.runtime.line import Claim, Existing, Line, Made, Outcome, why_not
from leansr.runtime.manifest import Manifest
from leansr.runtime.pipeline import Stages
from leansr.runtime.plan import plan
from leansr.runtime.route import Single, Way

__all__ = ["Existing", "Job", "Made", "Outcome", "plan", "preview", "run"]

# Seconds after which nobody writes a temporary file any more that was not written to.
_ABANDONED = 3600
# As `codecs.beside` names them.
_PART = re.compile(r"\.(?P<name>.+)\.[a-z0-9_]{8}\.part", re.DOTALL)


def preview(
    jobs: Sequence[Job], existing: Existing, manifest: Manifest | None = None
) -> Generator[Outcome]:
    """What `run` would do, as far as it can be told without opening a picture."""
    for job, error in _claimed(jobs):
        try:
            if error is not None:
                raise error
            if not os.path.exists(job.source):
                raise PictureError(f"{job.source}: no such file")
            why = why_not(job, existing, manifest)
        except PictureError as refused:
            yield Outcome(job, "failed", refused)
        else:
            yield Outcome(job, "skipped", why=why) if why else Outcome(job, "planned")


def run(
    jobs: Sequence[Job],
    way: Way | Upscalers,
    existing: Existing,
    *,
    workers: int = 1,
    manifest: Manifest | None = None,
    compression: int | None = None,
) -> Generator[Outcome]:
    """Does the jobs, `workers` at once, and yields what became of each, in their order.

    While a picture is upscaled, others are read and written. With a `manifest` what it knows to
    be done is skipped. What an earlier run left half-written is removed. `compression`, 0 to 9,
    is that of `codecs.write`.
    """
    way = Single(way) if isinstance(way, Upscalers) else way
    line = Line(way, existing, manifest, compression)
    claimed = list(_claimed(jobs))
    _sweep([job for job, error in claimed if error is None])
    stages = Stages(line.admit, line.load, line.enlarge, line.save)
    results = pipeline.run(claimed, stages, workers)
    try:
        with closing(results):
            for (job, _), result in zip(claimed, results, strict=True):
                if isinstance(result, PictureError):
                    result = Outcome(job, "failed", result)
                yield result
    finally:
        line.give_up()


def _claimed(jobs: Sequence[Job]) -> Iterator[Claim]:
    """Each job; the first of those with one output has it, and no input is an output."""
    sources = {real(job.source) for job in jobs}
    taken: set[str] = set()
    for job in jobs:
        target = real(job.target)
        error = None
        if target in taken:
            error = PictureError(f"{job.source}: {job.target} is already another one's output")
        elif target in sources:
            error = PictureError(f"{job.source}: {job.target} is an input; give another -o")
        taken.add(target)
        yield job, error


def _sweep(jobs: Collection[Job]) -> None:
    """Removes temporary files of these outputs that nobody writes any more."""
    names: dict[Path, set[str]] = {}
    for job in jobs:
        names.setdefault(job.target.parent, set()).add(job.target.name[:64])
    for folder, known in names.items():
        try:
            for entry in os.scandir(folder):
                part = _PART.fullmatch(entry.name)
                if part is None or part["name"] not in known:
                    continue
                if time.time() - entry.stat().st_mtime >= _ABANDONED:
                    os.unlink(entry.path)
        except OSError:
            # No such folder yet, or somebody else's file: nothing that would stop the work.
            continue
