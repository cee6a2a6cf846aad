"""A run's folder while it trains: one process at a time, and what the run is made by."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from leansr.errors import UsageError
from leansr.image.codecs import beside
from leansr.lab.train.checkpoint import Checkpoints
from leansr.lab.train.environment import environment
from leansr.lab.train.log import has_rows
from leansr.lab.train.recipe import Recipe
from leansr.lab.train.report import ENVIRONMENT
from leansr.lab.train.runs import LOG, RECIPE, WEIGHTS

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK = "lock"


def check_new(folder: Path) -> None:
    """UsageError if `folder`, which has no checkpoint, holds what only a run can have written."""
    found = "a log" if has_rows(folder / LOG) else "weights"
    if found == "a log" or (folder / WEIGHTS).exists():
        raise UsageError(
            f"{folder}: has {found} but no checkpoint; give a new folder, or remove it to start "
            f"again"
        )


@contextmanager
def opened(folder: Path, recipe: Recipe, checkpoints: Checkpoints) -> Iterator[None]:
    """`folder` with recipe and environment in it, and for this process alone.

    UsageError if another process trains in it, DataError if it cannot be written.
    """
    with checkpoints.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with checkpoints.writing(folder / LOCK):
        file = (folder / LOCK).open("a")
    # The lock goes with the process, however that ends: a file that is left locks nothing.
    with file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as cause:
                raise UsageError(f"{folder}: another process trains in it") from cause
        described = {
            RECIPE: json.loads(msgspec.json.encode(recipe)),
            ENVIRONMENT: environment(),
        }
        for name, content in described.items():
            path = folder / name
            with checkpoints.writing(path), beside(path) as part:
                part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        yield
