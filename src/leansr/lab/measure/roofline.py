"""How long a network takes on given hardware, pass by pass: the slower of computing and moving."""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from torch import nn

from leansr.lab.measure.hardware import Hardware
from leansr.lab.measure.memory import last_use
from leansr.lab.measure.passes import SHUFFLE, Pass, passes
from leansr.lab.measure.trace import Value
from leansr.runtime.tiling import spans

# Above it an upscaling convolution is two steps, zeros put in and a plain convolution, so that
# Winograd applies; below, it is one, and does not (Arm's Ethos-N driver stack).
_WIDEST_UPSCALING = 7


@dataclass(frozen=True)
class Layer:
    """The cost of one pass over the picture, all tiles together.

    `array_macs` are the products that the array spends, lanes left empty included.
    """

    module: str
    operation: str
    multi_adds: float
    multi_adds_hr: float
    array_macs: float
    dram_bytes: float
    compute_ms: float
    dram_ms: float

    @property
    def runtime_ms(self) -> float:
        return max(self.compute_ms, self.dram_ms)

    @property
    def bound(self) -> Literal["compute", "dram"]:
        return "compute" if self.compute_ms >= self.dram_ms else "dram"


@dataclass(frozen=True)
class Estimate:
    """The cost of a network for one picture on `hardware`, in `tiles` tiles."""

    hardware: str
    tiles: float
    layers: tuple[Layer, ...]

    @property
    def multi_adds(self) -> float:
        """Of the graph that runs."""
        return sum(layer.multi_adds for layer in self.layers)

    @property
    def multi_adds_hr(self) -> float:
        """With transposed convolutions at their output pixels, as FSRCNN's papers print."""
        return sum(layer.multi_adds_hr for layer in self.layers)

    @property
    def dram_bytes(self) -> float:
        return sum(layer.dram_bytes for layer in self.layers)

    @property
    def compute_ms(self) -> float:
        return sum(layer.compute_ms for layer in self.layers)

    @property
    def dram_ms(self) -> float:
        return sum(layer.dram_ms for layer in self.layers)

    @property
    def runtime_ms(self) -> float:
        return sum(layer.runtime_ms for layer in self.layers)

    @property
    def fps(self) -> float:
        return 1000 / self.runtime_ms

    @property
    def bound(self) -> Literal["compute", "dram"]:
        """Where more than half of the time goes."""
        computing = sum(layer.runtime_ms for layer in self.layers if layer.bound == "compute")
        return "compute" if 2 * computing >= self.runtime_ms else "dram"

    def as_json(self) -> dict[str, Any]:
        """The totals and the layers, in the units of their names."""
        names = "tiles multi_adds multi_adds_hr dram_bytes compute_ms dram_ms runtime_ms fps bound"
        totals = {name: getattr(self, name) for name in names.split()}
        layers = [vars(layer) | {"runtime_ms": layer.runtime_ms} for layer in self.layers]
        return totals | {"layers": layers}


def estimate(
    network: nn.Module,
    shape: tuple[int, int, int, int],
    hardware: Hardware,
    tile: tuple[int, int] | None = None,
    halo: int | None = None,
) -> Estimate:
    """The cost of `network` for a picture of `shape` `(N, C, H, W)`.

    Whole, or in tiles of `tile` with a `halo` as `tile_sizes` has them; each is a run by itself.
    Raises MeasureError for an operation that is not known.
    """
    batch, channels, *size = shape
    sizes = tile_sizes((size[0], size[1]), tile, halo)
    runs = [
        [_scaled(layer, count) for layer in _layers(network, (batch, channels, *one), hardware)]
        for one, count in sizes.items()
    ]
    layers = tuple(_joined(same) for same in zip(*runs, strict=True))
    return Estimate(hardware.name, sum(sizes.values()), layers)


def tile_sizes(
    size: tuple[int, int], tile: tuple[int, int] | None, halo: int | None
) -> dict[tuple[int, int], float]:
    """How many tiles of which size (height, width) the network runs, for a picture of `size`.

    Without a `tile` the picture itself. In tiles of `tile`, no larger than the picture: as many as
    the area asks for, which need not be a whole number (SESR, section 4.5), or with a `halo` of LR
    pixels, whole tiles that cover the picture, each as much wider as makes its result exact.
    """
    if tile is None:
        return {size: 1}
    tile = cut_tile(tile, size)
    if halo is None:
        return {tile: (size[0] / tile[0]) * (size[1] / tile[1])}
    rows, columns = (
        [span.high - span.low for span in spans(side, part, halo)]
        for side, part in zip(size, tile, strict=True)
    )
    return dict(Counter((row, column) for row in rows for column in columns))


def cut_tile(tile: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """The part of `tile` that a picture of `size` fills, both height and width."""
    return min(tile[0], size[0]), min(tile[1], size[1])


def array_macs(one: Pass, hardware: Hardware) -> int:
    """The products that the array spends on a pass, with what its lanes and Winograd make of it."""
    if not one.depth or not (hardware.is_upscaling_by_products or one.multi_adds):
        return 0
    if one.is_transposed and not hardware.is_upscaling_by_products:
        return one.multi_adds
    lanes_in, lanes_out = hardware.lanes
    channels, height, width = _sides(one.output)
    is_upscaling = one.operation == SHUFFLE or (
        one.is_transposed and max(one.kernel) <= _WIDEST_UPSCALING
    )
    spent = height * width * one.kernel[0] * one.kernel[1]
    if hardware.is_winograd and not is_upscaling and max(one.kernel) > 1:
        parts = _over(one.kernel[0], 3) * _over(one.kernel[1], 3)
        spent = min(spent, _over(height, 2) * _over(width, 2) * 16 * parts)
    return spent * _padded(channels, lanes_out) * _padded(one.depth, lanes_in)


def _layers(
    network: nn.Module, shape: tuple[int, int, int, int], hardware: Hardware
) -> list[Layer]:
    run = passes(network, shape)
    kept = _kept_stripes(run, hardware) if hardware.stripe else _kept_whole(run, hardware)
    return [_layer(one, kept, hardware) for one in run]


def _layer(one: Pass, kept: set[int], hardware: Hardware) -> Layer:
    # A feature that an operation is given twice is read once.
    values = {v.storage: v for v in (*one.inputs, one.output)}.values()
    moved = sum(_bytes(v, hardware) for v in values if v.storage not in kept)
    moved += one.weights * hardware.bytes_per_value
    spent = array_macs(one, hardware)
    return Layer(
        module=one.module,
        operation=one.operation,
        multi_adds=one.multi_adds,
        multi_adds_hr=one.multi_adds_hr,
        array_macs=spent,
        dram_bytes=moved,
        compute_ms=1000 * spent / hardware.macs_per_s,
        dram_ms=1000 * moved / hardware.dram_bytes_per_s,
    )


def _kept_stripes(run: list[Pass], hardware: Hardware) -> set[int]:
    """The features that pass from pass to pass in stripes, never whole, and never to memory.

    A chain grows while its stripes and weights fit: `buffered` of what comes from memory, one of
    what is made here, of both two more where neighbouring rows are needed, `buffered` of what goes
    to memory. These are the counts of Arm's Ethos-N driver stack (StripeHelper.cpp and McePart.cpp
    in driver/support_library/src/cascading), which lets `buffered` be 1 or 2. A feature that two
    passes read ends a chain, and a depth-to-space does, whose stripes have another height: our
    choice. A single pass is taken to fit, cut as need be.
    """
    readers = Counter(storage for one in run for storage in {v.storage for v in one.inputs})
    kept: set[int] = set()
    chain: list[Pass] = []
    for one, following in pairwise(run):
        chain.append(one)
        feeds = one.output.storage in {v.storage for v in following.inputs}
        is_passed = feeds and readers[one.output.storage] == 1 and one.operation != SHUFFLE
        inside = kept | {one.output.storage}
        if is_passed and _held([*chain, following], inside, hardware) <= hardware.buffer_bytes:
            kept.add(one.output.storage)
        else:
            chain = []
    return kept


def _held(chain: list[Pass], inside: set[int], hardware: Hardware) -> int:
    """Bytes of the buffer that a chain of passes takes."""
    total = hardware.buffered * _stripe(chain[-1].output, hardware)
    for one in chain:
        total += one.weights * hardware.bytes_per_value
        for value in {v.storage: v for v in one.inputs}.values():
            slots = 1 if value.storage in inside else hardware.buffered
            slots += 2 if one.needs_neighbours else 0
            total += slots * _stripe(value, hardware)
    return total


def _kept_whole(run: list[Pass], hardware: Hardware) -> set[int]:
    """The features that stay in the buffer because all that lives beside them fits there too."""
    last = last_use((*one.inputs, one.output) for one in run)
    made = {one.output.storage: i for i, one in enumerate(run)}
    sizes = {v.storage: _bytes(v, hardware) for one in run for v in (*one.inputs, one.output)}
    alive = [
        sum(size for storage, size in sizes.items() if made.get(storage, 0) <= i <= last[storage])
        for i in range(len(run))
    ]
    return {
        storage
        for storage, i in made.items()
        if last[storage] > i and max(alive[i : last[storage] + 1]) <= hardware.buffer_bytes
    }


def _bytes(value: Value, hardware: Hardware) -> int:
    """What moves of a feature."""
    channels, height, width = _sides(value)
    whole = channels * _padded(height, hardware.cell) * _padded(width, hardware.cell)
    part = hardware.compressed if channels >= hardware.compressible else 1.0
    return round(whole * hardware.bytes_per_value * part)


def _stripe(value: Value, hardware: Hardware) -> int:
    """What some rows of a feature take in the buffer, where nothing is compressed."""
    channels, height, width = _sides(value)
    rows = min(hardware.stripe, _padded(height, hardware.cell))
    return channels * rows * _padded(width, hardware.cell) * hardware.bytes_per_value


def _sides(value: Value) -> tuple[int, int, int]:
    """Channels, height and width; what is no feature map is taken as one of a pixel."""
    if len(value.shape) != 4:
        return value.numel, 1, 1
    batch, channels, height, width = value.shape
    return batch * channels, height, width


def _padded(count: int, to: int) -> int:
    return _over(count, to) * to


def _over(count: int, by: int) -> int:
    return -(-count // by)


def _scaled(layer: Layer, count: float) -> Layer:
    return _joined((layer,), count)


def _joined(layers: tuple[Layer, ...], count: float = 1) -> Layer:
    """The same pass over several tiles; `count` times over each."""

    def total(name: str) -> float:
        return count * sum(getattr(layer, name) for layer in layers)

    return Layer(
        layers[0].module,
        layers[0].operation,
        total("multi_adds"),
        total("multi_adds_hr"),
        total("array_macs"),
        total("dram_bytes"),
        total("compute_ms"),
        total("dram_ms"),
    )
