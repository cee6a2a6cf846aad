"""The best model within a time, by what the cards say of quality and by what it costs here."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from leansr.errors import UsageError, WeightsError
from leansr.runtime.choice import Input
from leansr.runtime.size import steps_for
from leansr.runtime.upscaler import AUTO_TILE, Upscaler, available_cores
from leansr.zoo.release import Kind, Release

# The benchmark that cards are compared by: of those that all have, the one of most pictures.
RANKED_BY = "validation"

# Seconds for a megapixel of LR through the weights of (model, scale, kind).
Cost = Callable[[str, int, Kind], float]


@dataclass(frozen=True)
class Pick:
    """A model, its networks by their scales, and what it is expected to take for a picture."""

    model: str
    steps: tuple[int, ...]
    seconds: float
    is_within: bool


class Budget:
    """Picks models for pictures of which each may take `seconds` in the networks.

    Reading and writing are not in it. `cost` is asked once for each of the weights, which are
    those of `known`. Raises UsageError for a budget that is none, or if nothing is known.
    """

    def __init__(self, seconds: float, cost: Cost, known: Sequence[Release]) -> None:
        if not (math.isfinite(seconds) and seconds > 0):
            raise UsageError(f"a budget is more than 0 seconds, not {seconds:g}")
        if not known:
            raise UsageError(
                "no released network runs by this --backend and --precision; leave them out"
            )
        self._known = known
        self.seconds = seconds
        self._cost, self._costs = cost, dict[tuple[str, int, Kind], float]()
        self._lock = threading.Lock()

    def pick(self, pixels: int, factor: float | Fraction, input: Input, is_photo: bool) -> Pick:
        """The best model for `pixels` of LR, or the fastest if none is fast enough.

        A picture that `is_photo` by its compression gets photo weights by `input` "auto" where
        any are fast enough: on such pictures they are worth more than a larger network.
        """
        kinds: list[Kind] = ["photo", "clean"] if is_photo else ["clean"]
        if input != "auto":
            kinds = [input]
        picks = []
        for kind in kinds:
            for model, steps in candidates(factor, kind, self._known):
                seconds = self._expected(model, steps, kind, pixels)
                picks.append(Pick(model, steps, seconds, seconds <= self.seconds))
                if picks[-1].is_within:
                    return picks[-1]
        if not picks:
            raise WeightsError(f"no released weights for {input} pictures; give another --input")
        return min(picks, key=lambda pick: pick.seconds)

    def _expected(self, model: str, steps: Sequence[int], kind: Kind, pixels: int) -> float:
        total = 0.0
        for scale in steps:
            total += self._measured(model, scale, kind) * pixels / 1e6
            # What the first network gives is clean.
            pixels, kind = pixels * scale**2, "clean"
        return total

    def _measured(self, model: str, scale: int, kind: Kind) -> float:
        key = model, scale, kind
        with self._lock:
            if key not in self._costs:
                self._costs[key] = self._cost(*key)
            return self._costs[key]


def candidates(
    factor: float | Fraction, kind: Kind, known: Sequence[Release]
) -> list[tuple[str, tuple[int, ...]]]:
    """Models of `known` for `factor`, the best first, each with its steps, the same for all.

    For photo weights, which only the first step has, the others are clean ones.
    """
    clean = {(r.variant, r.scale) for r in known if r.kind == "clean"}
    first = [r for r in known if r.kind == kind]
    if not first:
        return []
    steps = steps_for(factor, {r.scale for r in first})
    able = [
        r
        for r in first
        if r.scale == steps[0] and all((r.variant, scale) in clean for scale in steps[1:])
    ]
    return [(r.variant, steps) for r in sorted(able, key=_quality, reverse=True)]


def cost_here(options: dict[str, Any]) -> Cost:
    """Measures on this machine, on a tile for each thread, once warm; `options` of `Upscaler`.

    The pixels are of 8 bits: where others are computed in finer numbers, they take longer.
    """

    def cost(model: str, scale: int, kind: Kind) -> float:
        upscaler = Upscaler(model, scale, input=kind, **options)
        shape = AUTO_TILE, AUTO_TILE * (options.get("threads") or available_cores()), 3
        noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        upscaler(noise)
        began = time.perf_counter()
        upscaler(noise)
        return (time.perf_counter() - began) / (shape[0] * shape[1] / 1e6)

    return cost


def _quality(release: Release) -> float:
    return release.psnr_y(RANKED_BY) or 0.0
