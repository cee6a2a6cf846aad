"""What takes part in a benchmark: a network in one form, on one backend, in one dtype."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from leansr import zoo
from leansr.errors import UsageError
from leansr.zoo.variant import Variant

Form = Literal["training", "deploy"]
Backend = Literal["onnxruntime", "torch", "torch-compile", "cuda"]
Dtype = Literal["float32", "bfloat16", "float16"]
FORMS: tuple[Form, ...] = get_args(Form)
BACKENDS: tuple[Backend, ...] = get_args(Backend)
DTYPES: tuple[Dtype, ...] = get_args(Dtype)


@dataclass(frozen=True)
class Contender:
    """One row of a benchmark before it is run.

    `torch` and `cuda` are eager. The training form is the one drawn, every linear block expanded,
    in evaluation mode. Raises UsageError for what there is not.
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
        if self.backend == "onnxruntime" and self.dtype != "float32":
            raise UsageError(f"onnxruntime: runs float32 alone, not {self.dtype}; use torch")
        if self.row.dtype == "int8" and self.dtype != "float32":
            raise UsageError(f"{self.variant}: is simulated in float32 alone, not in {self.dtype}")
        if self.backend == "onnxruntime" and self.form == "training":
            raise UsageError(f"{self.variant}: its training form is not exported; use torch")

    def __str__(self) -> str:
        return f"{self.variant} x{self.scale}, {self.form} form, {self.backend} {self.dtype}"

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
