"""Ranges from what a network computes on pictures."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from leansr.errors import DataError, WeightsError
from leansr.lab.quantize.fake import FakeKernel, LearnedRange
from leansr.lab.quantize.grid import UINT8

if TYPE_CHECKING:
    from leansr.lab.quantize.int8 import Int8

Method = Literal["minmax", "percentile", "mse"]

# Of a histogram; eight to a level.
_BINS = 2048
# So much of the values may lie outside, on either side.
_TAIL = 1e-5
# So many shares of each end are tried.
_SHARES = 100


@torch.no_grad()
def calibrate(network: "Int8", batches: Sequence[Tensor], method: Method) -> None:
    """Sets every range of `network` by what it computes in floats on `batches` `(N, C, H, W)`.

    - minmax: from the smallest to the largest value;
    - percentile: all but 1e-5 of the values on either side;
    - mse: where rounding, and cutting off what lies outside, cost least.

    Memory is bounded, whatever the number of batches. Raises DataError if there is no pixel in
    them, WeightsError if what is computed is not finite.
    """
    if not any(batch.numel() for batch in batches):
        raise DataError("there are no pictures to take ranges from")
    extremes: dict[str, tuple[float, float]] = {}

    def widen(name: str, x: Tensor) -> None:
        low, high = (float(end) for end in x.aminmax())
        seen = extremes.get(name, (low, high))
        extremes[name] = min(low, seen[0]), max(high, seen[1])

    _observe(network, batches, widen)
    for name, ends in extremes.items():
        if not torch.tensor(ends).isfinite().all():
            raise WeightsError(f"{name}: what the network computes there is not finite")
    if method != "minmax":
        counts = {name: torch.zeros(_BINS, dtype=torch.float64) for name in extremes}

        def count(name: str, x: Tensor) -> None:
            low, high = extremes[name]
            if low < high:
                counts[name] += x.float().cpu().histc(_BINS, low, high)

        _observe(network, batches, count)
        choose = {"percentile": _percentile, "mse": _least_error}[method]
        extremes = {
            name: choose(counts[name], *ends) if ends[0] < ends[1] else ends
            for name, ends in extremes.items()
        }
    for name, (low, high) in extremes.items():
        network.range(name).set(low, high)


@contextmanager
def in_floats(network: "Int8", but: str | None = None) -> Iterator[None]:
    """Within it `network` is the one that it simulates in eight bits, `but` one layer of it."""

    def untouched(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
        return inputs[0]

    spared = set() if but is None else set(network.simulators(but))
    fakes = [m for m in network.modules() if isinstance(m, FakeKernel | LearnedRange)]
    handles = [fake.register_forward_hook(untouched) for fake in fakes if fake not in spared]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _observe(
    network: "Int8", batches: Sequence[Tensor], see: Callable[[str, Tensor], None]
) -> None:
    """Lets `see` have the values that come to each range, by its name, in floats."""
    was_training = network.training
    # Ranges that move stay where they are.
    network.eval()
    handles = [
        module.register_forward_pre_hook(lambda _, inputs, name=name: see(name, inputs[0]))
        for name, module in network.ranges.items()
    ]
    try:
        with in_floats(network):
            for batch in batches:
                network(batch)
    finally:
        for handle in handles:
            handle.remove()
        network.train(was_training)


def _percentile(counts: Tensor, low: float, high: float) -> tuple[float, float]:
    share = counts.cumsum(0) / counts.sum()
    edges = torch.linspace(low, high, _BINS + 1, dtype=torch.float64)
    first = int((share <= _TAIL).sum())
    last = int((share < 1 - _TAIL).sum())
    return float(edges[first]), float(edges[last + 1])


def _least_error(counts: Tensor, low: float, high: float) -> tuple[float, float]:
    """The shares of both ends, zero within, that lose least of the values' squares."""
    edges = torch.linspace(low, high, _BINS + 1, dtype=torch.float64)
    x = (edges[1:] + edges[:-1]) / 2
    shares = torch.arange(1, _SHARES + 1, dtype=torch.float64) / _SHARES
    lows, highs = min(low, 0) * shares, max(high, 0) * shares
    below = ((lows[:, None] - x).clamp(min=0).square() * counts).sum(1)
    above = ((x - highs[:, None]).clamp(min=0).square() * counts).sum(1)
    # Rounding: a twelfth of the step's square.
    step = (highs[None] - lows[:, None]) / UINT8.highest
    cost = below[:, None] + above[None] + step.square() / 12 * counts.sum()
    best = int(cost.argmin())
    return float(lows[best // _SHARES]), float(highs[best % _SHARES])
