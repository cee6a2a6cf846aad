"""Arrays in, larger arrays out."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np

from leansr import zoo
from leansr.errors import UsageError, WeightsError
from leansr.image.arrays import WHITE, Floats, Pixels, from_unit, to_unit
from leansr.image.colour import grey_from_luma, grey_luma, rgb_from_ycbcr, ycbcr
from leansr.image.resize import resize
from leansr.runtime.onnx_session import OnnxSession
from leansr.runtime.tiling import Span, tiles
from leansr.zoo.release import KINDS, Kind, release_of

Backend = Literal["auto", "onnxruntime"]
BACKENDS: tuple[Backend, ...] = ("auto", "onnxruntime")

# LR pixels a side, fastest of 96 to 512 for SESR-M5, whose halo then costs a seventh.
AUTO_TILE = 256
# The support of the bicubic kernel that chroma goes up by.
_CHROMA_HALO = 2

Network = Callable[[Floats], Floats]


class Upscaler:
    """A network made ready once, for any number of pictures.

    `tile` is the side of the tiles in LR pixels, "auto", or "off" for the whole picture at once;
    whichever it is, the result is the same to float rounding. A network that looks at the whole
    picture gets it whole by "auto", and a side is a UsageError. `threads` is all cores if None.
    `input` says what the arrays are: "clean", or "photo" for those that were compressed (not every
    model has weights for them). `weights` is an ONNX file of `leansr export` in place of the
    released ones.
    """

    def __init__(
        self,
        model: str = "sesr-m5",
        scale: int = 2,
        *,
        backend: Backend = "auto",
        threads: int | None = None,
        tile: int | Literal["auto", "off"] = "auto",
        input: Kind = "clean",
        weights: str | Path | None = None,
    ) -> None:
        variant = zoo.find(model, scale)
        if backend not in BACKENDS:
            raise UsageError(f"{backend}: no such backend; one of {', '.join(BACKENDS)}")
        if threads is not None and threads < 1:
            raise UsageError(f"threads are 1 or more, not {threads}")
        if tile not in ("auto", "off") and not (isinstance(tile, int) and tile >= 1):
            raise UsageError(f"a tile is auto, off or 1 pixel or more a side, not {tile}")
        if input not in KINDS:
            raise UsageError(f"{input}: pixels are one of {', '.join(KINDS)}; a file can be auto")
        path = onnx_of(model, scale, input, weights)
        self._threads = threads or available_cores()
        if variant.is_global and tile == "auto":
            tile = "off"
        # Tiles side by side, each on one thread, waste less than a tile's layers split in two:
        # no waiting for each other after every layer (docs/decisions/004).
        self._network = OnnxSession(path, self._threads if tile == "off" else 1)
        if (self._network.variant, self._network.scale) != (model, scale):
            found = f"{self._network.variant} x{self._network.scale}"
            raise WeightsError(f"{path}: is {found}, not {model} x{scale}")
        if self._network.halo is None and tile != "off":
            raise UsageError(
                f"{model}: looks at the whole picture, and tiles would change the result; "
                f"use --tile auto or off"
            )
        self._smallest = variant.smallest
        self.model, self.scale, self.colour = model, scale, variant.colour
        sides = {"auto": AUTO_TILE, "off": None}
        self._tile: int | None = tile if isinstance(tile, int) else sides[tile]

    def __call__(self, pixels: Pixels) -> Pixels:
        """`(H, W)`, `(H, W, 3)` or `(H, W, 4)` scaled up, of the same dtype.

        uint8, uint16, or floats in [0, 1]; a fourth channel is alpha, and so is the second of
        `(H, W, 2)`. Raises ValueError for any other shape, dtype or an empty array.
        """
        _check(pixels)
        if pixels.ndim == 2:
            return self._upscale(pixels[..., None])[..., 0]
        return self._upscale(pixels)

    def _upscale(self, pixels: Pixels) -> Pixels:
        height, width, channels = pixels.shape
        if channels in (2, 4) and np.ptp(pixels[..., -1]) == 0:
            # Opaque must stay opaque to the last level, which no network promises at a border.
            colours = self._upscale(pixels[..., :-1])
            alpha = np.full((*colours.shape[:2], 1), pixels[0, 0, -1])
            return np.concatenate([colours, alpha], axis=2)
        shape = height * self.scale, width * self.scale, channels
        result: Pixels = np.empty(shape, pixels.dtype)
        halo = max(self._network.halo or 0, _CHROMA_HALO)
        tile = self._tile or max(height, width)

        def fill(place: tuple[Span, Span]) -> None:
            rows, columns = place
            part = self._upscale_tile(to_unit(pixels[rows.source(), columns.source()]))
            kept = part[rows.kept(self.scale), columns.kept(self.scale)]
            target = rows.target(self.scale), columns.target(self.scale)
            result[target] = from_unit(kept, pixels.dtype)

        with ThreadPoolExecutor(self._threads) as pool:
            for _ in pool.map(fill, tiles(height, width, tile, halo)):
                pass
        return result

    def _upscale_tile(self, unit: Floats) -> Floats:
        """One tile `(H, W, C)` in [0, 1], its colour and its alpha each by their way."""
        channels = unit.shape[2]
        colours = 3 if channels >= 3 else 1
        parts = [self._upscale_rgb(unit[..., :3]) if colours == 3 else self._upscale_grey(unit)]
        if channels > colours:
            parts.append(self._upscale_grey(unit[..., colours:]))
        return np.concatenate(parts, axis=2) if len(parts) > 1 else parts[0]

    def _upscale_rgb(self, rgb: Floats) -> Floats:
        if self.colour == "rgb":
            return self._run(rgb)
        y, chroma = np.split(ycbcr(rgb), [1], axis=2)
        return rgb_from_ycbcr(np.concatenate([self._run(y), resize(chroma, self.scale)], axis=2))

    def _upscale_grey(self, grey: Floats) -> Floats:
        """The first channel of `grey` as if it were RGB with three equal channels."""
        grey = grey[..., :1]
        if self.colour == "rgb":
            rgb = self._upscale_rgb(np.repeat(grey, 3, axis=2))
            mean: Floats = rgb.mean(axis=2, keepdims=True)
            return mean
        return grey_from_luma(self._run(grey_luma(grey)))

    def _run(self, lr: Floats) -> Floats:
        """The network, on a picture continued by its edges to the smallest that it takes."""
        height, width = lr.shape[:2]
        missing = [max(0, self._smallest - side) for side in (height, width)]
        if any(missing):
            lr = np.pad(lr, [*((0, m) for m in missing), (0, 0)], mode="edge")
        sr = self._network(lr)
        return sr[: height * self.scale, : width * self.scale]


def onnx_of(model: str, scale: int, input: Kind, weights: str | Path | None) -> Path:
    """The file `weights`, or the released one for pictures of the kind `input`.

    UsageError if both are asked for, WeightsError if none is released.
    """
    if weights is None:
        return release_of(model, scale, input).onnx
    if input == "photo":
        raise UsageError(
            f"{weights}: --weights and --input photo exclude each other: photo weights are "
            f"released ones"
        )
    return Path(weights)


def available_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _check(pixels: Pixels) -> None:
    if pixels.dtype.name not in WHITE:
        raise ValueError(f"pixels are {', '.join(WHITE)}, not {pixels.dtype}")
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and not 1 <= pixels.shape[2] <= 4):
        raise ValueError(f"pixels are (H, W) or (H, W, 1 to 4), not {pixels.shape}")
    if 0 in pixels.shape:
        raise ValueError(f"pixels of {pixels.shape} are none to upscale")
