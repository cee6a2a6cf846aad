"""SOAP (Vyas et al., 2024): Adam in the directions in which gradients vary, as in Shampoo."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

# Every so many steps the directions are found again (the paper's frequency f).
REFRESH = 10


class SOAP(torch.optim.Optimizer):
    """Adam on gradients that are turned, mode by mode, into the eigenvectors of their products.

    A kernel has three modes: outputs, inputs and taps; those of one entry are left out. The first
    step moves nothing: it only finds the first directions (Algorithm 3).
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        )

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            same_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for p in group["params"]:
                same_shape[p.shape].append(p)
            for shape, kernels in same_shape.items():
                gradients = torch.stack([_modes(p) for p in kernels])
                # One state for all kernels of a shape, so that one product serves them all.
                state = self.state[kernels[0]]
                if not state:
                    state.update(_begun(gradients, group["betas"][1]))
                    continue
                updates = _update(state, gradients, group)
                for p, update in zip(kernels, updates, strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.sub_(update.reshape(shape))


def _modes(kernel: Tensor) -> Tensor:
    """Its gradient, outputs x inputs x taps whatever the memory format, without sides of 1."""
    assert kernel.grad is not None
    return kernel.grad.reshape(*kernel.shape[:2], -1).contiguous().squeeze()


def _begun(gradients: Tensor, beta: float) -> dict[str, Any]:
    """The state after the first `gradients`: averages at zero, and first directions."""
    products = [(1 - beta) * _product(gradients, mode) for mode in range(1, gradients.ndim)]
    # A gradient that is not finite must reach the weights and the run's check, not raise here.
    finite = [product.nan_to_num(0.0, 0.0, 0.0) for product in products]
    return {
        "step": 0,
        "mean": torch.zeros_like(gradients),
        "square": torch.zeros_like(gradients),
        "products": products,
        "directions": [_contiguous(torch.linalg.eigh(product)[1]) for product in finite],
    }


def _update(state: dict[str, Any], gradients: Tensor, group: dict[str, Any]) -> Tensor:
    """What to take off the kernels whose `gradients` `(N, ...)` are stacked."""
    first_beta, second_beta = group["betas"]
    state["step"] += 1
    directions: list[Tensor] = state["directions"]
    mean = state["mean"].lerp_(gradients, 1 - first_beta)
    square = state["square"].lerp_(_turned(gradients, directions).square(), 1 - second_beta)
    # Adam's corrections for averages that start at zero.
    mean_share = 1 - first_beta ** state["step"]
    square_share = 1 - second_beta ** state["step"]
    denominator = (square / square_share).sqrt_().add_(group["eps"])
    scaled = _turned(mean, directions) / denominator
    update = _turned(scaled, [d.mT for d in directions])
    for mode, product in enumerate(state["products"], 1):
        product.lerp_(_product(gradients, mode), 1 - second_beta)
    if state["step"] % REFRESH == 0:
        # One step of orthogonal iteration towards the eigenvectors (Algorithm 4).
        state["directions"] = [
            _contiguous(torch.linalg.qr(product @ turned)[0])
            for product, turned in zip(state["products"], directions, strict=True)
        ]
    return update * (group["lr"] / mean_share)


def _product(gradients: Tensor, mode: int) -> Tensor:
    """For each of the stacked gradients, the products of its slices along `mode`: `(N, d, d)`."""
    slices = gradients.movedim(mode, 1).flatten(2)
    return slices @ slices.mT


def _turned(stacked: Tensor, directions: list[Tensor]) -> Tensor:
    """Each mode of the stacked tensors in the coordinates of its directions, the columns."""
    for mode, columns in enumerate(directions, 1):
        slices = stacked.movedim(mode, -1)
        across = slices.flatten(1, -2) @ columns
        stacked = across.view(slices.shape).movedim(-1, mode)
    return stacked.contiguous()


def _contiguous(matrices: Tensor) -> Tensor:
    # Decompositions come column by column, and products of the two layouts round differently.
    return matrices.contiguous()
