"""Tensor files: the .safetensors of a release, read with numpy alone."""

import json
import math
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
        if not all(isinstance(words, str) for words in metadata.values()):
            raise ValueError("its metadata are not words")
        tensors = {}
        for name, row in header.items():
            (begin, end), sides = row["data_offsets"], row["shape"]
            dtype = np.dtype(_DTYPES[row["dtype"]])
            if not all(type(number) is int and number >= 0 for number in (begin, end, *sides)):
                raise ValueError(f"{name} has numbers that are not whole, or below 0")
            if end - begin != math.prod(sides) * dtype.itemsize or end > len(content) - start:
                raise ValueError(f"{name} is of {end - begin} bytes, not as its shape")
            tensors[name] = np.frombuffer(content[start + begin : start + end], dtype)
            tensors[name] = tensors[name].reshape(sides)
    # RecursionError: of brackets in brackets.
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as cause:
        raise WeightsError(f"{path}: cannot be read as a .safetensors file ({cause})") from cause
    return TensorFile(tensors, metadata)
