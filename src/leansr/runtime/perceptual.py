"""Perceptual metrics by other people's packages, each an extra that need not be installed."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

import numpy as np

from leansr.errors import UsageError
from leansr.image.arrays import Floats, Pixels
from leansr.image.quality import planes


@dataclass(frozen=True)
class Metric:
    """A distance of a picture from its original, 0 where they are equal.

    `measure` is called with the package and with the original and the picture, RGB `(H, W, 3)`
    float32 in [0, 1].
    """

    package: str
    what: str
    measure: Callable[[ModuleType, Floats, Floats], float]


def _flip(package: ModuleType, hr: Floats, sr: Floats) -> float:
    _, mean, _ = package.evaluate(hr, sr, "LDR", applyMagma=False)
    return float(mean)


METRICS = {
    # Andersson et al. 2020, at the package's own viewing distance.
    "flip": Metric("flip_evaluator", "LDR-FLIP, mean, 67 pixels per degree", _flip),
}


def metric(name: str, border: int) -> Callable[[Pixels, Pixels], float]:
    """A function of a picture and its original, uint8 or floats in [0, 1], `border` pixels cut.

    Raises UsageError for a metric that does not exist or whose package is not installed.
    """
    if name not in METRICS:
        raise UsageError(f"{name}: no such metric; one of {', '.join(METRICS)}")
    found = METRICS[name]
    try:
        package = import_module(found.package)
    except ModuleNotFoundError as cause:
        raise UsageError(f"{name}: needs {cause.name}; pip install 'leansr[perceptual]'") from cause

    def measure(sr: Pixels, hr: Pixels) -> float:
        unit = (planes(p, "rgb", border).astype(np.float32) / 255 for p in (hr, sr))
        return found.measure(package, *(np.ascontiguousarray(p) for p in unit))

    return measure
