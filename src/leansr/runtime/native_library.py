"""The engine's library: where it lies, what it offers, and how it is called."""

import ctypes
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from leansr.errors import UsageError

# What native/api.cpp says of itself; another number is a library built from other sources.
INTERFACE = 3
# Built there by hatch_build.py.
LIBRARY = Path(__file__).with_name("engine.library")

# How the body is computed, in the order of native/kernels.h: as it is written; its 3 x 3 layers by
# F(4 x 4, 3 x 3); the same with products of bfloat16; the integer releases, in whole numbers.
Method = Literal["direct", "winograd", "bf16", "int8"]
METHODS: tuple[Method, ...] = get_args(Method)

# The dtypes of pixels, in the order of native/kernels.h.
DEPTHS = ("uint8", "uint16", "float32")

_Floats = ctypes.c_void_p
_SIGNATURES = {
    "leansr_isas": ([], ctypes.c_char_p),
    "leansr_has": ([ctypes.c_char_p, ctypes.c_int], ctypes.c_int),
    "leansr_peak": ([ctypes.c_char_p, ctypes.c_longlong], ctypes.c_double),
    "leansr_create": (
        [
            *[ctypes.c_int] * 4,
            *[_Floats, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_int, ctypes.c_int],
            ctypes.c_size_t,
        ],
        ctypes.c_void_p,
    ),
    "leansr_destroy": ([ctypes.c_void_p], None),
    "leansr_picture": (
        [
            *[ctypes.c_void_p, ctypes.c_int, ctypes.c_int],
            *[ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_longlong],
            *[ctypes.c_void_p, ctypes.c_longlong],
        ],
        ctypes.c_int,
    ),
    "leansr_run": (
        [
            *[ctypes.c_void_p, _Floats, ctypes.c_int, ctypes.c_int, ctypes.c_longlong],
            *[_Floats, ctypes.c_longlong],
        ],
        ctypes.c_int,
    ),
}


@cache
def library() -> ctypes.CDLL | None:
    """The library, None if it was not built when the package was installed, or not from here."""
    try:
        found = ctypes.CDLL(str(LIBRARY))
    except OSError:
        return None
    if getattr(found, "leansr_interface", lambda: 0)() != INTERFACE:
        return None
    for name, (arguments, result) in _SIGNATURES.items():
        function = getattr(found, name)
        function.argtypes, function.restype = arguments, result
    return found


def is_built() -> bool:
    """Whether there is a library that this processor's system can load."""
    return library() is not None


def built() -> ctypes.CDLL:
    """The library; UsageError if there is none."""
    found = library()
    if found is None:
        raise UsageError(
            "the native engine was not built: install the package again where there is a C++ "
            "compiler, or use --backend onnxruntime"
        )
    return found


def instruction_sets() -> list[str]:
    """Those that there are kernels for and this processor has, the fastest first."""
    names: bytes = built().leansr_isas()
    return names.decode().split(",")


def methods(isa: str) -> list[Method]:
    """Those that an instruction set has kernels for; UsageError if it is none of this processor."""
    if isa not in instruction_sets():
        raise UsageError(f"{isa}: is none of {', '.join(instruction_sets())}")
    return [name for i, name in enumerate(METHODS) if built().leansr_has(isa.encode(), i)]


def multiply_adds(isa: str, rounds: int) -> float:
    """Runs float32 multiply-adds in registers, to be timed; how many there were."""
    methods(isa)
    return float(built().leansr_peak(isa.encode(), rounds))
