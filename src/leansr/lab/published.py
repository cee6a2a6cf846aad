"""Checkpoints that the papers' authors published, as weights of ours."""

import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from leansr import zoo
from leansr.errors import UsageError, WeightsError
from leansr.lab.nets import build, network_class
from leansr.lab.nets.network import Published, Tensors
from leansr.lab.weights import Imported, misfits, save_weights, sha256_of
from leansr.zoo.variant import Variant

# Where training frameworks keep the tensors in their files; the average of weights is preferred.
_CONTAINERS = ("params_ema", "params", "state_dict", "model")


def import_published(checkpoint: Path, model: str, scale: int, target: Path) -> Imported:
    """Writes the weights of the authors' `checkpoint` of `model` as `target` (.safetensors).

    Strict: WeightsError lists every tensor that is missing, unexpected or misshapen, by the name
    it has in the file, and nothing is written. UsageError if no layout of the network is known.
    """
    if target.suffix != ".safetensors":
        raise UsageError(f"{target}: weights are written as FILE.safetensors")
    variant = zoo.find(model, scale)
    if not network_class(variant).published:
        raise UsageError(f"{model}: no published checkpoints of this network are known")
    theirs = read_checkpoint(checkpoint)
    layout, ours, faults = _nearest_layout(variant, scale, theirs)
    if faults:
        raise WeightsError(f"{checkpoint}: is not {model} x{scale}: {'; '.join(faults)}")
    facts = Imported(
        variant=model,
        scale=scale,
        form=layout.form,
        file=checkpoint.name,
        file_sha256=sha256_of(checkpoint),
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    save_weights(target, layout.values({ours[name]: t for name, t in theirs.items()}), facts)
    return facts


def read_checkpoint(path: Path) -> Tensors:
    """The tensors of a PyTorch checkpoint, out of the container that they may lie in.

    No code in the file is run. WeightsError for anything but named tensors.
    """
    try:
        with warnings.catch_warnings():
            # Of a pickle of another age torch warns, and then refuses it anyway.
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as cause:
        raise WeightsError(
            f"{path}: is no checkpoint of tensors alone, and other objects are not loaded, for "
            f"they can run code ({_first_line(cause)})"
        ) from cause
    except Exception as cause:  # torch.load names no error type for a damaged file
        raise WeightsError(
            f"{path}: cannot be read as a PyTorch checkpoint ({_first_line(cause)})"
        ) from cause
    for key in _CONTAINERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict) or not content:
        raise WeightsError(f"{path}: holds no named tensors")
    strangers = [str(name) for name, t in content.items() if not isinstance(t, Tensor)]
    if strangers:
        raise WeightsError(f"{path}: not tensors: {', '.join(strangers)}")
    # Trained on several devices, every name begins with the wrapper's.
    return {name.removeprefix("module."): tensor.float() for name, tensor in content.items()}


def _nearest_layout(
    variant: Variant, scale: int, theirs: Tensors
) -> tuple[Published, dict[str, str], list[str]]:
    """The layout that fits `theirs` best, our names by theirs in it, and what does not fit."""
    network = build(variant, scale)
    candidates = []
    for layout in network_class(variant).published:
        form = network.deploy() if layout.form == "deploy" else network
        wanted = {published_name(layout, name): t for name, t in form.state_dict().items()}
        ours = {published_name(layout, name): name for name in form.state_dict()}
        candidates.append((layout, ours, misfits(wanted, theirs)))
    return min(candidates, key=lambda candidate: len(candidate[2]))


def published_name(layout: Published, name: str) -> str:
    """The authors' name of our tensor `name`."""
    for pattern, replacement in layout.renames:
        name = re.sub(pattern, replacement, name)
    return name


def _first_line(cause: Exception) -> Any:
    return str(cause).partition("\n")[0] or type(cause).__name__
