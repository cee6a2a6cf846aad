"""Arrays in, larger arrays out."""

import math
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from leansr import zoo
from leansr.errors import UsageError, WeightsError
from leansr.image.alpha import REACH, bled
from leansr.image.arrays import WHITE, Floats, Pixels
from leansr.image.strips.rows import Source, Window
from leansr.runtime import memory
from leansr.runtime.backend import (
    Backend,
    Numbers,
    Precision,
    Runner,
    method_of,
    of_precision,
    runner,
)
from leansr.runtime.colours import through
from leansr.runtime.flat import flat
from leansr.runtime.native import NativeSession
from leansr.runtime.onnx_session import OnnxSession
from leansr.runtime.tiling import Span, spans, tiles
from leansr.zoo.costs import costs
from leansr.zoo.release import KINDS, Kind

# LR pixels a side: fastest of 96 to 512 for SESR-M5, whose halo then costs a seventh. Where the
# halo is wide, a tile is so many times as wide: 512 for FMEN-S, a fifth faster than 256.
AUTO_TILE, _TILE_BY_HALO = 256, 16
# SR pixels of a row of tiles, at most where that leaves tiles of so many LR rows.
_BAND, _LOWEST = 1 << 25, 32
# The same of the native engine, whose rows are as wide as the picture: 4K is one of them.
_NATIVE_BAND = 1 << 23
# The support of the bicubic kernel that chroma goes up by.
_CHROMA_HALO = 2
# LR pixels around a tile of a network that looks at the whole picture. Twice as many change little
# of what tiles change (`benchmarks/global_tiles.py`).
_OVERLAP = 32
# What that script found for BSRN, MDRN and E-RFDN x4 in tiles of 64 and 128 pixels.
_TILED = (
    "looks at the whole picture; in tiles it does not, which changes values by 0.1 to 0.4 levels "
    "of 255 (rms), a few by up to 15"
)
# The strides of ESA and of MDRN's branches: a convolution's 2 times a pooling's 3.
_GRID = 6

Session = OnnxSession | NativeSession


@dataclass(frozen=True)
class _Part:
    """Rows of an LR picture, the first of them its row `low`, and its height and width."""

    pixels: Pixels
    low: int
    size: tuple[int, int]

    def seen(self, rows: Span, columns: Span) -> Pixels:
        """What the network sees of a tile, colour carried on under what is transparent."""
        reach = _reach(self.pixels.shape[2])
        height, width = self.size
        down, across = rows.wider(reach, height), columns.wider(reach, width)
        around = bled(self.pixels[down.source(self.low), across.source()])
        return around[rows.source(down.low), columns.source(across.low)]


@dataclass(frozen=True)
class _Started:
    """Pixels that are whole once all that fills them is done."""

    pixels: Pixels
    parts: Sequence[Future[None]]

    def result(self) -> Pixels:
        for part in self.parts:
            part.result()
        return self.pixels


class Upscaler:
    """A network made ready once, for any number of pictures.

    `backend` and `precision` say what runs it, in which numbers (`leansr.runtime.backend`): by
    "auto" the native engine where it has the network, in bfloat16 for pictures of 8 bits where the
    processor has that. "int8" takes the release of eight bits. `tile` is the side of the tiles in
    LR pixels, "auto", or "off" for the whole picture at once; whichever it is, the result is the
    same to float rounding, and that of the engine, whose tiles are as wide as the picture, to the
    last bit. But a network that looks at the whole picture gets it whole by "auto"; tiles change
    its result a little, which `caution` then says. `input` says what the arrays are: "clean", or
    "photo" for those that were compressed (not every model has weights for them). `weights` is an
    ONNX file of `leansr export` in place of the released ones, which ONNX Runtime runs. `at_once`
    is how many threads of the caller call it at the same time: memory is planned for all of their
    tiles. `threads` is how many work for all of these callers together, or one for each if they are
    more; all cores if None. In ONNX Runtime each caller has a share, in the engine all in turn.
    """

    def __init__(
        self,
        model: str = "sesr-m5",
        scale: int = 2,
        *,
        backend: Backend = "auto",
        precision: Precision = "auto",
        threads: int | None = None,
        tile: int | Literal["auto", "off"] = "auto",
        input: Kind = "clean",
        weights: str | Path | None = None,
        at_once: int = 1,
    ) -> None:
        if threads is not None and threads < 1:
            raise UsageError(f"threads are 1 or more, not {threads}")
        if at_once < 1:
            raise UsageError(f"at_once is 1 or more, not {at_once}")
        if tile not in ("auto", "off") and not (isinstance(tile, int) and tile >= 1):
            raise UsageError(f"a tile is auto, off or 1 pixel or more a side, not {tile}")
        if input not in KINDS:
            raise UsageError(f"{input}: pixels are one of {', '.join(KINDS)}; a file can be auto")
        model = of_precision(model, precision, weights)
        variant = zoo.find(model, scale)
        # What runs it, and in which numbers.
        self.runner = chosen = runner(model, scale, input, backend, precision, weights)
        threads = threads or available_cores()
        is_native = chosen.backend == "native"
        if variant.is_global and tile == "auto":
            tile = "off"
        elif is_native and tile == "off":
            # The bits are the same, and between rows it can be ended.
            tile = "auto"
        # Tiles side by side, each on one thread, waste less than a tile's layers split in two:
        # no waiting for each other after every layer (docs/decisions/004). The engine's threads
        # share the rows of a picture, through all layers.
        is_whole = tile == "off" or is_native
        share = threads if is_native else max(1, threads // at_once)
        self._workers, self._inner = (1, share) if is_whole else (share, 1)
        self._network: Session = _session(chosen, chosen.coarse, self._inner)
        # What pixels of more bits get, made when the first of them come.
        self._fine: Session | None = None
        self._lock = threading.Lock()
        if (self._network.variant, self._network.scale) != (model, scale):
            found = f"{self._network.variant} x{self._network.scale}"
            raise WeightsError(f"{chosen.path}: is {found}, not {model} x{scale}")
        # What there is to be told of the results, None if there is nothing.
        self.caution = None
        if self._network.halo is None and tile != "off":
            self.caution = f"{model} {_TILED}"
        self._smallest = variant.smallest
        halo = _OVERLAP if self._network.halo is None else self._network.halo
        self._halo = self._row_halo = max(halo, _CHROMA_HALO)
        self._grid_step = _GRID if self._network.halo is None else 1
        self._is_native, self._at_once = is_native, at_once
        if isinstance(self._network, NativeSession):
            self._row_halo, self._grid_step = self._network.row_halo, self._network.row_grid
        self.model, self.scale, self.colour = model, scale, variant.colour
        self._pixel_bytes = memory.tile_bytes(costs()[model, scale].features, scale)
        self._band = None
        if tile == "auto":
            self._band = _NATIVE_BAND if is_native else _BAND
        if tile == "auto" and not is_native:
            wanted, at_most = max(AUTO_TILE, _TILE_BY_HALO * self._halo), at_once * share
            free = memory.available()
            tile = memory.tile_side(wanted, self._halo, self._pixel_bytes, at_most, free)
        self._tile = tile if isinstance(tile, int) else None

    def __call__(self, pixels: Pixels) -> Pixels:
        """`(H, W)`, `(H, W, 3)` or `(H, W, 4)` scaled up, of the same dtype.

        uint8, uint16, or floats in [0, 1]; a fourth channel is alpha, and so is the second of
        `(H, W, 2)`. Raises ValueError for any other shape, dtype or an empty array, and
        MemoryError, with what to do, before anything that does not fit into memory is begun.
        """
        _check(pixels)
        if pixels.ndim == 2:
            return self._upscale(pixels[..., None])[..., 0]
        return self._upscale(pixels)

    def bands(self, source: Source) -> Iterator[Pixels]:
        """The larger picture from the top, some rows `(., scale * W, C)` at a time.

        As many as a row of tiles gives: exactly what the whole picture gives. While the caller has
        one, the next ones are under way; no more of the picture is in memory.
        """
        window = Window(source)
        height, width, channels = source.height, source.width, window.channels
        one = source.sample.pixels.itemsize, channels
        rows, columns = self._grid(height, width, *one)
        # Enough rows of tiles beside the one that is waited for to keep every thread busy.
        ahead = -(-self._workers // len(columns))
        held = rows[: ahead + 2]
        self._check_memory(held, columns, *one)
        waiting: deque[_Started] = deque()
        with _pool(self._workers) as pool:
            for span in rows:
                around = span.wider(_reach(channels), height)
                pixels = window.rows(around.low, around.high)
                part = _Part(pixels, around.low, (height, width))
                larger, works = self._works(part, [span], columns)
                waiting.append(_Started(larger, [pool.submit(work) for work in works]))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _upscale(self, pixels: Pixels) -> Pixels:
        height, width, channels = pixels.shape
        rows, columns = self._grid(height, width, pixels.itemsize, channels)
        self._check_memory(rows, columns, pixels.itemsize, channels)
        result, works = self._works(_Part(pixels, 0, (height, width)), rows, columns)
        waiting: deque[Future[None]] = deque()
        with _pool(self._workers) as pool:
            for work in works:
                # What is handed out is done before a program that is interrupted can end.
                if len(waiting) == 2 * self._workers:
                    waiting.popleft().result()
                waiting.append(pool.submit(work))
            for future in waiting:
                future.result()
        return result

    def _grid(
        self, height: int, width: int, itemsize: int, channels: int
    ) -> tuple[list[Span], list[Span]]:
        """Rows and columns of the tiles of a picture."""
        tile = self._tile or max(height, width)
        low, band = tile, self._band
        if band is not None:
            if self._is_native:
                one = self._work(itemsize, channels) / self.scale**2
                band = memory.band_pixels(band, self._at_once, one, memory.available())
            # Of the widest pictures a row of tiles would take too much memory.
            low = min(tile, max(_LOWEST, band // (width * self.scale**2)))
        across = width if self._is_native else tile
        rows = spans(height, low, self._row_halo, self._smallest, self._grid_step)
        return rows, spans(width, across, self._halo, self._smallest, self._grid_step)

    def _work(self, itemsize: int, channels: int) -> int:
        """Bytes that a tile takes for each of its LR pixels, beside the result."""
        if self._is_native:
            return memory.native_bytes(itemsize, channels, self.scale)
        return self._pixel_bytes

    def _check_memory(
        self, rows: Sequence[Span], columns: Sequence[Span], itemsize: int, channels: int
    ) -> None:
        """MemoryError if these rows of tiles and what becomes of them do not fit into memory."""
        at_once = min(self._workers, len(rows) * len(columns))
        seen = [max(span.high - span.low for span in side) for side in (rows, columns)]
        pixels = [side[-1].stop - side[0].start for side in (rows, columns)]
        work = at_once * math.prod(seen) * self._work(itemsize, channels)
        result = math.prod(pixels) * self.scale**2 * itemsize * channels
        free = memory.available()
        if free is not None and work + result > free:
            raise MemoryError(
                f"{memory.in_words(work)} for {at_once} tiles of {seen[1]} x {seen[0]} pixels and "
                f"{memory.in_words(result)} for the result, of {memory.in_words(free)} that are "
                f"free; {self._way_out(at_once if work > free else 0)}"
            )

    def _way_out(self, at_once: int) -> str:
        """What to do where so many tiles are too much, or with none the result is."""
        if self._is_native and self._tile is None:
            # Its rows are as low as they get.
            return "free memory, or write .png or .tif, which go by rows"
        if not at_once:
            return "write .png or .tif, which go by rows"
        if self._tile is None:
            return "use --tile N, like 512"
        if at_once > 1:
            return "use fewer --threads"
        return "use a smaller --tile"

    def _works(
        self, part: _Part, rows: Sequence[Span], columns: Sequence[Span]
    ) -> tuple[Pixels, list[Callable[[], None]]]:
        """Rows of tiles of the picture that `part` is of, larger, and what fills them."""
        top = rows[0].start
        channels = part.pixels.shape[2]
        colours = 3 if channels >= 3 else 1
        shape = (rows[-1].stop - top) * self.scale, columns[-1].stop * self.scale, channels
        result: Pixels = np.empty(shape, part.pixels.dtype)

        def fill(rows: Span, columns: Span) -> None:
            pixels = part.seen(rows, columns)
            target = result[rows.target(self.scale, top), columns.target(self.scale)]
            kept = rows.kept(self.scale), columns.kept(self.scale)
            # The colour's copy is gone before that of alpha is made.
            target[..., :colours] = self._larger(pixels[..., :colours])[kept]
            if channels > colours:
                self._fill_alpha(target[..., colours], pixels[..., colours:], rows, columns)

        return result, [partial(fill, *place) for place in tiles(rows, columns)]

    def _fill_alpha(self, target: Pixels, alpha: Pixels, rows: Span, columns: Span) -> None:
        """By the network, but where all that it sees is one value, which no network promises to
        keep to the last level: there opaque stays opaque."""
        kept = rows.kept(1), columns.kept(1)
        is_flat = np.ones(alpha.shape[:2], bool)
        if np.ptp(alpha) != 0:
            is_flat = flat(alpha[..., 0], self._halo)
            larger = self._larger(alpha)[rows.kept(self.scale), columns.kept(self.scale)]
            target[...] = larger[..., 0]
        nearest, is_flat = alpha[..., 0][kept], is_flat[kept]
        height, width = nearest.shape
        cells = target.reshape(height, self.scale, width, self.scale)
        np.copyto(cells, nearest[:, None, :, None], where=is_flat[:, None, :, None])

    def _larger(self, pixels: Pixels) -> Pixels:
        """Grey `(H, W, 1)` or RGB; float64 may come back as float32."""
        network = self._network_for(pixels)
        if not isinstance(network, NativeSession):
            return through(self._run, pixels, self.scale, self.colour)
        if pixels.dtype == np.float64:
            return network.picture(pixels.astype(np.float32))
        return network.picture(pixels)

    def _network_for(self, pixels: Pixels) -> Session:
        """The network in the numbers that are for these pixels."""
        numbers = self.runner.numbers(pixels.dtype)
        if numbers == self.runner.coarse:
            return self._network
        with self._lock:
            if self._fine is None:
                self._fine = _session(self.runner, numbers, self._inner)
            return self._fine

    def _run(self, lr: Floats) -> Floats:
        """The network, on a picture continued by its edges to the smallest that it takes."""
        height, width = lr.shape[:2]
        missing = [max(0, self._smallest - side) for side in (height, width)]
        if any(missing):
            lr = np.pad(lr, [*((0, m) for m in missing), (0, 0)], mode="edge")
        sr = self._network(lr)
        return sr[: height * self.scale, : width * self.scale]


def _session(runner: Runner, numbers: Numbers, threads: int) -> Session:
    if runner.backend == "onnxruntime":
        return OnnxSession(runner.path, threads)
    method = method_of(numbers)
    assert method is not None, f"{runner} was made for this processor"
    return NativeSession(runner.path, threads, method=method)


@contextmanager
def _pool(threads: int) -> Iterator[Executor]:
    """Threads for tiles; after an error or ^C nobody waits for those that are left."""
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def available_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _reach(channels: int) -> int:
    """How far around what the network sees a picture's pixels change it."""
    return REACH if channels in (2, 4) else 0


def _check(pixels: Pixels) -> None:
    if pixels.dtype.name not in WHITE:
        raise ValueError(f"pixels are {', '.join(WHITE)}, not {pixels.dtype}")
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and not 1 <= pixels.shape[2] <= 4):
        raise ValueError(f"pixels are (H, W) or (H, W, 1 to 4), not {pixels.shape}")
    if 0 in pixels.shape:
        raise ValueError(f"pixels of {pixels.shape} are none to upscale")
