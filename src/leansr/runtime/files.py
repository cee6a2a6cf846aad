"""One picture from its file to that of its larger copy."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from leansr.errors import PictureError
from leansr.image import codecs
from leansr.image.codecs import fitting
from leansr.image.picture import Picture
from leansr.image.strips.open import can_write, reading, writing
from leansr.image.strips.rows import Whole
from leansr.runtime import memory
from leansr.runtime.choice import Choice, Upscalers
from leansr.runtime.upscaler import Upscaler

# Bytes of a picture and of its larger copy together, above which it goes by rows.
LARGE = 1 << 29


@dataclass(frozen=True)
class Job:
    """One picture and where its larger copy goes."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Streamed:
    """What became of a picture that went by rows: its new size, and what could not be kept."""

    choice: Choice
    height: int
    width: int
    notes: tuple[str, ...]


def upscale_file(upscalers: Upscalers, job: Job) -> Choice:
    """Reads, upscales and writes one picture; PictureError if that cannot be."""
    if is_large(job, upscalers.scale):
        return stream(upscalers, job).choice
    picture = load(job, upscalers.scale)
    choice = upscalers.choose(picture)
    save(enlarge(upscalers, picture, str(job.source)), job)
    return choice


def is_large(job: Job, scale: int) -> bool:
    """Whether `stream` is the way for a picture: where its copy's format allows, if it is large.

    PictureError if its size cannot be read.
    """
    size = codecs.size_of(job.source)
    is_one = size.frames == 1 and can_write(job.target)
    return is_one and size.nbytes * (1 + scale**2) > LARGE


def stream(
    upscalers: Upscalers,
    job: Job,
    compression: int | None = None,
    around: codecs.Around = nullcontext,
) -> Streamed:
    """Upscales one picture by rows, a few of which are in memory at once.

    The source too goes by rows where its format allows (`strips.open.reading`), else it is read
    whole. The pixels are those that `enlarge` gives. `compression` and `around` are those of
    `codecs.write`. PictureError if it cannot be.
    """
    source = reading(job.source) or Whole(codecs.read(job.source))
    codecs.check_format(source.sample, job.target)
    choice = upscalers.choose(source.sample)
    upscaler = upscalers.of(choice.kind)
    _, notes = fitting.fitted(_told(source.sample, upscaler), codecs.format_of(job.target))
    height, width = source.height * upscaler.scale, source.width * upscaler.scale
    with (
        _in_memory(str(job.source)),
        writing(job.target, source.sample, height, width, compression, around) as write,
    ):
        for rows in upscaler.bands(source):
            write(rows)
    return Streamed(choice, height, width, notes)


def load(job: Job, scale: int = 1) -> Picture:
    """The picture of a job, if the target can hold it `scale` times as large.

    PictureError if it cannot, or if the picture cannot be read.
    """
    picture = codecs.read(job.source)
    codecs.check_format(picture, job.target, scale)
    return picture


def enlarge(upscalers: Upscalers, picture: Picture, name: str = "the picture") -> Picture:
    """The picture, and what follows it, upscaled by the weights that are chosen for it.

    `name` is for errors: PictureError if it does not fit into memory.
    """
    upscaler = upscalers.of(upscalers.choose(picture).kind)
    with _in_memory(name):
        if picture.more:
            # Each frame alone is checked where it is upscaled.
            result = sum(frame.pixels.nbytes for frame in picture.frames) * upscalers.scale**2
            memory.check(result, "all of its frames")
        return _told(picture.each(upscaler), upscaler)


def save(
    picture: Picture,
    job: Job,
    compression: int | None = None,
    around: codecs.Around = nullcontext,
) -> tuple[str, ...]:
    """Writes the larger copy, whole or not at all, and says what could not be kept.

    `compression` and `around` are those of `codecs.write`. PictureError if it cannot be written.
    """
    return codecs.write(picture, job.target, compression, around)


def _told(picture: Picture, upscaler: Upscaler) -> Picture:
    """The picture with what there is to be told of its upscaling among its notes."""
    if upscaler.caution is None:
        return picture
    return replace(picture, notes=(*picture.notes, upscaler.caution))


@contextmanager
def _in_memory(name: str) -> Iterator[None]:
    try:
        yield
    except MemoryError as cause:
        reason = str(cause) or "use a smaller --tile or fewer --threads"
        raise PictureError(f"{name}: does not fit into memory: {reason}") from cause
