"""Files and folders of pictures: what goes where, and one bad file that does not stop the rest."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from leansr.errors import PictureError, UsageError
from leansr.image.codecs import FORMATS, UNSUPPORTED
from leansr.runtime.choice import Choice, Upscalers
from leansr.runtime.files import Job, upscale_file

Existing = Literal["error", "overwrite", "skip"]


@dataclass(frozen=True)
class Outcome:
    """What became of a job: done with the weights of `choice`, skipped, or failed for `error`."""

    job: Job
    status: Literal["done", "skipped", "failed"]
    error: PictureError | None = None
    choice: Choice | None = None


def plan(inputs: Sequence[Path], output: Path | None, scale: int) -> list[Job]:
    """The jobs of a command line, or UsageError if it does not say where something goes.

    One file goes to the file `output`, or to `photo_x2.jpg` beside `photo.jpg`. Several files, or
    a folder, go to the folder `output` under the same names, subfolders too. An input that an
    earlier call made of another one is not taken for an input again.
    """
    if output is None:
        for path in inputs:
            if os.path.isdir(path):
                raise UsageError(f"{path}: is a folder; say where its pictures go with -o FOLDER")
        jobs = [Job(path, path.with_stem(f"{path.stem}_x{scale}")) for path in inputs]
        made = {_real(job.target) for job in jobs}
        jobs = [job for job in jobs if _real(job.source) not in made]
    else:
        jobs = _into(inputs, output)
    return list(dict.fromkeys(jobs))


def run(jobs: Sequence[Job], upscalers: Upscalers, existing: Existing) -> Iterator[Outcome]:
    """Does the jobs one after the other and yields what became of each."""
    sources = {_real(job.source) for job in jobs}
    taken: set[str] = set()
    for job in jobs:
        try:
            target = _real(job.target)
            if target in taken:
                raise PictureError(f"{job.source}: {job.target} is already another one's output")
            taken.add(target)
            if target in sources:
                raise PictureError(f"{job.source}: {job.target} is an input; give another -o")
            if not _is_wanted(job, existing):
                yield Outcome(job, "skipped")
                continue
            choice = upscale_file(upscalers, job)
        except PictureError as error:
            yield Outcome(job, "failed", error)
        else:
            yield Outcome(job, "done", choice=choice)


def _into(inputs: Sequence[Path], output: Path) -> list[Job]:
    is_single = len(inputs) == 1 and not os.path.isdir(inputs[0])
    is_picture = output.suffix.lower() in FORMATS and not os.path.isdir(output)
    if is_single and is_picture:
        return [Job(inputs[0], output)]
    if is_single and output.suffix.lower() in UNSUPPORTED and not os.path.isdir(output):
        raise UsageError(f"{output}: {output.suffix} cannot be written")
    if is_picture or os.path.isfile(output):
        raise UsageError(f"{output}: is a file; several pictures go to a folder")
    jobs = []
    for path in inputs:
        pictures = list(_pictures(path, output))
        if not pictures and len(inputs) == 1:
            raise UsageError(f"{path}: holds no pictures")
        jobs += [Job(source, output / name) for source, name in pictures]
    return jobs


def _is_wanted(job: Job, existing: Existing) -> bool:
    """Whether the target is to be written; PictureError if it may not be."""
    if os.path.isdir(job.target):
        raise PictureError(f"{job.target}: is a folder where {job.source} should go")
    if not os.path.lexists(job.target):
        return True
    if existing == "error":
        raise PictureError(
            f"{job.target}: exists already; give --overwrite or --skip-existing, or another -o"
        )
    return existing == "overwrite"


def _pictures(path: Path, output: Path) -> Iterator[tuple[Path, Path]]:
    """Every picture of a file or folder with its name below the output; not the output's own."""
    if not os.path.isdir(path):
        yield path, Path(path.name)
        return
    known = {*FORMATS, *UNSUPPORTED}
    inside = _real(output) + os.sep if _real(output).startswith(_real(path) + os.sep) else None
    for source in sorted(path.rglob("*")):
        if source.suffix.lower() not in known or os.path.isdir(source):
            continue
        if inside is None or not _real(source).startswith(inside):
            yield source, source.relative_to(path)


def _real(path: Path) -> str:
    # Path.resolve raises on a loop of links; a loop is the reader's to name.
    return os.path.realpath(path)
