"""A released SESR in the native engine."""

from pathlib import Path

import numpy as np

from leansr import zoo
from leansr.errors import LeanSRError, UsageError, WeightsError
from leansr.image.arrays import Floats, Pixels
from leansr.runtime.native_engine import CHANNELS, Engine, Shape
from leansr.runtime.native_int8 import levels_in_order
from leansr.runtime.native_library import Method, instruction_sets, is_built, methods
from leansr.zoo.tensors import TensorFile, read_tensors
from leansr.zoo.variant import Variant

_NETWORK = "leansr.lab.nets.sesr:SESR"
_INT8 = "leansr.lab.quantize.int8:Int8"


def can_run(variant: Variant, method: Method = "winograd") -> bool:
    """Whether the engine is built, has `method` here, and knows `variant` as a network for it."""
    is_there = is_built() and method in methods(instruction_sets()[0])
    return is_there and _is_of(variant, method) and _is_known(variant)


class NativeSession:
    """A network `(H, W, 1)` float32 in [0, 1] to `(scale * H, scale * W, 1)`, not clipped.

    `path` is the tensor file of a release: a SESR's deploy form. `threads` share the rows of a
    picture. `halo` is how many LR pixels around an output pixel's own it depends on. A part of a
    picture's rows has the values of the whole to the last bit, but for `row_halo` rows at either
    end, if it begins at a multiple of `row_grid`. `method`
    "bf16" is faster and as good to the eye, and "int8" runs the releases of eight bits, and those
    alone, where `methods(isa)` has them (docs/native.md). Raises UsageError where the engine is not
    built or does not know the network, `isa` or `method`, WeightsError for a file that is not what
    it says.
    """

    # A picture's rows are rounded by groups of so many (native/kernels.h).
    row_grid = 4

    def __init__(
        self, path: Path, threads: int, *, isa: str | None = None, method: Method = "winograd"
    ) -> None:
        file = read_tensors(path)
        variant, self.scale = _described(file, path)
        if not _is_of(variant, method):
            other = (
                "the release of the same name with -int8" if method == "int8" else 'method "int8"'
            )
            raise UsageError(
                f'{path}: is of {variant.dtype}, not for method "{method}"; use {other}'
            )
        self.variant = variant.name
        arguments = _in_floats(variant).arguments
        shape = Shape(
            arguments["channels"],
            arguments["blocks"],
            self.scale,
            arguments.get("input_residual", True),
        )
        self.halo = shape.halo
        # Below, every layer has three whole rows less than the one before it (native/band.cpp).
        self.row_halo = 3 * shape.halo
        in_order = levels_in_order if method == "int8" else _in_order
        self._engine = Engine(shape, in_order(file, shape, path), threads, isa=isa, method=method)

    def __call__(self, lr: Floats) -> Floats:
        if lr.ndim != 3 or lr.shape[2] != 1:
            raise ValueError(f"lr is (H, W, 1), not {lr.shape}")
        return self._engine(lr[..., 0])[..., None]

    def picture(self, pixels: Pixels) -> Pixels:
        """`(H, W, 1)` or `(H, W, 3)`, uint8, uint16 or float32 in [0, 1], to pixels of the same
        dtype, as `Upscaler` makes them: luma by the network, chroma by the bicubic kernel.

        ValueError for other arrays.
        """
        return self._engine.picture(pixels)


def _is_of(variant: Variant, method: Method) -> bool:
    return (variant.dtype == "int8") == (method == "int8")


def _in_floats(variant: Variant) -> Variant:
    """The network that `variant` is, or has in eight bits in the scheme of SESR."""
    if variant.network != _INT8 or variant.arguments["scheme"] != "sesr":
        return variant
    return zoo.find(variant.arguments["of"], variant.scales[0])


def _is_known(variant: Variant) -> bool:
    drawn = _in_floats(variant)
    sizes = (16,) if variant.dtype == "int8" else CHANNELS
    return drawn.network == _NETWORK and drawn.arguments["channels"] in sizes


def _described(file: TensorFile, path: Path) -> tuple[Variant, int]:
    """The row and the scale that a tensor file says it is of."""
    try:
        scale = int(file.metadata["scale"])
        variant = zoo.find(file.metadata["variant"], scale)
    except (KeyError, ValueError, LeanSRError) as cause:
        raise WeightsError(f"{path}: its metadata is damaged ({cause})") from cause
    if not _is_known(variant):
        raise UsageError(
            f"{variant.name}: the native engine runs SESR alone, in eight bits with 16 channels; "
            f"use --backend onnxruntime"
        )
    return variant, scale


def _in_order(file: TensorFile, shape: Shape, path: Path) -> Floats:
    """The tensors as `Engine` wants them."""
    expected = {name: ("float32", size) for name, size in shape.tensors().items()}
    tensors = dict(file.tensors)
    slopes = [f"body.{2 * block + 1}.weight" for block in range(shape.blocks)]
    if not tensors.keys() & set(slopes):
        tensors |= dict.fromkeys(slopes, np.zeros(shape.channels, np.float32))
    found = {name: (str(values.dtype), values.shape) for name, values in tensors.items()}
    if found != expected:
        wrong = sorted(name for name in found | expected if found.get(name) != expected.get(name))
        raise WeightsError(
            f"{path}: tensors are missing, unknown or of another type: {', '.join(wrong)}"
        )
    return np.concatenate([np.ravel(tensors[name]) for name in expected], dtype=np.float32)
