"""Eight bits without training: a float network, pictures to calibrate it on, and a release."""

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
from leansr.lab.nets import build, changed, network_class
from leansr.lab.nets.collapse import Space
from leansr.lab.nets.network import Network
from leansr.lab.quantize.calibration import Method, calibrate
from leansr.lab.quantize.int8 import Int8
from leansr.lab.quantize.scheme import SchemeName
from leansr.lab.train.crops import Shelves, batch
from leansr.lab.train.pictures import load
from leansr.lab.train.recipe import Data
from leansr.lab.weights import Facts, Trained, load_strictly, open_network, read_facts, sha256_of
from leansr.zoo.release import Kind, Release, every_release, read_card, release_of
from leansr.zoo.variant import Variant

# Crops of LR pixels that ranges are taken from.
_CROPS = Data(lr_crop=48, batch=8)
_BATCHES = 8


@dataclass(frozen=True)
class Source:
    """A trained network in floats: its deploy form, what it is for, and where it comes from.

    `weights` is the file, or the release's name, as a recipe has it, `sha256` that of its tensors,
    `space` what they are of, None for a network that has none.
    """

    weights: str
    sha256: str
    space: Space | None
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
        eight_bit_row(zoo.find(given, scale))  # before weights are asked for
        found = _of_release(release_of(given, scale))
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


def calibrated(source: Source, row: Variant, crops: Crops, calibration: Method) -> Int8:
    """The network of a row of eight bits, its ranges from `crops`.

    UsageError if a layer that the row keeps in floats is not there.
    """
    network = build(row, source.scale)
    assert isinstance(network, Int8)
    load_strictly(network, network.adopted(source.network.state_dict()), source.variant.name)
    calibrate(network, crops.lr, calibration)
    return network


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
        **network.quantized(),
        "start_sha256": source.sha256,
        "calibration": calibration,
        "pictures": data.resolve().name,
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
    eight_bit_row(variant)
    sha256 = sha256_of(path)
    try:
        facts = read_facts(path)
    except WeightsError:
        # A release's tensors: the card says of which kind, the package's or that beside them.
        beside = path.with_suffix(".json")
        cards = [*every_release(), *([read_card(beside)] if beside.exists() else [])]
        known = {release.card["tensors"]["sha256"]: release for release in cards}
        if sha256 not in known:
            raise WeightsError(f"{path}: its card {beside.name} must lie beside it") from None
        return _of_release(known[sha256])
    refuse_changed(path, facts)
    own = kind(facts), origin(facts)
    return Source(str(path), sha256, _space(variant, facts), network, variant, scale, *own)


def _of_release(release: Release) -> Source:
    network, variant, scale = open_network(release.tensors)
    told: dict[str, Any] = {
        key: release.card[key] for key in ("training", "imported") if key in release.card
    }
    name, sha256 = release.tensors.stem, release.card["tensors"]["sha256"]
    return Source(name, sha256, "direct", network, variant, scale, release.kind, told)


def _space(variant: Variant, facts: Facts) -> Space | None:
    """What a file's tensors are of."""
    if isinstance(facts, Trained):
        return facts.space
    return "direct" if facts.form == "deploy" else next(iter(network_class(variant).spaces), None)


def eight_bit_row(
    variant: Variant, scheme: SchemeName | None = None, keep: Sequence[str] = ()
) -> Variant:
    """The row of a variant in eight bits; `scheme` is its own if None, layers in `keep` are floats.

    UsageError if there is none.
    """
    rows = {row.arguments["of"]: row for row in zoo.int8.ROWS}
    if variant.family == "int8":
        raise UsageError(f"{variant.name}: is of eight bits already")
    if variant.name not in rows:
        raise UsageError(
            f"{variant.name}: has no row of eight bits; those that have: {', '.join(rows)}"
        )
    chosen = {} if scheme is None else {"scheme": scheme}
    return changed(rows[variant.name], {**chosen, **({"keep": tuple(keep)} if keep else {})})
