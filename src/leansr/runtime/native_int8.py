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
_KEPT = ["add_1"]
_GRID = ("scale", "zero")


def levels_in_order(file: TensorFile, shape: Shape, path: Path) -> Floats:
    """The tensors as `Engine` wants them for "int8".

    UsageError for layers that are kept in floats, WeightsError for a file that is not what it says.
    """
    try:
        kept = json.loads(file.metadata["network"])["keep"]
    except (KeyError, ValueError, TypeError) as cause:
        raise WeightsError(f"{path}: does not say what it keeps in floats ({cause})") from cause
    if kept != _KEPT:
        raise UsageError(
            f"{path}: keeps {', '.join(map(str, kept)) or 'nothing'} in floats, and the native "
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
