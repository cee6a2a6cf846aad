"""One picture from its file to that of its larger copy."""

from dataclasses import dataclass
from pathlib import Path

from leansr.errors import PictureError
from leansr.image import codecs
from leansr.runtime.choice import Choice, Upscalers


@dataclass(frozen=True)
class Job:
    """One picture and where its larger copy goes."""

    source: Path
    target: Path


def upscale_file(upscalers: Upscalers, job: Job) -> Choice:
    """Reads, upscales and writes one picture; PictureError if that cannot be."""
    picture = codecs.read(job.source)
    codecs.check_format(picture, job.target, upscalers.scale)
    choice = upscalers.choose(picture)
    upscaler = upscalers.of(choice.kind)
    try:
        pixels = upscaler(picture.pixels)
    except MemoryError as cause:
        raise PictureError(
            f"{job.source}: does not fit into memory; try a smaller --tile or fewer --threads"
        ) from cause
    codecs.write(picture.with_pixels(pixels), job.target)
    return choice
