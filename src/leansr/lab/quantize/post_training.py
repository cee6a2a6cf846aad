"""Eight bits without training: a float network, pictures to calibrate it on, and a release."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from leansr import zoo
from leansr.errors import DataError, UsageError, WeightsError
from leansr.lab.export.card import origin
from leansr.lab.export.release import kind, refuse_changed, write
from leansr.lab.nets import build, changed
from leansr.lab.nets.network import Network
from leansr.lab.quantize.calibration import Method, calibrate
from leansr.lab.quantize.int8 import Int8
from leansr.lab.quantize.scheme import SchemeName
from leansr.lab.train.crops import Shelves, batch
from leansr.lab.train.pictures import load
from leansr.lab.train.recipe import Data
from leansr.lab.weights import load_strictly, open_network, read_facts
from leansr.zoo.release import Kind, release_of
from leansr.zoo.variant import Variant

# Crops of LR pixels that ranges are taken from.
_CROPS = Data(lr_crop=48, batch=8)
_BATCHES = 8


@dataclass(frozen=True)
class Source:
    """A trained network in floats: its deploy form, what it is for, and where it comes from."""

    network: Network
    variant: Variant
    scale: int
    kind: Kind
    told: Mapping[str, Any]


@dataclass(frozen=True)
class Crops:
    """Batches of lr `(N, C, h, w)` with their hr, the same for the same pictures."""

    lr: tuple[Tensor, ...]
    hr: tuple[Tensor, ...]


def source_of(given: str, scale: int) -> Source:
    """The network of a released variant or of a weights file.

    WeightsError for weights that are not there, of another scale, or not finite; UsageError for a
    network that is of eight bits already.
    """
    if given in zoo.VARIANTS:
        _eight_bit_row(zoo.find(given, scale))
        release = release_of(given, scale)
        network, variant, _ = open_network(release.tensors)
        facts = ("training", "imported")
        told = {key: release.card[key] for key in facts if key in release.card}
        found = Source(network, variant, scale, release.kind, told)
    else:
        found = _of_file(Path(given), scale)
    for name, tensor in found.network.state_dict().items():
        if not tensor.isfinite().all():
            raise WeightsError(f"{given}: {name} holds values that are not finite")
    return found


def crops_of(data: Path, variant: Variant, scale: int) -> Crops:
    """Crops of the pictures in a folder or pack, LR made as in training.

    DataError for pictures that show too little: one even colour, or none but grey for a network of
    colours.
    """
    pictures = load(data, scale, variant.colour, max(_CROPS.lr_crop, variant.smallest))
    shelves = Shelves(pictures, scale, torch.device("cpu"))
    lrs, hrs = zip(*(batch(shelves, _CROPS, 0, step) for step in range(_BATCHES)), strict=True)
    if all((lr.amax(dim=(-2, -1)) == lr.amin(dim=(-2, -1))).all() for lr in lrs):
        raise DataError(f"{data}: even colour is all that there is; give pictures of something")
    if variant.colour == "rgb" and all((lr == lr[:, :1]).all() for lr in lrs):
        raise DataError(f"{data}: all is grey, and {variant.name} sees colours; give some in them")
    return Crops(lrs, hrs)


def calibrated(
    source: Source,
    scheme: SchemeName | None,
    keep: Sequence[str],
    crops: Crops,
    calibration: Method,
) -> tuple[Int8, Variant]:
    """The network in eight bits, and its row; its ranges are from `crops`.

    `scheme` is the row's if it is None. UsageError if there is no such row, or no layer of a name
    in `keep`.
    """
    row = _eight_bit_row(source.variant)
    row = changed(row, {"keep": tuple(keep)} | ({} if scheme is None else {"scheme": scheme}))
    network = build(row, source.scale)
    assert isinstance(network, Int8)
    load_strictly(network, network.adopted(source.network.state_dict()), source.variant.name)
    calibrate(network, crops.lr, calibration)
    return network, row


def release(
    source: Source,
    network: Int8,
    row: Variant,
    calibration: Method,
    data: Path,
    target: Path,
    benchmarks: Mapping[str, Path],
    licence: str,
) -> dict[str, Any]:
    """Writes the ONNX file `target` and what goes with it, as `leansr export` does; the card."""
    quantized = {
        "method": "ptq",
        "scheme": row.arguments["scheme"],
        "calibration": calibration,
        "pictures": data.name,
        "in_floats": [name for name, ranges in network.layers.items() if not ranges],
    }
    told = {**source.told, "quantized": quantized}
    return write(
        network.deploy(), row, source.scale, target, benchmarks, licence, source.kind, told
    )


def _of_file(path: Path, scale: int) -> Source:
    if not path.exists():
        raise WeightsError(f"{path}: is neither a variant nor a weights file")
    network, variant, own_scale = open_network(path)
    if own_scale != scale:
        raise WeightsError(f"{path}: is {variant.name} x{own_scale}, not x{scale}")
    _eight_bit_row(variant)
    try:
        facts = read_facts(path)
    except WeightsError:
        # A release's tensors: what they come from is told by the card beside them.
        told = {"float_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        return Source(network, variant, scale, "clean", told)
    refuse_changed(path, facts)
    return Source(network, variant, scale, kind(facts), origin(facts))


def _eight_bit_row(variant: Variant) -> Variant:
    """The row of a variant in eight bits."""
    rows = {row.arguments["of"]: row for row in zoo.int8.ROWS}
    if variant.family == "int8":
        raise UsageError(f"{variant.name}: is of eight bits already")
    if variant.name not in rows:
        raise UsageError(
            f"{variant.name}: has no row of eight bits; those that have: {', '.join(rows)}"
        )
    return rows[variant.name]
