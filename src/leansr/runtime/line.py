"""The stages that a picture of a batch goes through, and what becomes of it."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Literal

from leansr.errors import PictureError
from leansr.image import codecs
from leansr.image.picture import Picture
from leansr.runtime import files
from leansr.runtime.choice import Choice, Upscalers
from leansr.runtime.files import Job
from leansr.runtime.manifest import Manifest, sha256
from leansr.runtime.pipeline import Done
from leansr.runtime.route import Enlarged, Way

Existing = Literal["error", "overwrite", "skip"]
# A job, and why it cannot be one of these jobs.
Claim = tuple[Job, PictureError | None]


@dataclass(frozen=True)
class Made:
    """What became of a picture: the model and its steps, its new size, and the stages' seconds.

    A picture that went by rows (`files.stream`) has all its seconds in `upscale`.
    """

    model: str | None
    steps: tuple[int, ...]
    width: int
    height: int
    read: float
    upscale: float
    write: float

    @property
    def megapixels(self) -> float:
        """Of the larger copy."""
        return self.width * self.height / 1e6


@dataclass(frozen=True)
class Outcome:
    """What became of a job: done with the weights of `choice`, skipped, or failed for `error`.

    "planned" is what would be done. `why` says why it was skipped, `notes` what could not be kept.
    """

    job: Job
    status: Literal["done", "skipped", "failed", "planned"]
    error: PictureError | None = None
    choice: Choice | None = None
    made: Made | None = None
    why: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Larger:
    enlarged: Enlarged
    read: float
    upscale: float


class Line:
    """The stages of a job, each called with it and with what the one before made."""

    def __init__(
        self, way: Way, existing: Existing, manifest: Manifest | None, compression: int | None
    ) -> None:
        self._way, self._existing, self._manifest = way, existing, manifest
        self._compression = compression
        self._sources: dict[Job, str] = {}
        self._large: dict[Job, Upscalers] = {}
        # Half-written, of pictures that go by rows.
        self._parts: set[Path] = set()

    def admit(self, claim: Claim) -> float | Done[Outcome]:
        job, error = claim
        if error is not None:
            raise error
        _check_listed(job.source)
        if self._manifest is not None:
            self._sources[job] = sha256(job.source)
        why = why_not(job, self._existing, self._manifest, self._sources.get(job))
        if why is not None:
            return Done(Outcome(job, "skipped", why=why))
        size, only = codecs.size_of(job.source), self._way.only()
        pixels = size.pixels
        if only is not None and files.is_large(job, only.scale):
            self._large[job] = only
        else:
            pixels += size.frames * self._way.area(size.height, size.width)
        # Of the smallest pictures no more are read ahead than there are megapixels of room.
        return max(1.0, pixels / 1e6)

    def load(self, claim: Claim) -> tuple[Picture, float] | None:
        job, _ = claim
        if job in self._large:
            return None
        began = time.perf_counter()
        picture = codecs.read(job.source)
        sizes = [frame.pixels.shape[:2] for frame in picture.frames]
        larger = [self._way.sides(high, wide, str(job.source)) for high, wide in sizes]
        longest, becomes = (max(max(size) for size in each) for each in (sizes, larger))
        codecs.check_format(picture, job.target, Fraction(becomes, longest))
        return picture, time.perf_counter() - began

    def enlarge(self, claim: Claim, loaded: Any) -> _Larger | Done[Outcome]:
        job, _ = claim
        if job in self._large:
            return Done(self._stream(job, self._large[job]))
        picture, read = loaded
        began = time.perf_counter()
        enlarged = self._way.enlarge(picture, str(job.source))
        return _Larger(enlarged, read, time.perf_counter() - began)

    def save(self, claim: Claim, larger: _Larger) -> Outcome:
        job, _ = claim
        enlarged, began = larger.enlarged, time.perf_counter()
        around = partial(self._around, job)
        notes = files.save(enlarged.picture, job, self._compression, around)
        height, width = enlarged.picture.pixels.shape[:2]
        seconds = larger.read, larger.upscale, time.perf_counter() - began
        made = Made(enlarged.model, enlarged.steps, width, height, *seconds)
        notes = *enlarged.notes, *notes
        return Outcome(job, "done", choice=enlarged.choice, made=made, notes=notes)

    def _stream(self, job: Job, upscalers: Upscalers) -> Outcome:
        began = time.perf_counter()
        around = partial(self._around_rows, job)
        done = files.stream(upscalers, job, self._compression, around)
        seconds = 0.0, time.perf_counter() - began, 0.0
        steps = (upscalers.scale,)
        made = Made(upscalers.model, steps, done.width, done.height, *seconds)
        return Outcome(job, "done", choice=done.choice, made=made, notes=done.notes)

    def give_up(self) -> None:
        """Removes what is half-written of large pictures, for which nobody waits."""
        for part in self._parts.copy():
            # On Windows it stays while it is open.
            with suppress(OSError):
                part.unlink(missing_ok=True)

    @contextmanager
    def _around(self, job: Job, part: Path) -> Iterator[None]:
        yield
        if self._manifest is not None:
            self._manifest.add(self._sources[job], job.target, part)

    @contextmanager
    def _around_rows(self, job: Job, part: Path) -> Iterator[None]:
        self._parts.add(part)
        try:
            with self._around(job, part):
                yield
        finally:
            self._parts.discard(part)


def why_not(
    job: Job, existing: Existing, manifest: Manifest | None, source: str | None = None
) -> str | None:
    """Why the target need not be written, None if it is to be; PictureError if it may not be.

    `source` is the input's SHA-256 where it is known already.
    """
    if os.path.isdir(job.target):
        raise PictureError(f"{job.target}: is a folder where {job.source} should go")
    if not os.path.lexists(job.target):
        return None
    if manifest is not None:
        standing = manifest.standing(source or sha256(job.source), job.target)
        if standing == "done":
            return "done before"
        if standing == "stale":
            return None
    if existing == "error":
        known = " and was not made by this batch" if manifest is not None else ""
        raise PictureError(
            f"{job.target}: exists already{known}; give --overwrite or --skip-existing, "
            f"or another -o"
        )
    return "exists" if existing == "skip" else None


def _check_listed(folder: Path) -> None:
    """PictureError for a folder, which is among the jobs where it could not be listed."""
    if os.path.isdir(folder):
        try:
            os.scandir(folder).close()
        except OSError as cause:
            raise PictureError(f"{folder}: cannot be listed ({cause.strerror})") from cause
