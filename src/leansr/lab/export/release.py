"""A release: the ONNX graph, the tensors of the same deploy form, and their card."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import onnx
import safetensors.torch
from torch import nn

from leansr import zoo
from leansr.errors import ExportError, WeightsError
from leansr.image.codecs import beside
from leansr.lab.export.graph import geometry
from leansr.lab.export.onnx_graph import to_onnx
from leansr.lab.nets import build
from leansr.lab.train.checkpoint import load_strictly, read_weights
from leansr.runtime.evaluate import evaluate
from leansr.runtime.upscaler import Upscaler

# The output size that Multi-Adds are stated for (BSRN, FMEN, MDRN, SESR, the efficiency study).
_OUTPUT_PIXELS = 1280 * 720


def export(
    weights: Path, model: str, scale: int, target: Path, benchmarks: Mapping[str, Path]
) -> dict[str, Any]:
    """Writes `target` (.onnx), and beside it .safetensors and .json; returns the card.

    `benchmarks` are folders that the written ONNX file is measured on. Nothing is written if the
    weights are not `model`'s at `scale` or ONNX Runtime and torch disagree.
    """
    if target.suffix != ".onnx":
        raise ExportError(f"{target}: a release is written as FILE.onnx")
    variant = zoo.find(model, scale)
    tensors, facts = read_weights(weights)
    if (facts.get("variant"), facts.get("scale")) != (model, str(scale)):
        found = f"{facts.get('variant', 'of no variant')} x{facts.get('scale', '?')}"
        raise WeightsError(f"{weights}: is {found}, not {model} x{scale}")
    network = build(variant, scale, space=facts["space"])
    load_strictly(network, tensors, str(weights))
    deployed = network.deploy()
    graph = to_onnx(deployed, variant, scale)
    shape = geometry(graph)
    kernels = [m.weight.numel() for m in deployed.modules() if isinstance(m, nn.Conv2d)]
    target.parent.mkdir(parents=True, exist_ok=True)
    with beside(target) as part:
        onnx.save(graph, part)
        quality = [
            _measured(name, folder, model, scale, part) for name, folder in benchmarks.items()
        ]
    tensor_file = target.with_suffix(".safetensors")
    with beside(tensor_file) as part:
        plain = {name: t.detach().contiguous() for name, t in deployed.state_dict().items()}
        facts_kept = {"variant": model, "scale": str(scale), "colour": variant.colour}
        part.write_bytes(safetensors.torch.save(plain, facts_kept))
    card = {
        "schema": 1,
        "variant": model,
        "scale": scale,
        "colour": variant.colour,
        "halo": shape.halo,
        "onnx": _file(target),
        "tensors": _file(tensor_file),
        "licence": "Apache-2.0",
        "params": sum(p.numel() for p in deployed.parameters()),
        "conv_weights": sum(kernels),
        "multi_adds": int(shape.multi_adds_per_pixel * _OUTPUT_PIXELS / scale**2),
        "quality": quality,
        "training": _training(facts),
        "date": datetime.now(UTC).date().isoformat(),
    }
    with beside(target.with_suffix(".json")) as part:
        part.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return card


def _measured(name: str, folder: Path, model: str, scale: int, file: Path) -> dict[str, Any]:
    result = evaluate(Upscaler(model, scale, weights=file), scale, folder)
    figures = {
        key: round(value, 4)
        for key, value in result.as_json().items()
        if key.startswith(("psnr", "ssim"))
    }
    return {"benchmark": name, **figures, "protocol": asdict(result.protocol)}


def _training(facts: Mapping[str, str]) -> dict[str, Any]:
    return {
        "recipe": json.loads(facts["recipe"]),
        "steps": int(facts["steps"]),
        "minutes": float(facts["minutes"]),
        "validation_psnr": json.loads(facts["validation_psnr"]),
        "data": facts["training_data"],
        "data_licence": facts["training_data_licence"],
        "torch": facts["torch"],
    }


def _file(path: Path) -> dict[str, str]:
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
