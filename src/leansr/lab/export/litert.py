"""Networks of eight bits as LiteRT (TensorFlow Lite) files, equal to torch or not written."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from leansr.errors import ExportError, UsageError, WeightsError
from leansr.image.arrays import Floats
from leansr.image.codecs import beside
from leansr.image.resize import resize
from leansr.lab.export.agreement import ON_THE_NEXT, apart
from leansr.lab.export.graph import halo
from leansr.lab.export.litert_graph import lowered
from leansr.lab.export.onnx_graph import traced
from leansr.lab.export.whole_prelu import operations
from leansr.lab.quantize.int8 import Int8
from leansr.lab.quantize.integer import Quantiser
from leansr.lab.weights import open_network, sha256_of
from leansr.zoo.variant import Variant


class LitertSession:
    """A file in LiteRT: by XNNPACK's kernels, its own choice, or its plain ones."""

    def __init__(self, content: bytes, is_plain: bool = False, threads: int = 1) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        kernels = OpResolverType.BUILTIN_REF if is_plain else OpResolverType.AUTO
        self._interpreter = Interpreter(
            model_content=content, num_threads=threads, experimental_op_resolver_type=kernels
        )
        self._shape: tuple[int, ...] = ()

    def __call__(self, lr: Floats) -> Floats:
        """A picture `(H, W, C)` as `OnnxSession` takes and gives it."""
        (given,) = self._interpreter.get_input_details()
        (made,) = self._interpreter.get_output_details()
        if self._shape != lr.shape:
            self._interpreter.resize_tensor_input(given["index"], (1, *lr.shape))
            self._interpreter.allocate_tensors()
            self._shape = lr.shape
        self._interpreter.set_tensor(given["index"], lr[None])
        self._interpreter.invoke()
        sr: Floats = self._interpreter.get_tensor(made["index"])[0]
        return sr


def to_litert(
    network: nn.Module, variant: Variant, scale: int, size: tuple[int, int], licence: str
) -> bytes:
    """The file of a deployed network for pictures of `size` (height, width).

    Input `(1, H, W, C)`, output `(1, scale * H, scale * W, C)`, float32, not clipped, as in the
    ONNX file. Raises UsageError if the network is not of eight bits or LiteRT not installed,
    ExportError for an operation that is not mapped, and if LiteRT is more than a level of 255 from
    torch on more than one value in a thousand.
    """
    if not isinstance(network, Int8):
        raise UsageError(
            f"{variant.name}: is in floats, and FILE.tflite is of eight bits; "
            f"make those by `leansr quantize`"
        )
    if not (find_spec("ai_edge_litert") and find_spec("flatbuffers")):
        raise UsageError("FILE.tflite needs ai-edge-litert; pip install 'leansr[vela]'")
    reach = halo(traced(network, variant.channels))
    facts = {
        "schema": 1,
        "variant": variant.name,
        "scale": scale,
        "colour": variant.colour,
        "halo": "whole" if reach is None else reach,
        "licence": licence,
    }
    content = lowered(network, variant.channels, size, json.dumps({"leansr": facts}))
    share = share_apart(LitertSession(content), network, variant)
    if not share <= ON_THE_NEXT:
        raise ExportError(
            f"{variant.name} x{scale}: LiteRT is more than a level from torch on {share:.2%} of "
            f"all values; nothing is written"
        )
    return content


@torch.no_grad()
def share_apart(
    session: LitertSession, network: Int8, variant: Variant, pictures: int = 6, seed: int = 0
) -> float:
    """How many of the values that LiteRT gives are more than a level of 255 from torch's.

    Of random pictures of random shapes, as soft as pictures are. Where the network ends on a grid
    of larger steps, or in sums from such, one of these is taken for a level.
    """
    random = np.random.default_rng(seed)
    step = _step(network, next(n for n in operations(network).nodes if n.op == "output"))
    found = []
    for _ in range(pictures):
        height, width = random.integers(variant.smallest // 4 + 1, 17, size=2)
        noise = random.random((height, width, variant.channels), np.float32)
        lr = resize(noise, 4).astype(np.float32)
        theirs = network(torch.from_numpy(lr).movedim(-1, 0)[None])[0].movedim(0, -1)
        found.append(apart(session(lr), np.asarray(theirs), step))
    return float(np.mean(np.concatenate(found)))


def _step(network: Int8, node: fx.Node) -> float:
    """The largest of the last grids' before `node`, 0 if a convolution comes first."""
    module = network.get_submodule(str(node.target)) if node.op == "call_module" else None
    if isinstance(module, Quantiser):
        return float(module.scale)
    if isinstance(module, nn.Conv2d):
        return 0.0
    return max((_step(network, one) for one in node.all_input_nodes), default=0.0)


def write(
    network: nn.Module,
    variant: Variant,
    scale: int,
    size: tuple[int, int],
    target: Path,
    licence: str,
) -> dict[str, Any]:
    """Writes `target` as `to_litert` makes it; returns what it is."""
    content = to_litert(network, variant, scale, size, licence)
    target.parent.mkdir(parents=True, exist_ok=True)
    with beside(target) as part:
        part.write_bytes(content)
    assert isinstance(network, Int8)
    return {
        "schema": 1,
        "variant": variant.name,
        "scale": scale,
        "file": target.name,
        "sha256": sha256_of(target),
        "bytes": len(content),
        "lr_size": list(size),
        "licence": licence,
        **network.quantized(),
    }


def export(
    weights: Path, model: str, scale: int, target: Path, size: tuple[int, int], licence: str
) -> dict[str, Any]:
    """Writes `target` of the weights of a training run, or of the tensors of a release.

    Raises WeightsError if they are not those of `model` at `scale`, and what `to_litert` does.
    """
    network, variant, own_scale = open_network(weights)
    if (variant.name, own_scale) != (model, scale):
        raise WeightsError(f"{weights}: is {variant.name} x{own_scale}, not {model} x{scale}")
    return write(network, variant, scale, size, target, licence)
