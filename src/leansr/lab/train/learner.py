"""The network that a run trains: its weights, their average, and what moves them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from leansr.lab.nets.network import Network
from leansr.lab.train.optimizers import optimizers
from leansr.lab.train.processes import Processes
from leansr.lab.train.progress import update_average
from leansr.lab.train.recipe import Recipe, Start
from leansr.lab.weights import load_strictly, read_tensors, sha256_of


def begin(network: Network, start: Start) -> str:
    """Gives `network` the weights that a recipe starts from; the SHA-256 of their file.

    WeightsError if they do not fit, UsageError if the network has no such parts to start afresh.
    """
    path = start.path()
    load_strictly(network, network.adopted(read_tensors(path)), start.weights, start.fresh)
    return sha256_of(path)


class Learner:
    """`network` on `device`, as `recipe` moves it; it becomes part of what several processes train.

    `current` is what it holds at the moment, `average` the moving average of that.
    """

    def __init__(
        self, network: Network, recipe: Recipe, device: torch.device, processes: Processes
    ) -> None:
        for parameter in network.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.to(memory_format=torch.channels_last)
        processes.prepare(network)
        self.network, self._processes = network, processes
        self._ema, self._clip = recipe.ema, recipe.optimizer.clip
        # Buffers too: batch normalisation's running statistics are as much of the network.
        self.current = network.state_dict()
        self.average = {name: tensor.clone() for name, tensor in self.current.items()}
        self._optimizers = optimizers(network, recipe.optimizer)
        self._scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "fp16")

    @property
    def rate(self) -> float:
        """What the last step moved kernels by, or vectors where there are no kernels."""
        rate: float = self._optimizers[0].param_groups[0]["lr"]
        return rate

    @property
    def is_finite(self) -> bool:
        """Whether no weight is lost."""
        return all(bool(tensor.isfinite().all()) for tensor in self.current.values())

    def prepare(self, lr: Tensor) -> None:
        """Starts a new run by what its first batch lr `(N, C, H, W)` shows the network."""
        self.network.prepare(lr)
        for name, tensor in self.current.items():
            self.average[name].copy_(tensor)

    def step(self, loss: Callable[[], Tensor], factor: float, number: int) -> Tensor | None:
        """One step, the `number`-th, down `loss` at `factor` times the rate; its loss.

        None, and nothing is moved, where the gradient is not finite.
        """
        buffers = list(self.network.buffers())
        before = [buffer.clone() for buffer in buffers]
        value = loss()
        self._scaler.scale(value).backward()
        if not self._descend(factor):
            # Running statistics have seen what the weights have not moved by.
            for buffer, kept in zip(buffers, before, strict=True):
                buffer.copy_(kept)
            return None
        update_average(self.average, self.current, self._ema, number)
        return value.detach()

    def state(self) -> dict[str, Any]:
        """All that it takes to go on, for a checkpoint."""
        return {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "scaler": self._scaler.state_dict(),
        }

    def go_on(self, state: dict[str, Any]) -> None:
        """Takes over what `state` gave."""
        self.network.load_state_dict(state["network"])
        for name, tensor in state["average"].items():
            self.average[name].copy_(tensor)
        for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        if self._scaler.is_enabled():
            self._scaler.load_state_dict(state["scaler"])

    def _descend(self, factor: float) -> bool:
        """Moves the weights by their gradients, unless one of those is not finite."""
        parameters = list(self.network.parameters())
        gradients = [p.grad for p in parameters if p.grad is not None]
        self._processes.average(gradients)
        for optimizer in self._optimizers:
            self._scaler.unscale_(optimizer)
        norm = nn.utils.get_total_norm(gradients)
        is_finite = bool(norm.isfinite())
        if self._clip is not None:
            nn.utils.clip_grads_with_norm_(parameters, self._clip, norm)
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * factor
            if is_finite:
                optimizer.step()
            optimizer.zero_grad()
        if self._scaler.is_enabled():
            self._scaler.update()
        return is_finite
