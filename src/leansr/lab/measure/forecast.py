"""All that `leansr estimate` says of a variant: by the model, by the clock, by Arm's compiler."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leansr import zoo
from leansr.errors import UsageError, WeightsError
from leansr.lab.export.graph import halo
from leansr.lab.export.onnx_graph import traced
from leansr.lab.measure.contender import Contender
from leansr.lab.measure.hardware import ETHOS_N78, Hardware
from leansr.lab.measure.peaks import cpu
from leansr.lab.measure.roofline import Estimate, estimate, tile_sizes
from leansr.lab.measure.speed import bench
from leansr.lab.measure.vela import Compiled, compiled
from leansr.lab.nets import build
from leansr.lab.nets.network import Network
from leansr.lab.weights import open_network
from leansr.zoo.release import release_of
from leansr.zoo.variant import Variant


@dataclass(frozen=True)
class Forecast:
    """`halo` is in LR pixels, None where tiles were not to be exact or there are none."""

    variant: str
    halo: int | None
    estimate: Estimate
    measured_ms: float | None
    compiled: Compiled | None

    def as_json(self) -> dict[str, Any]:
        """The keys of a row of `leansr estimate --json`."""
        return {
            "variant": self.variant,
            "halo": self.halo,
            **self.estimate.as_json(),
            "measured_ms": self.measured_ms,
            "vela": self.compiled and self.compiled.as_json(),
        }


def hardware_of(name: str, threads: int) -> Hardware:
    """The hardware of that name; of "cpu", this machine's on `threads` threads, measured now."""
    if name == ETHOS_N78.name:
        return ETHOS_N78
    if name != "cpu":
        raise UsageError(f"{name}: no such hardware; ethos-n78 or cpu")
    return cpu(threads)


def forecast(
    variant: Variant,
    scale: int,
    size: tuple[int, int],
    hardware: Hardware,
    tile: tuple[int, int] | None = None,
    is_exact: bool = False,
    measured_on: int | None = None,
    npu: str | None = None,
    weights: Path | None = None,
) -> Forecast:
    """Of the deploy form of `variant` for an LR picture of `size` (height, width).

    In tiles of `tile`, whole ones with their halo if they are to be exact, as many as the area
    asks for if not. `measured_on` is how many threads of this CPU to time it on, `npu` the NPU to
    ask Vela of; of a network of eight bits that is given `weights`, or the released ones. Raises
    UsageError for exact tiles of a network that looks at the whole picture, for a picture or tile
    smaller than what `variant` takes, for eight bits on hardware of more, and for `weights` of a
    network in floats.
    """
    counted = _counted(variant, hardware)
    given = None if npu is None else _given(variant, scale, weights)
    network = build(counted, scale).deploy().eval()
    shape = (1, variant.channels, *size)
    _check(variant, [size], "--lr-size")
    around = _halo(network, variant) if tile is not None and is_exact else None
    _check(variant, tile_sizes(size, tile, around), "--tile")
    return Forecast(
        variant.name,
        around,
        estimate(network, shape, hardware, tile, around),
        None if measured_on is None else _median_ms(variant, scale, size, measured_on),
        None if npu is None else compiled(given or network, shape, npu),
    )


def _counted(variant: Variant, hardware: Hardware) -> Variant:
    """The row whose operations the model counts: hardware of eight bits has no others."""
    if variant.dtype != "int8":
        return variant
    of = str(variant.arguments["of"])
    if hardware.bytes_per_value > 1:
        raise UsageError(
            f"{variant.name}: the peaks of {hardware.name} are those of float32; estimate {of}, "
            f"and time both by `leansr bench`"
        )
    return zoo.VARIANTS[of]


def _given(variant: Variant, scale: int, weights: Path | None) -> Network | None:
    """What Vela is given of a network of eight bits."""
    if variant.dtype != "int8":
        if weights is not None:
            raise UsageError(f"--weights: are of eight bits, and {variant.name} is in floats")
        return None
    path = release_of(variant.name, scale).tensors if weights is None else weights
    network, own, own_scale = open_network(path)
    if (own.name, own_scale) != (variant.name, scale):
        raise WeightsError(f"{path}: is {own.name} x{own_scale}, not {variant.name} x{scale}")
    return network


def _check(variant: Variant, sizes: Iterable[tuple[int, int]], option: str) -> None:
    height, width = min(sizes, key=min)
    if min(height, width) < variant.smallest:
        raise UsageError(
            f"{variant.name}: takes {variant.smallest} pixels a side or more, and would get "
            f"{width}x{height}; give a larger {option}"
        )


def _median_ms(variant: Variant, scale: int, size: tuple[int, int], threads: int) -> float:
    """As `leansr bench` has it in ONNX Runtime."""
    (row,) = bench([Contender(variant.name, scale)], size, threads).rows
    return row.median_ms


def _halo(network: Network, variant: Variant) -> int:
    around = None if variant.is_global else halo(traced(network, variant.channels))
    if around is None:
        raise UsageError(
            f"{variant.name}: looks at the whole picture, and no tile is exact; leave out --halo"
        )
    return around
