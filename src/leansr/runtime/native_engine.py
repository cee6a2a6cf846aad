"""A SESR of any weights in the native engine: luma or pixels in, as many times larger out."""

import ctypes
from dataclasses import dataclass

import numpy as np

from leansr.errors import UsageError
from leansr.image.arrays import Floats, Pixels
from leansr.runtime.native_library import (
    DEPTHS,
    METHODS,
    Method,
    built,
    instruction_sets,
    methods,
)

# Outputs of a layer that the kernels are written for; those of "int8" for 16 alone.
CHANNELS = (16, 32)
# No machine has more cores, and the system should not be asked for as many as it can start.
_MOST_THREADS = 4096


@dataclass(frozen=True)
class Shape:
    """What a SESR is besides its tensors; `channels` and `blocks` are the paper's f and m."""

    channels: int
    blocks: int
    scale: int
    input_residual: bool = True

    def __post_init__(self) -> None:
        if self.channels not in CHANNELS or self.blocks < 1 or self.scale not in (2, 4):
            raise ValueError(f"the native engine has no kernels for {self}")

    def tensors(self, method: Method = "winograd") -> dict[str, tuple[int, ...]]:
        """Name and shape of every tensor, in the order in which the engine wants them.

        With "int8", kernels are whole numbers from -128 to 127, `*.scale` their value by output.
        `grids` are of the inputs of every block and of the last layer, on 0 to 255: the value of a
        level, and the level of zero.
        """
        f, outputs, is_whole = self.channels, self.scale**2, method == "int8"
        shapes: dict[str, tuple[int, ...]] = {"first.weight": (f, 1, 5, 5)}
        shapes |= {"first.scale": (f,)} if is_whole else {}
        shapes |= {"first.bias": (f,)}
        shapes |= {"grids": (self.blocks + 1, 2)} if is_whole else {}
        for block in range(self.blocks):
            conv, activation = f"body.{2 * block}", f"body.{2 * block + 1}"
            shapes |= {f"{conv}.weight": (f, f, 3, 3)}
            shapes |= {f"{conv}.scale": (f,)} if is_whole else {}
            shapes |= {f"{conv}.bias": (f,), f"{activation}.weight": (f,)}
        shapes |= {"last.weight": (outputs, f, 5, 5)}
        shapes |= {"last.scale": (outputs,)} if is_whole else {}
        return shapes | {"last.bias": (outputs,)}

    @property
    def halo(self) -> int:
        """LR pixels around an output pixel's own: 5 x 5 at both ends, 3 x 3 between them."""
        return self.blocks + 4


class Engine:
    """Luma `(H, W)` float32 to `(scale * H, scale * W)`, not clipped.

    `values` are the tensors of `shape.tensors(method)` one after another; the slopes of ReLU are 0.
    `threads` share the rows of a picture, as many of them as the system starts. `isa` is one of
    `instruction_sets()`, the fastest if None, and `method` one of `methods(isa)`. `cache` is how
    many bytes of lines a thread works in, 0 for a share of the processor's second level; on it the
    result depends by rounding alone, on `threads` not at all. Several Python threads may call one
    engine. UsageError where none is built, or for an unknown `isa` or `method`.
    """

    def __init__(
        self,
        shape: Shape,
        values: Floats,
        threads: int,
        *,
        isa: str | None = None,
        method: Method = "winograd",
        cache: int = 0,
    ) -> None:
        self._library = built()
        isa = instruction_sets()[0] if isa is None else isa
        if method not in methods(isa):
            raise UsageError(f"{method}: {isa} has {', '.join(methods(isa))}")
        if method == "int8" and shape.channels != 16:
            raise UsageError(f"int8: networks of 16 channels alone, not of {shape.channels}")
        if not 1 <= threads <= _MOST_THREADS:
            raise UsageError(f"threads are 1 to {_MOST_THREADS}, not {threads}")
        if not 0 <= cache < 2**31:
            raise ValueError(f"cache is 0 to 2^31 - 1 bytes, not {cache}")
        wanted = sum(int(np.prod(tensor)) for tensor in shape.tensors(method).values())
        if values.shape != (wanted,) or values.dtype != np.float32:
            raise ValueError(f"{wanted} float32 are wanted, not {values.dtype} of {values.shape}")
        values = np.ascontiguousarray(values)
        self._scale = shape.scale
        self._handle = self._library.leansr_create(
            *(shape.channels, shape.blocks, shape.scale, shape.input_residual),
            *(values.ctypes.data, values.size, isa.encode(), METHODS.index(method), threads, cache),
        )
        if not self._handle:
            raise MemoryError(f"no memory for an engine of {values.size} weights")

    def __call__(self, lr: Floats) -> Floats:
        """Rows may be any distance apart; what is laid out in another way is copied first."""
        if lr.ndim != 2 or 0 in lr.shape:
            raise ValueError(f"lr is (H, W), not {lr.shape}")
        is_packed = lr.dtype == np.float32 and lr.strides[1] == 4 and lr.strides[0] % 4 == 0
        if not (is_packed and lr.flags.aligned):
            lr = np.ascontiguousarray(lr, np.float32)
        height, width = lr.shape
        sr: Floats = np.empty((height * self._scale, width * self._scale), np.float32)
        is_whole = self._library.leansr_run(
            *(self._handle, lr.ctypes.data, height, width, lr.strides[0] // 4),
            *(sr.ctypes.data, sr.strides[0] // 4),
        )
        if not is_whole:
            raise MemoryError(f"no memory for the lines of {width} x {height} pixels")
        return sr

    def picture(self, pixels: Pixels) -> Pixels:
        """Grey `(H, W, 1)` or RGB `(H, W, 3)`, scaled up, of the same dtype: uint8, uint16 or
        float32 in [0, 1], to which the result is clipped.

        Luma (BT.601) goes through the network, chroma up by MATLAB's bicubic, without a picture of
        either being made. Rows may be any distance apart, as above. ValueError for other arrays.
        """
        if pixels.dtype.name not in DEPTHS:
            raise ValueError(f"pixels are {', '.join(DEPTHS)}, not {pixels.dtype}")
        if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
            raise ValueError(f"pixels are (H, W, 1) or (H, W, 3), not {pixels.shape}")
        height, width, channels = pixels.shape
        item, (_, across, inside) = pixels.itemsize, pixels.strides
        is_packed = across == channels * item and (channels == 1 or inside == item)
        if not (is_packed and pixels.dtype.isnative):
            pixels = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("="))
        shape = height * self._scale, width * self._scale, channels
        sr: Pixels = np.empty(shape, pixels.dtype)
        is_whole = self._library.leansr_picture(
            *(self._handle, DEPTHS.index(pixels.dtype.name), channels),
            *(pixels.ctypes.data, height, width, pixels.strides[0]),
            *(sr.ctypes.data, sr.strides[0]),
        )
        if not is_whole:
            raise MemoryError(f"no memory for the lines of {width} x {height} pixels")
        return sr

    def __del__(self) -> None:
        # An __init__ that raised has left nothing to free.
        if handle := getattr(self, "_handle", None):
            self._library.leansr_destroy(ctypes.c_void_p(handle))
