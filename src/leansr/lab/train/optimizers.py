"""Adam, Muon or SOAP for kernels, Adam for the rest."""

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from leansr.errors import UsageError
from leansr.lab.train.recipe import Optimizer as Settings
from leansr.lab.train.soap import SOAP


class Muon(torch.optim.Optimizer):
    """Momentum whose update is the nearest orthogonal matrix (Jordan et al., 2024).

    Kernels count as matrices (out, in * k * k). The update has the size that Adam's would have,
    so that rates carry over: 0.2 * sqrt(max(rows, columns)) (Liu et al., 2025). torch's own Muon
    takes matrices alone and orthogonalises them one by one, in bfloat16.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            momentum = group["momentum"]
            same_shape: dict[torch.Size, list[tuple[Tensor, Tensor]]] = defaultdict(list)
            for p in group["params"]:
                average = self.state[p].setdefault("momentum", torch.zeros_like(p))
                average.lerp_(p.grad, 1 - momentum)
                nesterov = p.grad.lerp(average, momentum)
                same_shape[p.shape].append((p, nesterov.flatten(1)))
            for shape, pairs in same_shape.items():
                updates = orthogonalize(torch.stack([update for _, update in pairs]))
                size = 0.2 * max(updates.shape[1:]) ** 0.5
                for (p, _), update in zip(pairs, updates, strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_(update.view(shape), alpha=-group["lr"] * size)


def orthogonalize(matrices: Tensor, steps: int = 5) -> Tensor:
    """`(N, rows, columns)` with singular values moved near 1 by Newton-Schulz iteration."""
    is_tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if is_tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    # Jordan's quintic: steepest at zero, singular values end within 0.7 .. 1.2.
    a, b, c = 3.4445, -4.7750, 2.0315
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.mT if is_tall else x


def optimizers(network: nn.Module, settings: Settings) -> list[torch.optim.Optimizer]:
    """The optimisers of one run; each group's `base_lr` is what the schedule multiplies.

    Kernels are what has more than one side longer than 1; all else is vectors, and Adam's.
    """
    trained = [p for p in network.parameters() if p.requires_grad]
    kernels = [p for p in trained if p.squeeze().ndim > 1]
    vectors = [p for p in trained if p.squeeze().ndim <= 1]
    if not trained:
        raise UsageError(f"{type(network).__name__}: the network has nothing to train")
    lr, decay, betas, epsilon = settings.lr, settings.weight_decay, settings.betas, settings.epsilon
    result: list[torch.optim.Optimizer] = []
    # A network may train its vectors alone.
    match settings.name if kernels else "":
        case "adam":
            result = [torch.optim.AdamW(kernels, lr, betas, epsilon, decay)]
        case "soap":
            result = [SOAP(kernels, lr, betas, epsilon, decay)]
        case "muon":
            result = [Muon(kernels, lr, settings.momentum, decay)]
    if vectors:
        result.append(torch.optim.Adam(vectors, lr * settings.vector_lr, betas, epsilon))
    for optimizer in result:
        for group in optimizer.param_groups:
            group["base_lr"] = group["lr"]
    return result
