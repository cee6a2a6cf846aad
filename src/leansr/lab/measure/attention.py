"""The branches of spatial attention one by one: refinement and dispersion (MDRN, section 3)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from leansr.errors import UsageError
from leansr.lab.nets import bsrn, fmen_attention, rfdn, rlfn
from leansr.lab.nets.mdrn_attention import (
    Dispersion,
    LocalVariance,
    SpatialGate,
    d3,
    d5,
    d7,
)

# MDRN's names: the branch at full resolution, and those that pool by 7 x 7, 5 x 5, 3 x 3.
REFINEMENT = "refinement"
_POOLS = {"D7": d7, "D5": d5, "D3": d3}
_GATES = (SpatialGate, bsrn.ESA, rfdn.ESA, rlfn.ESA, fmen_attention.ESA)


@dataclass(frozen=True)
class Attention:
    """What a gate's map is made of, for one picture.

    `branches`, each `(c, H, W)`, are added up, brought to the gate's channels by the 1 x 1 `last`,
    and put through a sigmoid.
    """

    name: str
    branches: Mapping[str, Tensor]
    last: nn.Module

    @property
    def dispersion(self) -> list[str]:
        """The names of the branches that squeeze and disperse, the widest pooling first."""
        return sorted(self.branches.keys() - {REFINEMENT}, reverse=True)

    @torch.no_grad()
    def map(self, names: Iterable[str]) -> Tensor:
        """`(C, H, W)` in [0, 1]: the gate's map if it had only these branches.

        Of all of them it is what the gate weighs by.
        """
        total = reduce(torch.add, [self.branches[name] for name in names])
        return torch.sigmoid(self.last(total[None]))[0]


@torch.no_grad()
def attentions(network: nn.Module, lr: Tensor) -> list[Attention]:
    """Every ESA and MDSA of `network`, in evaluation mode, for `lr` `(1, C, H, W)`.

    UsageError if it has none.
    """
    gates = {name: m for name, m in network.named_modules() if isinstance(m, _GATES)}
    if not gates:
        raise UsageError("the network has neither ESA nor MDSA, so no branches of attention")
    network.eval()
    seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}
    parts = {name: _parts(gate) for name, gate in gates.items()}
    watched = [m for branches, last in parts.values() for m in (*branches.values(), last)]
    handles = [
        module.register_forward_hook(
            lambda module, args, output: seen.update({module: (args[0][0], output[0])})
        )
        for module in watched
    ]
    try:
        network(lr)
    finally:
        for handle in handles:
            handle.remove()
    found = []
    for name, (modules, last) in parts.items():
        branches = {label: seen[module][1] for label, module in modules.items()}
        if not isinstance(gates[name], SpatialGate):
            # ESA interpolates between its modules: its other branch is what is left of the sum.
            branches["D7"] = seen[last][0] - branches[REFINEMENT]
        found.append(Attention(name, branches, last))
    return found


def dispersed(picture: Tensor, names: Iterable[str]) -> Tensor:
    """`picture` `(C, H, W)` as the branches see space: pooled, resized, their mean (Figure 3).

    `names` are of D7, D5 and D3; their poolings are MDSA's, every 3 pixels. UsageError for a
    picture that is smaller than D5's window, which has no padding.
    """
    height, width = picture.shape[-2:]
    if min(height, width) < 5:
        raise UsageError(f"D5 pools 5 x 5 pixels, and the picture has {width} x {height}")
    parts = [
        F.interpolate(
            _POOLS[name](1).squeezes[0].get_submodule("1")(picture[None]),
            picture.shape[-2:],
            mode="bilinear",
            align_corners=False,
        )
        for name in names
    ]
    return torch.stack(parts).mean(dim=0)[0]


def _parts(gate: nn.Module) -> tuple[dict[str, nn.Module], nn.Module]:
    """The branches that are modules, by name, and the last 1 x 1."""
    match gate:
        case SpatialGate():
            return {_label(branch): branch for branch in gate.branches}, gate.expand
        case bsrn.ESA() | rfdn.ESA():
            return {REFINEMENT: gate.skip}, gate.excite[0]
        case rlfn.ESA() | fmen_attention.ESA():
            return {REFINEMENT: gate.skip}, gate.expand
        case _:
            raise TypeError(f"{type(gate).__name__} is no gate whose branches are known")


def _label(branch: nn.Module) -> str:
    if not isinstance(branch, Dispersion):
        return REFINEMENT
    inner = list(branch.modules())
    (side,) = (m.kernel_size for m in inner if isinstance(m, nn.MaxPool2d))
    return f"D{side} + L-var" if any(isinstance(m, LocalVariance) for m in inner) else f"D{side}"
