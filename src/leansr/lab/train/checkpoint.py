"""Weights and checkpoints on disk: written beside and renamed, read strictly."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from leansr.errors import DataError, UsageError, WeightsError
from leansr.image.codecs import beside
from leansr.lab.nets.collapse import Space
from leansr.lab.train.pictures import Pair
from leansr.lab.train.recipe import Recipe

_HEADER_KEY = "leansr"


class Facts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What training-form weights are and where they come from, kept in the file's header.

    `start_sha256` is of the file that training started from, empty if it started afresh;
    `validation_psnr` is in dB, None if there were no validation pictures.
    """

    variant: str
    scale: int
    space: Space
    recipe: Recipe
    start_sha256: str
    steps: int
    minutes: float
    validation_psnr: float | None
    data: str
    data_licence: str
    torch: str


def save_weights(path: Path, tensors: Mapping[str, Tensor], facts: Facts) -> None:
    """A safetensors file of training-form `tensors`."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {_HEADER_KEY: msgspec.json.encode(facts).decode()}
    with beside(path) as part:
        part.write_bytes(safetensors.torch.save(plain, header))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a weights file; WeightsError if it is none."""
    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as cause:
        raise WeightsError(f"{path}: cannot be read as weights ({cause})") from cause


def read_facts(path: Path) -> Facts:
    """What a weights file of `leansr train` says of itself; WeightsError if it is not one."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            header = file.metadata() or {}
        return msgspec.json.decode(header[_HEADER_KEY], type=Facts)
    except (OSError, safetensors.SafetensorError) as cause:
        raise WeightsError(f"{path}: cannot be read as weights ({cause})") from cause
    except (KeyError, msgspec.MsgspecError) as cause:
        raise WeightsError(f"{path}: was not written by `leansr train` ({cause})") from cause


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
