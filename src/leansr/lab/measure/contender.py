"""What takes part in a benchmark: a network in one form, on one backend, in one dtype."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from leansr import zoo
from leansr.errors import UsageError, WeightsError
from leansr.runtime.backend import Precision, Runner, of_precision, runner
from leansr.zoo.variant import Variant

Form = Literal["training", "deploy"]
Backend = Literal[
    "onnxruntime", "native", "native-bf16", "native-int8", "torch", "torch-compile", "cuda"
]
Dtype = Literal["float32", "bfloat16", "float16"]
FORMS: tuple[Form, ...] = get_args(Form)
BACKENDS: tuple[Backend, ...] = get_args(Backend)
DTYPES: tuple[Dtype, ...] = get_args(Dtype)

# What the runtimes compute in that have it in their name, and not by `dtype`.
NATIVE: dict[Backend, Precision] = {
    "native": "fp32",
    "native-bf16": "bf16",
    "native-int8": "int8",
}


@dataclass(frozen=True)
class Contender:
    """One row of a benchmark before it is run.

    `torch` and `cuda` are eager. `native` and its kin run released weights alone, `native-int8`
    those of the variant's release of eight bits. The training form is the one drawn, every linear
    block expanded, in evaluation mode. Raises UsageError for what there is not.
    """

    variant: str
    scale: int
    form: Form = "deploy"
    backend: Backend = "onnxruntime"
    dtype: Dtype = "float32"

    def __post_init__(self) -> None:
        zoo.find(self.variant, self.scale)
        if self.form not in FORMS:
            raise UsageError(f"{self.form}: no such form; one of {', '.join(FORMS)}")
        if self.backend not in BACKENDS:
            raise UsageError(f"{self.backend}: no such backend; one of {', '.join(BACKENDS)}")
        if self.dtype not in DTYPES:
            raise UsageError(f"{self.dtype}: no such dtype; one of {', '.join(DTYPES)}")
        is_torch = self.backend in ("torch", "torch-compile", "cuda")
        if not is_torch and self.dtype != "float32":
            others = ", native-bf16" if self.backend in NATIVE else ""
            raise UsageError(
                f"{self.backend}: takes no --dtype, not {self.dtype}; use torch{others}"
            )
        if self.row.dtype == "int8" and self.dtype != "float32":
            raise UsageError(f"{self.variant}: is simulated in float32 alone, not in {self.dtype}")
        if not is_torch and self.form == "training":
            raise UsageError(f"{self.variant}: its training form is not exported; use torch")
        if self.backend in NATIVE:
            self.native()

    def __str__(self) -> str:
        return f"{self.variant} x{self.scale}, {self.form} form, {self.backend} {self.dtype}"

    def native(self) -> Runner:
        """What runs it natively; UsageError if that cannot be, WeightsError if none is released."""
        precision = NATIVE[self.backend]
        model = of_precision(self.variant, precision)
        try:
            return runner(model, self.scale, "clean", "native", precision)
        except WeightsError as cause:
            raise WeightsError(
                f"{model} x{self.scale}: has no released weights, which {self.backend} runs alone; "
                f"use onnxruntime or torch, whose weights are random"
            ) from cause

    @property
    def runs_in(self) -> Dtype | Literal["int8"]:
        """What it computes in."""
        if self.backend in NATIVE:
            return self.native().fine
        return self.row.dtype if self.backend == "onnxruntime" else self.dtype

    @property
    def row(self) -> Variant:
        """The zoo's row of the network."""
        return zoo.find(self.variant, self.scale)


def contenders(
    specs: Sequence[str], scale: int, backends: Sequence[Backend], dtype: Dtype
) -> list[Contender]:
    """Each of `specs`, `variant` or `variant:form`, on each of the backends.

    One that is named twice runs twice, which shows how far two equal rows lie apart.
    """
    result = []
    for spec in specs:
        name, _, form = spec.partition(":")
        for backend in backends:
            result.append(Contender(name, scale, cast(Form, form or "deploy"), backend, dtype))
    return result
