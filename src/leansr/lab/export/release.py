"""A release: the ONNX graph, the tensors of the same deploy form, and their card."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import onnx
import safetensors.torch
from torch import Tensor

from leansr import zoo
from leansr.errors import ExportError
from leansr.image.codecs import beside
from leansr.lab.export.card import origin, printed, with_floats
from leansr.lab.export.graph import halo
from leansr.lab.export.onnx_graph import to_onnx
from leansr.lab.measure.complexity import complexity, lr_size
from leansr.lab.nets import changed, changes, network_class
from leansr.lab.nets.network import Network
from leansr.lab.weights import Facts, Trained, load_network, sha256_of
from leansr.runtime.benchmarks import open_folder
from leansr.runtime.evaluate import evaluate
from leansr.runtime.upscaler import Upscaler
from leansr.zoo.release import Kind
from leansr.zoo.variant import Variant


def export(
    weights: Path,
    model: str,
    scale: int,
    target: Path,
    benchmarks: Mapping[str, Path],
    licence: str,
) -> dict[str, Any]:
    """Writes `target` (.onnx), and beside it .safetensors and .json; returns the card.

    `benchmarks` are folders that the ONNX file is measured on, `licence` is that of the weights.
    Nothing is written if the weights are not `model`'s at `scale` or of a changed network, ONNX
    Runtime and torch disagree, or a benchmark cannot be measured. Weights of eight bits are those
    of a training run, `qat`.
    """
    if target.suffix != ".onnx":
        raise ExportError(f"{target}: a release is written as FILE.onnx")
    variant = zoo.find(model, scale)
    network, facts = load_network(weights, model, scale)
    refuse_changed(weights, facts)
    told = origin(facts)
    if isinstance(facts, Trained):
        variant = changed(variant, facts.recipe.network)
        if how := network.quantized():
            told["quantized"] = {"method": "qat", **how, "start_sha256": facts.start_sha256}
    deployed = network.deploy()
    return write(deployed, variant, scale, target, benchmarks, licence, kind(facts), told)


def write(
    deployed: Network,
    variant: Variant,
    scale: int,
    target: Path,
    benchmarks: Mapping[str, Path],
    licence: str,
    kind: Kind,
    told: Mapping[str, Any],
) -> dict[str, Any]:
    """The release of a deployed network as `export` writes it; returns the card.

    `variant` is its row, perhaps with other arguments. `kind` is what pictures it is for, `told`
    what the card says of where its weights come from.
    """
    model = variant.name
    graph = to_onnx(deployed, variant, scale)
    tensors = {name: tensor.contiguous() for name, tensor in deployed.state_dict().items()}
    cost = complexity(deployed, (1, variant.channels, *lr_size(scale)))
    label = {"variant": model, "scale": str(scale), "colour": variant.colour}
    if others := changes(variant):
        label["network"] = msgspec.json.encode(others).decode()
    card_path, tensor_path = target.with_suffix(".json"), target.with_suffix(".safetensors")
    target.parent.mkdir(parents=True, exist_ok=True)
    # Left in reverse: the card, which makes the others a release, is renamed last.
    with (
        beside(card_path) as card_part,
        beside(tensor_path) as tensor_part,
        beside(target) as onnx_part,
    ):
        onnx.save(graph, onnx_part)
        tensor_part.write_bytes(_tensor_file(tensors, label))
        quality = [
            _measured(name, folder, model, scale, onnx_part) for name, folder in benchmarks.items()
        ]
        card = {
            "schema": 1,
            "variant": model,
            "scale": scale,
            "colour": variant.colour,
            "input": kind,
            "halo": halo(graph),
            "onnx": {"file": target.name, "sha256": sha256_of(onnx_part)},
            "tensors": {"file": tensor_path.name, "sha256": sha256_of(tensor_part)},
            "licence": licence,
            "params": cost.params,
            "conv_weights": cost.conv_weights,
            "multi_adds": cost.multi_adds,
            "quality": quality,
            **with_floats(told, quality),
            "date": datetime.now(UTC).date().isoformat(),
        }
        card_part.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return card


def upscaler_of(weights: Path, model: str, scale: int, threads: int | None = None) -> Upscaler:
    """An upscaler of `weights` of `leansr train` or `leansr import`, as their export would be."""
    network, _ = load_network(weights, model, scale)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{model}_x{scale}.onnx"
        onnx.save(to_onnx(network.deploy(), zoo.find(model, scale), scale), path)
        return Upscaler(model, scale, backend="onnxruntime", weights=path, threads=threads)


def refuse_changed(weights: Path, facts: Facts) -> None:
    """ExportError for weights of a network that differs from its row."""
    if not isinstance(facts, Trained):
        return
    free = network_class(zoo.find(facts.variant, facts.scale)).free
    others = {name: value for name, value in facts.recipe.network.items() if name not in free}
    if others:
        told = ", ".join(f"{name} = {value}" for name, value in others.items())
        raise ExportError(
            f"{weights}: is {facts.variant} with changes ({told}), which cannot be released as "
            f"{facts.variant}"
        )


def kind(facts: Facts) -> Kind:
    """What pictures weights are for, by what they were trained on."""
    is_photo = isinstance(facts, Trained) and facts.recipe.data.degradation == "photo"
    return "photo" if is_photo else "clean"


def _measured(name: str, folder: Path, model: str, scale: int, file: Path) -> dict[str, Any]:
    upscaler = Upscaler(model, scale, backend="onnxruntime", weights=file)
    result = evaluate(upscaler, scale, open_folder(folder, scale))
    if result.failures:
        # A card's mean is over the whole benchmark, or it is not that benchmark's.
        raise result.failures[0].error
    figures = {key: round(value, 4) for key, value in result.figures_as_json().items()}
    return {
        "benchmark": name,
        **figures,
        "paper": printed(model, scale, name),
        "protocol": asdict(result.protocol),
    }


def _tensor_file(tensors: Mapping[str, Tensor], label: Mapping[str, str]) -> bytes:
    """A safetensors file, the same bytes at every export: `label` is written in its own order."""
    content = safetensors.torch.save(dict(tensors), dict(label))
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    # The library writes these pairs in an order that differs from process to process.
    header["__metadata__"] = dict(label)
    told = json.dumps(header, separators=(",", ":")).encode()
    told += b" " * (-len(told) % 8)
    return len(told).to_bytes(8, "little") + told + content[8 + length :]
