"""A release: the ONNX graph, the tensors of the same deploy form, and their card."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import onnx
import safetensors.torch
from torch import nn

from leansr import zoo
from leansr.errors import ExportError, WeightsError
from leansr.image.codecs import beside
from leansr.lab.export.graph import geometry
from leansr.lab.export.onnx_graph import to_onnx
from leansr.lab.nets import build
from leansr.lab.train.checkpoint import Facts, load_strictly, read_facts, read_tensors
from leansr.runtime.evaluate import evaluate
from leansr.runtime.upscaler import Upscaler

# The output size that Multi-Adds are stated for (BSRN, FMEN, MDRN, SESR, the efficiency study).
_OUTPUT_PIXELS = 1280 * 720


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
    Nothing is written if the weights are not `model`'s at `scale`, ONNX Runtime and torch
    disagree, or a benchmark cannot be measured.
    """
    if target.suffix != ".onnx":
        raise ExportError(f"{target}: a release is written as FILE.onnx")
    variant = zoo.find(model, scale)
    facts = read_facts(weights)
    if (facts.variant, facts.scale) != (model, scale):
        raise WeightsError(f"{weights}: is {facts.variant} x{facts.scale}, not {model} x{scale}")
    network = build(variant, scale, space=facts.space)
    load_strictly(network, read_tensors(weights), str(weights))
    deployed = network.deploy()
    graph = to_onnx(deployed, variant, scale)
    tensors = {name: tensor.contiguous() for name, tensor in deployed.state_dict().items()}
    label = {"variant": model, "scale": str(scale), "colour": variant.colour}
    card_path, tensor_path = target.with_suffix(".json"), target.with_suffix(".safetensors")
    target.parent.mkdir(parents=True, exist_ok=True)
    # Left in reverse: the card, which makes the others a release, is renamed last.
    with (
        beside(card_path) as card_part,
        beside(tensor_path) as tensor_part,
        beside(target) as onnx_part,
    ):
        onnx.save(graph, onnx_part)
        tensor_part.write_bytes(safetensors.torch.save(tensors, label))
        shape = geometry(graph)
        kernels = [m.weight.numel() for m in deployed.modules() if isinstance(m, nn.Conv2d)]
        card = {
            "schema": 1,
            "variant": model,
            "scale": scale,
            "colour": variant.colour,
            "halo": shape.halo,
            "onnx": {"file": target.name, "sha256": _sha256(onnx_part)},
            "tensors": {"file": tensor_path.name, "sha256": _sha256(tensor_part)},
            "licence": licence,
            "params": sum(p.numel() for p in deployed.parameters()),
            "conv_weights": sum(kernels),
            "multi_adds": int(shape.multi_adds_per_pixel * _OUTPUT_PIXELS / scale**2),
            "quality": [
                _measured(name, folder, model, scale, onnx_part)
                for name, folder in benchmarks.items()
            ],
            "training": _training(facts),
            "date": datetime.now(UTC).date().isoformat(),
        }
        card_part.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return card


def _measured(name: str, folder: Path, model: str, scale: int, file: Path) -> dict[str, Any]:
    result = evaluate(Upscaler(model, scale, weights=file), scale, folder)
    figures = {
        key: round(value, 4)
        for key, value in result.as_json().items()
        if key.startswith(("psnr", "ssim"))
    }
    return {"benchmark": name, **figures, "protocol": asdict(result.protocol)}


def _training(facts: Facts) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(facts)
    return {key: value for key, value in told.items() if key not in ("variant", "scale", "space")}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
