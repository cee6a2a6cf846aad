"""What runs a network: which runtime, in which numbers, from which file of a release."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from leansr import zoo
from leansr.errors import UsageError
from leansr.runtime.native import can_run
from leansr.runtime.native_int8 import KEPT
from leansr.runtime.native_library import Method, built, instruction_sets, is_built, methods
from leansr.zoo.release import Kind, Release, every_release, release_of
from leansr.zoo.variant import Variant

# auto is the native engine where it has the network, else ONNX Runtime.
Backend = Literal["auto", "onnxruntime", "native"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
# auto is bfloat16 for pictures of 8 bits where the processor has it, else float32.
Precision = Literal["auto", "fp32", "bf16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

Numbers = Literal["float32", "bfloat16", "int8"]
_NUMBERS: dict[Precision, Numbers] = {"fp32": "float32", "bf16": "bfloat16", "int8": "int8"}
# The engine's methods by what they compute in.
_METHODS: dict[Numbers, str] = {"float32": "winograd", "bfloat16": "bf16", "int8": "int8"}
_INT8 = "-int8"
_NOT_BUILT = "the native engine was not built"
_OTHERS = "the native engine runs SESR alone"


@dataclass(frozen=True)
class Runner:
    """A runtime and the file that it gets.

    `coarse` is what it computes in for pictures of 8 bits, `fine` for all others. `why` says what
    speaks against the native engine, where it was not asked for something else.
    """

    backend: Literal["onnxruntime", "native"]
    path: Path
    coarse: Numbers
    fine: Numbers
    why: str | None = None

    def numbers(self, dtype: npt.DTypeLike) -> Numbers:
        """What it computes in for pixels of `dtype`."""
        return self.coarse if dtype == np.uint8 else self.fine

    def words(self, dtype: npt.DTypeLike) -> str:
        """The same as a person reads it, and why it is not the native engine."""
        name = "native engine" if self.backend == "native" else "ONNX Runtime"
        reason = f" ({self.why})" if self.why else ""
        return f"{name}, {self.numbers(dtype)}{reason}"


def method_of(numbers: Numbers) -> Method | None:
    """The engine's method, None where it has none for this processor; UsageError if not built."""
    known = methods(instruction_sets()[0])
    return next((name for name in known if name == _METHODS[numbers]), None)


def of_precision(model: str, precision: Precision, weights: str | Path | None = None) -> str:
    """The model's row that is of a precision: for int8 that of its release of eight bits.

    UsageError if there is none. `weights` are as they are: their model says what they are of.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"{precision}: no such precision; one of {', '.join(PRECISIONS)}")
    row = zoo.VARIANTS.get(model)
    if row is None:
        return model  # zoo.find says that it is unknown, and what is like it
    if row.dtype == "int8":
        if precision in ("fp32", "bf16"):
            of = row.arguments["of"]
            raise UsageError(f"{model}: is of eight bits; for --precision {precision} use {of}")
        return model
    if precision != "int8":
        return model
    if weights is not None:
        raise UsageError(
            f"{weights}: --precision int8 takes a release; if it is of eight bits, use "
            f"--model {model}{_INT8}"
        )
    known = {r.variant for r in every_release()}
    if f"{model}{_INT8}" not in known:
        those = ", ".join(sorted(n.removesuffix(_INT8) for n in known if n.endswith(_INT8)))
        raise UsageError(f"{model}: has no release of eight bits; those that have one: {those}")
    return f"{model}{_INT8}"


def engine_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """What of the options of `Upscaler` `runner` asks for."""
    return {key: options[key] for key in ("backend", "precision", "weights") if key in options}


def runner(
    model: str,
    scale: int,
    kind: Kind,
    backend: Backend = "auto",
    precision: Precision = "auto",
    weights: str | Path | None = None,
) -> Runner:
    """What runs `model`, a row of that precision, with `weights` or the release for `kind`.

    Raises UsageError for what cannot be had, and what `onnx_of` raises.
    """
    if backend not in BACKENDS:
        raise UsageError(f"{backend}: no such backend; one of {', '.join(BACKENDS)}")
    variant = zoo.find(model, scale)
    # Cards are read once: there are dozens.
    release = release_of(model, scale, kind) if weights is None else None
    onnx = release.onnx if release else onnx_of(model, scale, kind, weights)
    is_int8 = variant.dtype == "int8"
    why_not = _why_not(variant, precision)
    if release is None:
        why_not = "weights of one's own run in ONNX Runtime alone"
    elif is_int8 and why_not is None:
        why_not = _why_not_so(release)
    if backend != "onnxruntime" and release is not None and why_not is None:
        has_bf16 = method_of("bfloat16") is not None
        fine: Numbers = "int8" if is_int8 else _NUMBERS.get(precision, "float32")
        coarse = "bfloat16" if precision == "auto" and has_bf16 and not is_int8 else fine
        return Runner("native", release.tensors, coarse, fine)
    if backend == "native":
        if why_not == _NOT_BUILT:
            built()  # which says what to do
        raise UsageError(f"{weights or model}: {why_not}; use --backend onnxruntime")
    why = why_not if backend == "auto" else None
    if precision == "bf16":
        other = "auto" if why else "fp32, or --backend native" if why_not is None else "fp32"
        raise UsageError(
            f"{model}: {why or 'ONNX Runtime runs floats'}, so there is no bf16; use "
            f"--precision {other}"
        )
    numbers: Numbers = "int8" if is_int8 else "float32"
    return Runner("onnxruntime", onnx, numbers, numbers, why)


def is_had(release: Release, **engine: Any) -> bool:
    """Whether a release can be run with these of the options of `engine_of`."""
    given = {key: engine[key] for key in ("backend", "precision") if key in engine}
    if set(given.values()) <= {"auto"}:
        return True
    try:
        if of_precision(release.variant, given.get("precision", "auto")) != release.variant:
            return False
        runner(release.variant, release.scale, release.kind, **given)
    except UsageError:
        return False
    return True


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


def _why_not(variant: Variant, precision: Precision) -> str | None:
    """What the native engine lacks for a network, None if it has all of it."""
    is_int8 = variant.dtype == "int8"
    floats = zoo.VARIANTS[variant.arguments["of"]] if is_int8 else variant
    if floats.family != "sesr":
        return _OTHERS
    if not is_built():
        return _NOT_BUILT
    if not can_run(floats):
        return _OTHERS
    numbers = "int8" if is_int8 else _NUMBERS.get(precision, "float32")
    if method_of(numbers) is None:
        return f"the native engine has no {numbers} for this processor"
    return None


def _why_not_so(release: Release) -> str | None:
    """What the native engine does not know of a release of eight bits, None if it knows it."""
    quantized = release.card["quantized"]
    if (quantized["scheme"], quantized["in_floats"]) != ("sesr", KEPT):
        return f"the native engine runs eight bits of sesr's scheme, {', '.join(KEPT)} in floats"
    return None
