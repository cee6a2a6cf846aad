"""Tensor files: the .safetensors of a release, read with numpy alone."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from leansr.errors import WeightsError

_DTYPES = {"F32": "<f4", "I32": "<i4", "I8": "<i1", "U8": "<u1"}


@dataclass(frozen=True)
class TensorFile:
    """Tensors by name, and the words that came with them."""

    tensors: dict[str, npt.NDArray[np.generic]]
    metadata: dict[str, str]


def read_tensors(path: Path) -> TensorFile:
    """What is in a .safetensors file; WeightsError if it is none, or of dtypes not known here.

    The format: the length of a JSON header in eight bytes, the header, and raw tensors, row by row.
    """
    try:
        content = path.read_bytes()
        start = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:start])
        metadata = header.pop("__metadata__", {})
        tensors = {}
        for name, row in header.items():
            begin, end = row["data_offsets"]
            dtype = np.dtype(_DTYPES[row["dtype"]])
            values = np.frombuffer(content[start + begin : start + end], dtype)
            tensors[name] = values.reshape(row["shape"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as cause:
        raise WeightsError(f"{path}: cannot be read as a .safetensors file ({cause})") from cause
    return TensorFile(tensors, metadata)
