"""Weights on disk: what they are in the header, written beside and renamed, read strictly."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import safetensors
import safetensors.torch
from torch import Tensor, nn

from leansr import zoo
from leansr.errors import UsageError, WeightsError
from leansr.image.codecs import beside
from leansr.lab.nets import build, changed
from leansr.lab.nets.collapse import Space
from leansr.lab.nets.network import Network, Tensors
from leansr.lab.train.recipe import Argument, Recipe
from leansr.zoo.variant import Variant


class Trained(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Training-form weights of `leansr train` and where they come from.

    `space` is None for a network that has none. `start_sha256` is of the file that training
    started from, empty if it started afresh; `validation_psnr` is in dB, None if there were no
    validation pictures. `device` is what it was computed on, empty in files that do not say.
    """

    variant: str
    scale: int
    space: Space | None
    recipe: Recipe
    start_sha256: str
    steps: int
    minutes: float
    validation_psnr: float | None
    data: str
    data_licence: str
    torch: str
    device: str = ""


class Imported(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Weights of `leansr import`: which of our forms they fill, and the file they come from."""

    variant: str
    scale: int
    form: Literal["training", "deploy"]
    file: str
    file_sha256: str


Facts = Trained | Imported
# The key of the header that each kind of facts stands under.
_HEADER_KEYS: dict[str, type[Trained] | type[Imported]] = {
    "leansr": Trained,
    "leansr.imported": Imported,
}


def save_weights(path: Path, tensors: Mapping[str, Tensor], facts: Facts) -> None:
    """A safetensors file of `tensors`, `facts` in its header."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    (key,) = (key for key, kind in _HEADER_KEYS.items() if isinstance(facts, kind))
    with beside(path) as part:
        part.write_bytes(safetensors.torch.save(plain, {key: msgspec.json.encode(facts).decode()}))


def read_tensors(path: Path) -> Tensors:
    """The tensors of a weights file; WeightsError if it is none."""
    try:
        return safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as cause:
        raise WeightsError(f"{path}: cannot be read as weights ({cause})") from cause


def read_facts(path: Path) -> Facts:
    """What a weights file of ours says of itself; WeightsError if it is not one."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            header = file.metadata() or {}
    except (OSError, safetensors.SafetensorError) as cause:
        raise WeightsError(f"{path}: cannot be read as weights ({cause})") from cause
    for key, kind in _HEADER_KEYS.items():
        if key in header:
            try:
                return msgspec.json.decode(header[key], type=kind)
            except msgspec.MsgspecError as cause:
                raise WeightsError(f"{path}: its header is damaged ({cause})") from cause
    raise WeightsError(f"{path}: was written neither by `leansr train` nor by `leansr import`")


def load_network(path: Path, model: str, scale: int) -> tuple[Network, Facts]:
    """The network of a weights file in the form that the file holds, and the file's facts.

    WeightsError if the weights are not those of `model` at `scale`.
    """
    facts = read_facts(path)
    if (facts.variant, facts.scale) != (model, scale):
        raise WeightsError(f"{path}: is {facts.variant} x{facts.scale}, not {model} x{scale}")
    variant = zoo.find(model, scale)
    if isinstance(facts, Trained):
        network = build(changed(variant, facts.recipe.network), scale, facts.space)
    else:
        network = build(variant, scale)
        network = network.deploy() if facts.form == "deploy" else network
    load_strictly(network, read_tensors(path), str(path))
    return network, facts


def open_network(path: Path) -> tuple[Network, Variant, int]:
    """The deploy form of whatever a weights file holds, training form or release; its scale.

    WeightsError if its header does not say which network it is of.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            header = file.metadata() or {}
    except (OSError, safetensors.SafetensorError) as cause:
        raise WeightsError(f"{path}: cannot be read as weights ({cause})") from cause
    if "variant" not in header:
        facts = read_facts(path)
        network, _ = load_network(path, facts.variant, facts.scale)
        return network.deploy(), zoo.find(facts.variant, facts.scale), facts.scale
    try:
        scale = int(header.get("scale", ""))
    except ValueError as cause:
        raise WeightsError(f"{path}: its header is damaged (it tells no scale)") from cause
    try:
        variant = zoo.find(header["variant"], scale)
    except UsageError as cause:
        raise WeightsError(f"{path}: its header is of no known network ({cause})") from cause
    try:
        changes = msgspec.json.decode(header.get("network", "{}"), type=dict[str, Argument])
    except msgspec.MsgspecError as cause:
        raise WeightsError(f"{path}: its header is damaged ({cause})") from cause
    variant = changed(variant, changes)
    network = build(variant, scale).deploy()
    load_strictly(network, read_tensors(path), str(path))
    return network, variant, scale


def sha256_of(path: Path) -> str:
    """Of a file's content, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_finite(network: nn.Module) -> None:
    """WeightsError if anything that `network` holds is not finite."""
    for name, tensor in network.state_dict().items():
        # Without data, as where costs are counted, there is nothing to look at.
        if not tensor.is_meta and not bool(tensor.isfinite().all()):
            raise WeightsError(f"{name}: has weights that are not finite")


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
    wanted = {name: t for name, t in own.items() if name.split(".")[0] not in fresh}
    given = {name: t for name, t in tensors.items() if name.split(".")[0] not in fresh}
    faults = misfits(wanted, given)
    if faults:
        is_of_space = isinstance(network, Network) and network.spaces and _same_parts(wanted, given)
        hint = "; is it of another space? Releases are of the direct one" if is_of_space else ""
        raise WeightsError(f"{source}: does not fit the network: {'; '.join(faults)}{hint}")
    network.load_state_dict({**own, **given})


def misfits(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    """What keeps `given` from taking the place of `wanted`, tensor by tensor; empty if nothing."""
    faults = [f"{name} is missing" for name in sorted(wanted.keys() - given.keys())]
    faults += [f"{name} is not the network's" for name in sorted(given.keys() - wanted.keys())]
    faults += [
        f"{name} is {tuple(given[name].shape)}, not {tuple(wanted[name].shape)}"
        for name in sorted(wanted.keys() & given.keys())
        if given[name].shape != wanted[name].shape
    ]
    return faults


def _same_parts(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> bool:
    """Whether tensors differ by name, but within the same parts."""
    parts = [
        {name.split(".")[0] for name in one.keys() - other.keys()}
        for one, other in ((wanted, given), (given, wanted))
    ]
    return bool(parts[0]) and parts[0] == parts[1]
