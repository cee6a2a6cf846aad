"""Blocks of a network by their class, and what they see and give when it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from leansr.errors import MeasureError, UsageError


@dataclass(frozen=True)
class Passage:
    """What a block saw and gave, each `(C, H, W)`; `name` is its path in the network.

    A block that runs several times has as many passages; of several outputs the first counts.
    """

    name: str
    before: Tensor
    after: Tensor


def attention_kinds(network: nn.Module) -> list[str]:
    """The classes of blocks that weigh features by a sigmoid, in the network's order.

    Such a block is the innermost module around a sigmoid that is more than a row of layers.
    """
    kinds = []
    for name, module in network.named_modules():
        if isinstance(module, nn.Sigmoid):
            owner: nn.Module = module
            while isinstance(owner, nn.Sigmoid | nn.Sequential):
                name = name.rpartition(".")[0]
                owner = network.get_submodule(name)
            kinds.append(type(owner).__name__)
    return list(dict.fromkeys(kinds))


def blocks_of(network: nn.Module, kind: str | None = None) -> dict[str, nn.Module]:
    """The blocks of class `kind` by their paths, of the first that attends if it is None.

    UsageError lists the network's classes if it has no such block.
    """
    wanted = kind or next(iter(attention_kinds(network)), None)
    modules = dict(network.named_modules())
    found = {name: m for name, m in modules.items() if type(m).__name__ == wanted}
    if not found:
        known = ", ".join(sorted({type(m).__name__ for m in modules.values()}))
        missing = kind or "blocks that weigh by a sigmoid"
        raise UsageError(f"{missing}: the network has none; of its {known} name one by --block")
    return found


@torch.no_grad()
def passages(network: nn.Module, blocks: Mapping[str, nn.Module], lr: Tensor) -> list[Passage]:
    """What goes through `blocks` of `network`, in evaluation mode, for `lr` `(1, C, H, W)`.

    In the order in which they run. MeasureError for a block that does not take one feature.
    """
    seen: list[Passage] = []
    network.eval()
    handles = [
        block.register_forward_hook(
            lambda module, args, output, name=name: seen.append(_passage(name, args, output))
        )
        for name, block in blocks.items()
    ]
    try:
        network(lr)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _passage(name: str, args: tuple[Any, ...], output: Any) -> Passage:
    after = output[0] if isinstance(output, tuple) else output
    before = args[0] if args else torch.empty(0)
    for feature in (before, after):
        if not isinstance(feature, Tensor) or feature.ndim != 4:
            raise MeasureError(f"{name}: does not go from a feature (N, C, H, W) to another")
    return Passage(name, before[0], after[0])
