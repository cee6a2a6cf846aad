"""A released SESR in the native engine."""

from pathlib import Path

import numpy as np

from leansr import zoo
from leansr.errors import LeanSRError, UsageError, WeightsError
from leansr.image.arrays import Floats, Pixels
from leansr.runtime.colours import through
from leansr.runtime.native_engine import CHANNELS, Engine, Shape
from leansr.runtime.native_library import Method, is_built
from leansr.zoo.tensors import TensorFile, read_tensors
from leansr.zoo.variant import Variant

_NETWORK = "leansr.lab.nets.sesr:SESR"


def can_run(variant: Variant) -> bool:
    """Whether the engine is built, and `variant` is a network that it knows."""
    return is_built() and _is_known(variant)


class NativeSession:
    """A network `(H, W, 1)` float32 in [0, 1] to `(scale * H, scale * W, 1)`, not clipped.

    `path` is the tensor file of a release: a SESR's deploy form. `threads` share the rows of a
    picture. `halo` is how many LR pixels around an output pixel's own it depends on. `method`
    "bf16" is faster and as good to the eye, where `methods(isa)` has it (docs/native.md). Raises
    UsageError where the engine is not built or does not know the network, `isa` or `method`,
    WeightsError for a file that is not what it says.
    """

    def __init__(
        self, path: Path, threads: int, *, isa: str | None = None, method: Method = "winograd"
    ) -> None:
        file = read_tensors(path)
        variant, self.scale = _described(file, path)
        self.variant = variant.name
        arguments = variant.arguments
        shape = Shape(
            arguments["channels"],
            arguments["blocks"],
            self.scale,
            arguments.get("input_residual", True),
        )
        self.halo = shape.halo
        self._engine = Engine(shape, _in_order(file, shape, path), threads, isa=isa, method=method)

    def __call__(self, lr: Floats) -> Floats:
        if lr.ndim != 3 or lr.shape[2] != 1:
            raise ValueError(f"lr is (H, W, 1), not {lr.shape}")
        return self._engine(lr[..., 0])[..., None]

    def picture(self, pixels: Pixels) -> Pixels:
        """`(H, W, 1)` or `(H, W, 3)` of uint8, uint16 or float32, `scale` times as large."""
        return through(self, pixels, self.scale, "y")


def _is_known(variant: Variant) -> bool:
    return variant.network == _NETWORK and variant.arguments["channels"] in CHANNELS


def _described(file: TensorFile, path: Path) -> tuple[Variant, int]:
    """The row and the scale that a tensor file says it is of."""
    try:
        scale = int(file.metadata["scale"])
        variant = zoo.find(file.metadata["variant"], scale)
    except (KeyError, ValueError, LeanSRError) as cause:
        raise WeightsError(f"{path}: its metadata is damaged ({cause})") from cause
    if not _is_known(variant):
        raise UsageError(
            f"{variant.name}: the native engine runs SESR alone; use --backend onnxruntime"
        )
    return variant, scale


def _in_order(file: TensorFile, shape: Shape, path: Path) -> Floats:
    """The tensors as `Engine` wants them."""
    expected = shape.tensors()
    tensors = dict(file.tensors)
    slopes = [f"body.{2 * block + 1}.weight" for block in range(shape.blocks)]
    if not tensors.keys() & set(slopes):
        tensors |= dict.fromkeys(slopes, np.zeros(shape.channels, np.float32))
    found = {name: values.shape for name, values in tensors.items()}
    if found != expected:
        wrong = sorted(name for name in found | expected if found.get(name) != expected.get(name))
        raise WeightsError(
            f"{path}: tensors are missing, unknown or of another shape: {', '.join(wrong)}"
        )
    return np.concatenate([np.ravel(tensors[name]) for name in expected], dtype=np.float32)
