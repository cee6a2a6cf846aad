"""Files and folders of pictures: what goes where, and one bad file that does not stop the rest."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from leansr.errors import PictureError, UsageError
from leansr.image import codecs
from leansr.image.codecs import FORMATS, UNSUPPORTED
from leansr.runtime.upscaler import Upscaler

Existing = Literal["error", "overwrite", "skip"]


@dataclass(frozen=True)
class Job:
    """One picture and where its larger copy goes."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Outcome:
    """What became of a job: done, skipped, or failed for `error`."""

    job: Job
    status: Literal["done", "skipped", "failed"]
    error: PictureError | None = None


def plan(inputs: Sequence[Path], output: Path | None, scale: int) -> list[Job]:
    """The jobs of a command line, or UsageError if it does not say where something goes.

    One file goes to the file `output`, or to `photo_x2.jpg` beside `photo.jpg`. Several files, or
    a folder, go to the folder `output` under the same names, subfolders too.
    """
    for path in inputs:
        if not path.exists() and not path.suffix:
            raise UsageError(f"{path}: no such file or folder")
    if output is None:
        for path in inputs:
            if path.is_dir():
                raise UsageError(f"{path}: is a folder; say where its pictures go with -o FOLDER")
        return [Job(path, path.with_stem(f"{path.stem}_x{scale}")) for path in inputs]
    is_single = len(inputs) == 1 and not inputs[0].is_dir()
    if is_single and not output.is_dir() and output.suffix.lower() in FORMATS:
        return [Job(inputs[0], output)]
    if output.is_file() or (is_single and output.suffix and not output.is_dir()):
        codecs.format_of(output)
        raise UsageError(f"{output}: is a file; several pictures go to a folder")
    jobs = []
    for path in inputs:
        pictures = list(_pictures(path, output))
        if not pictures:
            raise UsageError(f"{path}: holds no pictures")
        jobs += [Job(source, output / name) for source, name in pictures]
    return jobs


def run(
    jobs: Iterable[Job], upscaler: Callable[[], Upscaler], existing: Existing
) -> Iterator[Outcome]:
    """Does the jobs one after the other and yields what became of each.

    `upscaler` is called once, when the first picture that is needed has been found.
    """
    ready: Upscaler | None = None
    taken: set[Path] = set()
    for job in jobs:
        try:
            if job.target.resolve() in taken:
                raise PictureError(f"{job.source}: {job.target} is already another one's output")
            taken.add(job.target.resolve())
            if not _is_wanted(job, existing):
                yield Outcome(job, "skipped")
                continue
            if ready is None:
                ready = upscaler()
            upscale_file(ready, job)
        except PictureError as error:
            yield Outcome(job, "failed", error)
        else:
            yield Outcome(job, "done")


def upscale_file(upscaler: Upscaler, job: Job) -> None:
    """Reads, upscales and writes one picture; PictureError if that cannot be."""
    picture = codecs.read(job.source)
    codecs.check_format(picture, job.target)
    codecs.write(picture.with_pixels(upscaler(picture.pixels)), job.target)


def _is_wanted(job: Job, existing: Existing) -> bool:
    """Whether the target is to be written; PictureError if it may not be."""
    if not job.target.exists():
        return True
    if job.source.exists() and job.target.samefile(job.source):
        raise PictureError(f"{job.source}: would be overwritten by its own output")
    if existing == "error":
        raise PictureError(
            f"{job.target}: exists already; give --overwrite or --skip-existing, or another -o"
        )
    return existing == "overwrite"


def _pictures(path: Path, output: Path) -> Iterator[tuple[Path, Path]]:
    """Every picture of a file or folder with its name below the output; not the output's own."""
    if not path.is_dir():
        yield path, Path(path.name)
        return
    known = {*FORMATS, *UNSUPPORTED}
    for source in sorted(path.rglob("*")):
        is_output = output != path and output.resolve() in source.resolve().parents
        if source.suffix.lower() in known and source.is_file() and not is_output:
            yield source, source.relative_to(path)
