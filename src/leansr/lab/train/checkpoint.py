"""What a run needs to go on, written beside and renamed."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from leansr.errors import DataError
from leansr.image.codecs import beside
from leansr.lab.train.pictures import Pair


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """All that a run needs to go on as if it had not stopped."""
    # What a run left that was killed while it wrote.
    for left in path.parent.glob(f".{path.name}.*.part"):
        left.unlink()
    with beside(path) as part:
        torch.save(dict(state), part)


def read_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """A run's last checkpoint; DataError if it cannot be read."""
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as cause:  # torch.load names no error type for a damaged file
        raise DataError(f"{path}: cannot be read as a checkpoint ({cause})") from cause
    return state


def fingerprint(pairs: Sequence[Pair]) -> str:
    """A hash of pictures and their names: a run goes on only with the same ones."""
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(f"{pair.name} {pair.file_sha256}\n".encode())
    return digest.hexdigest()
