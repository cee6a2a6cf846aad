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
# Of values that are rounded to levels, so many may be on the next one.
_ON_THE_NEXT = 1e-3


@dataclass
class Agreement:
    """How far ONNX Runtime's values lie from torch's, given the same before them.

    `difference` is the largest of any output, of [0, 1], or of the largest output if that is more.
    `levels` is the largest of those that are rounded within the network, in levels, and `on_other`
    how many of these, of `rounded`, are not the same.
    """

    difference: float = 0.0
    levels: int = 0
    on_other: int = 0
    rounded: int = 0

    @property
    def holds(self) -> bool:
        """False for NaN too."""
        is_rounded_alike = self.levels <= 1 and self.on_other <= _ON_THE_NEXT * self.rounded
        return self.difference <= TOLERANCE and is_rounded_alike

    @property
    def told(self) -> str:
        """What is wrong, in words."""
        if self.difference <= TOLERANCE:
            return (
                f"ONNX Runtime rounds {self.on_other} of {self.rounded} values otherwise than "
                f"torch, by up to {self.levels} levels"
            )
        return f"ONNX Runtime differs from torch by {self.difference:.2g}, more than {TOLERANCE:g}"


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
    rounded = [node.output[0] for node in model.graph.node if node.op_type == "QuantizeLinear"]
    open_model = onnx.ModelProto()
    open_model.CopyFrom(model)
    open_model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in rounded)
    session = onnxruntime.InferenceSession(
        open_model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    random = np.random.default_rng(seed)
    found = Agreement()
    differences = []
    for _ in range(shapes):
        height, width = random.integers(smallest, 65, size=2)
        lr = random.random((1, channels, height, width), np.float32)
        ours, *levels = session.run(["sr", *rounded], {"lr": lr})
        with _going_on_from(levels, network, found):
            theirs = np.asarray(network(torch.from_numpy(lr)))
        differences.append(np.abs(ours - theirs).max() / max(1.0, np.abs(theirs).max()))
    # numpy's max, unlike Python's, keeps NaN: it must not pass for equal.
    found.difference = float(np.max(differences))
    return found


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
