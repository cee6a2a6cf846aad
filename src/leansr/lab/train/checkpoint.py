"""What a run needs to go on: the last two checkpoints, one of them whole at every moment."""

import hashlib
import io
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import torch

from leansr.errors import DataError
from leansr.image.codecs import beside
from leansr.lab.train.pictures import Pair

NEWEST, BEFORE = "checkpoint.pt", "checkpoint-before.pt"


class Checkpoints:
    """`checkpoint.pt` of a run's folder, and `checkpoint-before.pt`, the one before it.

    A state is a nesting of tensors, numbers and strings, and tells its step as
    `state["progress"]["step"]`. Warnings go to `report`, a line each.
    """

    def __init__(self, folder: Path, report: Callable[[str], None]) -> None:
        self._newest, self._before = folder / NEWEST, folder / BEFORE
        self._report = report
        self._step: int | None = None
        self._is_newest_damaged = False

    @property
    def exist(self) -> bool:
        """Whether there is anything to go on from."""
        return self._newest.exists() or self._before.exists()

    def save(self, state: Mapping[str, Any]) -> None:
        """Makes `state` the newest; a kill or a power cut at any moment leaves a whole one.

        DataError if it cannot be written, which says from where the run goes on.
        """
        # In memory first: torch.save calls a full disk by many names, a file by one.
        content = io.BytesIO()
        torch.save(dict(state), content)
        with self.writing(self._newest):
            # What a run left that was killed while it wrote.
            for left in self._newest.parent.glob(f".{NEWEST}.*.part"):
                left.unlink()
            with beside(self._newest) as part:
                with part.open("wb") as file:
                    file.write(content.getbuffer())
                    file.flush()
                    os.fsync(file.fileno())
                # A damaged one must not take the place of the last that is whole.
                if self._newest.exists() and not self._is_newest_damaged:
                    self._newest.replace(self._before)
            _sync(self._newest.parent)
        self._step, self._is_newest_damaged = state["progress"]["step"], False

    def read(self, device: torch.device) -> dict[str, Any]:
        """The newest state, its tensors on `device`; that before it, with a warning, if damaged.

        DataError if neither can be read.
        """
        try:
            state = _read(self._newest, device)
        except DataError as damage:
            try:
                state = _read(self._before, device)
            except DataError as other:
                raise DataError(f"{damage}; {other}; start again in a new folder") from damage
            self._is_newest_damaged = True
            step = state["progress"]["step"]
            self._report(f"{damage}; going on from {self._before.name}, step {step}")
        self._step = state["progress"]["step"]
        return state

    @contextmanager
    def writing(self, path: Path) -> Iterator[None]:
        """For whatever a run writes: that `path` cannot be becomes DataError.

        It says from where the run goes on.
        """
        try:
            yield
        except OSError as cause:
            raise DataError(
                f"{path}: cannot be written ({cause.strerror or cause}); {self._intact()}"
            ) from cause

    def _intact(self) -> str:
        if self._step is None:
            return "no checkpoint was written before it"
        is_newest = self._newest.exists() and not self._is_newest_damaged
        name = (self._newest if is_newest else self._before).name
        return f"{name} of step {self._step} is intact, and the same command goes on from it"


@contextmanager
def understood(folder: Path) -> Iterator[None]:
    """For taking over the state of a whole checkpoint: that it does not fit becomes DataError."""
    try:
        yield
    except (torch.OutOfMemoryError, torch.AcceleratorError):
        raise
    except (msgspec.MsgspecError, KeyError, TypeError, ValueError, RuntimeError) as cause:
        raise DataError(
            f"{folder}: its checkpoint was written by another version of LeanSR; give a new folder"
        ) from cause


def check_whole(path: Path) -> bytes:
    """The bytes of a checkpoint, in which not one bit that matters has changed; else DataError."""
    try:
        content = path.read_bytes()
    except OSError as cause:
        raise DataError(f"{path}: cannot be read ({cause.strerror})") from cause
    try:
        # torch.load reads past the checksums that torch.save writes.
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            damaged = archive.testzip()
    except Exception as cause:  # damage can look like any feature that zipfile lacks
        raise DataError(f"{path}: is damaged ({cause})") from cause
    if damaged is not None:
        raise DataError(f"{path}: is damaged at {damaged}")
    return content


def _read(path: Path, device: torch.device) -> dict[str, Any]:
    content = check_whole(path)
    try:
        state = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
        int(state["progress"]["step"])
    except Exception as cause:  # torch.load names no error type for a file that is none
        raise DataError(f"{path}: is no checkpoint of a run ({cause})") from cause
    result: dict[str, Any] = state
    return result


def _sync(folder: Path) -> None:
    """Renamings in `folder` outlast a power cut; where a folder can be opened at all."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def fingerprint(pairs: Sequence[Pair]) -> str:
    """A hash of pictures and their names: a run goes on only with the same ones."""
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(f"{pair.name} {pair.file_sha256}\n".encode())
    return digest.hexdigest()
