"""Weights and checkpoints on disk: written beside and renamed, read strictly."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from leansr.errors import DataError, UsageError, WeightsError
from leansr.image.codecs import beside
from leansr.lab.train.pictures import Pair


def save_weights(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """A safetensors file of `tensors`, with what they are in its header."""
    plain = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    with beside(path) as part:
        part.write_bytes(safetensors.torch.save(plain, dict(metadata)))


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and header of a weights file; WeightsError if it is none."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
        return safetensors.torch.load_file(path), metadata
    except (OSError, safetensors.SafetensorError) as cause:
        raise WeightsError(f"{path}: cannot be read as weights ({cause})") from cause


def load_strictly(
    network: nn.Module, tensors: Mapping[str, Tensor], source: str, fresh: Sequence[str] = ()
) -> None:
    """Copies `tensors` into `network`; the parts named in `fresh` keep their start.

    WeightsError lists every tensor that is missing, unexpected or of another shape.
    """
    own = network.state_dict()
    for part in fresh:
        if not any(name.split(".")[0] == part for name in own):
            raise UsageError(f"{part}: the network has no such part to start afresh")
    wanted = {name for name in own if name.split(".")[0] not in fresh}
    given = {name: t for name, t in tensors.items() if name.split(".")[0] not in fresh}
    faults = [f"{name} is missing" for name in sorted(wanted - set(given))]
    faults += [f"{name} is not the network's" for name in sorted(set(given) - wanted)]
    faults += [
        f"{name} is {tuple(given[name].shape)}, not {tuple(own[name].shape)}"
        for name in sorted(wanted & set(given))
        if given[name].shape != own[name].shape
    ]
    if faults:
        raise WeightsError(f"{source}: does not fit the network: {'; '.join(faults)}")
    network.load_state_dict({**own, **given})


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """All that a run needs to go on as if it had not stopped."""
    with beside(path) as part:
        torch.save(dict(state), part)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A run's last checkpoint; DataError if it cannot be read."""
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True)
    except Exception as cause:  # torch.load names no error type for a damaged file
        raise DataError(f"{path}: cannot be read as a checkpoint ({cause})") from cause
    return state


def fingerprint(pairs: Sequence[Pair]) -> str:
    """A hash of the pictures' names and sizes: a run goes on only with the same ones."""
    text = "\n".join(f"{pair.name} {pair.hr.shape}" for pair in pairs)
    return hashlib.sha256(text.encode()).hexdigest()
