"""A trained network that another one learns from."""

import torch
from torch import Tensor

from leansr.errors import UsageError
from leansr.lab.nets.network import Network
from leansr.lab.train.recipe import Teacher
from leansr.lab.weights import open_network, sha256_of
from leansr.zoo.variant import Variant


class Lesson:
    """What the teacher makes of LR crops, without gradients; `sha256` is of its file."""

    def __init__(
        self, settings: Teacher, variant: Variant, scale: int, device: torch.device
    ) -> None:
        path = settings.path()
        network, row, of = open_network(path)
        if (row.colour, of) != (variant.colour, scale):
            raise UsageError(
                f"{path}: teaches {row.colour} x{of}, and {variant.name} learns "
                f"{variant.colour} x{scale}"
            )
        self.sha256 = sha256_of(path)
        self._network = network.to(device)
        self._is_ensemble = settings.self_ensemble

    @torch.no_grad()
    def __call__(self, lr: Tensor) -> Tensor:
        return self_ensemble(self._network, lr) if self._is_ensemble else self._network(lr)


def self_ensemble(network: Network, lr: Tensor) -> Tensor:
    """The mean of `network` over the eight ways to lay `lr` `(N, C, H, W)`, each laid back.

    Lim et al. (2017), "geometric self-ensemble".
    """
    total = None
    for turn in range(4):
        for flip in (False, True):
            turned = lr.rot90(turn, (2, 3))
            sr = network(turned.flip(3) if flip else turned)
            back = (sr.flip(3) if flip else sr).rot90(-turn, (2, 3))
            total = back if total is None else total + back
    assert total is not None
    return total / 8
