"""A release of eight bits as the native engine wants its tensors.

The file has a grid for the input and for the output of every convolution and sum, since operators
of ONNX have them. The engine rounds only what it multiplies as whole numbers, the inputs of the 3 x
3 layers and of the last, and so is nearer to the floats: the first layer sees luma as it is, and
PReLU, the long residual and the input residual see sums. What else is in `ranges` is not read.
"""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from leansr.errors import UsageError, WeightsError
from leansr.image.arrays import Floats
from leansr.runtime.native_engine import Shape
from leansr.zoo.tensors import TensorFile

# What may be kept in floats: the sum with the input, which the engine has in floats in any case.
KEPT = ["add_1"]
_GRID = ("scale", "zero")
# Of a grid, so many from zero: beyond, whole numbers of 32 bits would turn around.
_MOST_LEVELS = 2**31


def levels_in_order(file: TensorFile, shape: Shape, path: Path) -> Floats:
    """The tensors as `Engine` wants them for "int8".

    UsageError for layers that are kept in floats, WeightsError for a file that is not what it says.
    """
    try:
        kept = json.loads(file.metadata["network"])["keep"]
        if not isinstance(kept, list) or not all(isinstance(name, str) for name in kept):
            raise TypeError("not names")
    except (KeyError, ValueError, TypeError, RecursionError) as cause:
        raise WeightsError(f"{path}: does not say what it keeps in floats ({cause})") from cause
    if kept != KEPT:
        raise UsageError(
            f"{path}: keeps {', '.join(kept) or 'nothing'} in floats, and the native "
            f"engine knows add_1 alone; use --backend onnxruntime"
        )
    expected = _tensors(shape)
    found = {name: (str(t.dtype), t.shape) for name, t in file.tensors.items()}
    if found != expected:
        wrong = sorted(name for name in found | expected if found.get(name) != expected.get(name))
        raise WeightsError(
            f"{path}: tensors are missing, unknown or of another type: {', '.join(wrong)}"
        )
    tensors = file.tensors
    for name, values in tensors.items():
        if name.endswith("_zero") and np.any(values):
            raise WeightsError(f"{path}: {name} is not 0, as symmetric grids have it")
        floats = values.astype(np.float64)
        if name.endswith("scale") and not np.all(np.isfinite(floats) & (floats > 0)):
            raise WeightsError(f"{path}: {name} is not finite and above 0")
    for name, levels in _levels(file, shape).items():
        # Also what is not a number.
        if not levels < _MOST_LEVELS:
            raise WeightsError(f"{path}: ranges.{name}.scale is too small for what is on it")
    parts: list[npt.NDArray[np.generic]] = []
    for name in shape.tensors("int8"):
        layer, kind = name.rpartition(".")[::2]
        if name == "grids":
            ends = [tensors[f"ranges.{n}.{part}"] for n in _read(shape) for part in _GRID]
            parts.append(np.array(ends, np.float64))
        elif kind == "bias":
            parts.append(tensors[name] * tensors[f"{layer}.bias_scale"].astype(np.float64))
        elif kind == "scale":
            parts.append(tensors[f"{layer}.weight_scale"])
        else:
            parts.append(np.ravel(tensors[name]))
    return np.concatenate(parts, dtype=np.float32, casting="unsafe")


def _levels(file: TensorFile, shape: Shape) -> dict[str, float]:
    """How many levels from zero what `_read` has may come to, before it is cut to 0 to 255."""
    tensors: dict[str, npt.NDArray[np.float64]] = {
        name: values.astype(np.float64) for name, values in file.tensors.items()
    }

    def most(layer: str, of_input: float) -> npt.NDArray[np.float64]:
        """Of each output, where inputs are up to `of_input` from zero."""
        sums = np.abs(tensors[f"{layer}.weight"]).sum((1, 2, 3)) * of_input
        of_bias = np.abs(tensors[f"{layer}.bias"]) * tensors[f"{layer}.bias_scale"]
        values: npt.NDArray[np.float64] = sums * tensors[f"{layer}.weight_scale"] + of_bias
        return values

    levels, values = {}, most("first", 1)
    shallow = values.max()
    for block, name in enumerate(_read(shape)):
        scale = float(tensors[f"ranges.{name}.scale"])
        values = values + shallow if name == "add" else values
        levels[name] = float(np.max(values / scale))
        if name != "add":
            slopes = np.abs(tensors[f"body.{2 * block + 1}.weight"])
            values = most(f"body.{2 * block}", 255 * scale) * np.maximum(slopes, 1)
    return levels


def _read(shape: Shape) -> list[str]:
    """The ranges of what the blocks and the last layer read."""
    return ["first", *(f"body_{2 * block + 1}" for block in range(shape.blocks - 1)), "add"]


def _tensors(shape: Shape) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Type and shape of every tensor of such a file."""
    expected: dict[str, tuple[str, tuple[int, ...]]] = {}
    ranges = ["sub", "first", *(f"body_{i}" for i in range(2 * shape.blocks)), "add", "last"]
    for name in ranges:
        expected |= {f"ranges.{name}.scale": ("float32", ()), f"ranges.{name}.zero": ("uint8", ())}
    for name, size in shape.tensors().items():
        layer, kind = name.rpartition(".")[::2]
        if len(size) == 1 and kind == "weight":
            expected[name] = ("float32", size)
            continue
        dtype = "int8" if kind == "weight" else "int32"
        expected |= {name: (dtype, size), f"{layer}.{kind}_zero": (dtype, size[:1])}
        expected[f"{layer}.{kind}_scale"] = ("float32", size[:1])
    return expected
