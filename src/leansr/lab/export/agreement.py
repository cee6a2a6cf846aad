"""Whether a graph computes in ONNX Runtime what its network computes in torch."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper
from torch import Tensor, nn

from leansr.errors import ExportError
from leansr.lab.quantize.integer import Quantiser

# Two runtimes may add in another order; a wrong export differs by far more than this.
TOLERANCE = 1e-4
# Of values that are rounded to levels, so many may be on the next one; of pixels, so many further.
ON_THE_NEXT = 1e-3


@dataclass
class Agreement:
    """How far ONNX Runtime's values lie from torch's, given the same before them.

    `difference` is the largest of any output, of [0, 1], or of the largest output if that is more.
    `levels` is the largest of those that are rounded within the network, in levels, and `on_other`
    how many of these, of `rounded`, are not the same. `shipped` is the share of pixels that the
    graph as it is written has more than a level of 255 from those of the one that was compared,
    which shows what it rounds: ONNX Runtime may fuse the former as it cannot fuse the latter.
    """

    difference: float = 0.0
    levels: int = 0
    on_other: int = 0
    rounded: int = 0
    shipped: float = 0.0

    @property
    def holds(self) -> bool:
        """False for NaN too."""
        is_rounded_alike = self.levels <= 1 and self.on_other <= ON_THE_NEXT * self.rounded
        return self.difference <= TOLERANCE and is_rounded_alike and self.shipped <= ON_THE_NEXT

    @property
    def told(self) -> str:
        """What is wrong, in words."""
        if not self.difference <= TOLERANCE:
            return (
                f"ONNX Runtime differs from torch by {self.difference:.2g}, more than {TOLERANCE:g}"
            )
        if not self.shipped <= ON_THE_NEXT:
            return (
                f"the file is more than a level from what it rounds, step by step, on "
                f"{self.shipped:.2%} of pixels"
            )
        return (
            f"ONNX Runtime rounds {self.on_other} of {self.rounded} values otherwise than torch, "
            f"by up to {self.levels} levels"
        )


@torch.no_grad()
def agreement(
    model: onnx.ModelProto,
    network: nn.Module,
    channels: int,
    smallest: int = 1,
    shapes: int = 6,
    seed: int = 0,
) -> Agreement:
    """Of a graph `lr` to `sr` and the network that it is of, on random pictures of random shapes.

    What a network rounds within is held to a level each time, and torch then goes on from ONNX
    Runtime's: a sum that is a hair above or below a half ends on another level, and in a deep
    network that is another picture in the end, in torch itself when it adds in another order.
    """
    made = {node.output[0] for node in model.graph.node if node.op_type != "Constant"}
    taken = [node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear"]
    # Without kernels, which were rounded before.
    rounded = [name for name in taken if name in made]
    open_model = onnx.ModelProto()
    open_model.CopyFrom(model)
    open_model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in rounded)
    session = _session(open_model)
    shipped = _session(model)
    random = np.random.default_rng(seed)
    found = Agreement()
    differences, beyond = [], []
    for _ in range(shapes):
        height, width = random.integers(smallest, 65, size=2)
        lr = random.random((1, channels, height, width), np.float32)
        ours, *levels = session.run(["sr", *rounded], {"lr": lr})
        with _going_on_from(levels, network, found):
            theirs = np.asarray(network(torch.from_numpy(lr)))
        differences.append(np.abs(ours - theirs).max() / max(1.0, np.abs(theirs).max()))
        (written,) = shipped.run(["sr"], {"lr": lr})
        beyond.append(apart(written, ours))
    # numpy's max, unlike Python's, keeps NaN: it must not pass for equal.
    found.difference = float(np.max(differences))
    found.shipped = float(np.concatenate(beyond).mean())
    return found


def apart(ours: np.ndarray, theirs: np.ndarray, step: float = 0.0) -> np.ndarray:
    """Which values, flat, differ by more than a level of 255, or of a grid of that step if larger.

    NaN does from all others.
    """
    level = max(1 / 255, step)
    # A level's difference is told in floats, and is one still.
    return ~(np.abs(ours - theirs) <= 1.001 * level).ravel()


def _session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    content = model.SerializeToString()
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


@contextmanager
def _going_on_from(
    levels: list[np.ndarray], network: nn.Module, found: Agreement
) -> Iterator[None]:
    """Within it, what `network` rounds is compared with `levels`, and becomes those."""
    coming = iter(levels)

    def compare(module: Quantiser, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        theirs = torch.from_numpy(next(coming)).to(output.dtype)
        apart = (output / module.scale + module.zero - theirs).abs().round()
        found.levels = max(found.levels, int(apart.max()))
        found.on_other += int(apart.count_nonzero())
        found.rounded += apart.numel()
        return (theirs - module.zero) * module.scale

    quantisers = [m for m in network.modules() if isinstance(m, Quantiser)] if levels else []
    handles = [module.register_forward_hook(compare) for module in quantisers]
    try:
        yield
    except StopIteration as cause:
        raise ExportError("the graph rounds less often than its network") from cause
    finally:
        for handle in handles:
            handle.remove()
    if next(coming, None) is not None:
        raise ExportError("the graph rounds more often than its network")
