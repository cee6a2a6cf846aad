"""Recipes: all that decides a training run but the pictures, as typed TOML."""

import difflib
import re
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from leansr.errors import UsageError
from leansr.lab.nets.collapse import Space
from leansr.zoo.release import releases

Positive = Annotated[float, Meta(gt=0)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1)]


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of a recipe; an unknown key is an error."""


class Data(Strict, frozen=True):
    """Crops of `lr_crop` x `lr_crop` LR pixels, `batch` of them a step.

    Of `candidates` random places, each crop is the one with the most detail.
    """

    lr_crop: Annotated[int, Meta(ge=4)]
    batch: Count
    candidates: Count = 1


class Optimizer(Strict, frozen=True):
    """`lr` moves kernels; biases and slopes move at `vector_lr * lr`, always by Adam.

    `clip` bounds the norm of the whole gradient; `weight_decay` is decoupled, on kernels alone.
    """

    name: Literal["adam", "muon"]
    lr: Positive
    vector_lr: Positive = 1.0
    weight_decay: Annotated[float, Meta(ge=0)] = 0.0
    clip: Positive | None = None


class Schedule(Strict, frozen=True):
    """Warm-up, a constant phase, then a cosine to zero over the last `decay` of the budget.

    `decay` 1 is a plain cosine, 0 a constant rate. The budget is `steps` or `minutes`, never both.
    """

    warmup_steps: Annotated[int, Meta(ge=0)]
    decay: Fraction
    steps: Count | None = None
    minutes: Positive | None = None

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("schedule needs steps or minutes, and not both")


class Start(Strict, frozen=True):
    """Weights to start from; the parts named in `fresh` are new, all else must be there.

    `weights` is a .safetensors file, or a release like "sesr-m5_x2", whose tensors are those of
    the direct space.
    """

    weights: str
    fresh: tuple[str, ...] = ()

    def path(self) -> Path:
        """The file; UsageError if there is no release of that name."""
        path = Path(self.weights)
        if path.suffix == ".safetensors":
            return path
        by_name = {f"{name}_x{scale}": r.tensors for (name, scale), r in releases().items()}
        if self.weights not in by_name:
            known = ", ".join(by_name)
            raise UsageError(f"{self.weights}: no such release; a .safetensors file, or {known}")
        return by_name[self.weights]


class Expect(Strict, frozen=True):
    """What the recipe gave where it was run: luma PSNR in dB, and how it was measured."""

    set5_psnr_y: float
    set14_psnr_y: float
    source: str


class Recipe(Strict, frozen=True):
    """One training run. `space` is where a network with collapsible blocks is trained, its own
    first space if none is given."""

    variant: str
    scale: Count
    data: Data
    optimizer: Optimizer
    schedule: Schedule
    space: Space | None = None
    seed: int = 0
    ema: Fraction = 0.999
    validate_every: Count = 1000
    compile: bool = True
    precision: Literal["fp32", "bf16"] = "fp32"
    start: Start | None = None
    expect: Expect | None = None


def shipped() -> dict[str, Path]:
    """The recipes that come with the package, by name."""
    folder = resources.files("leansr.lab.train") / "recipes"
    paths = [Path(str(entry)) for entry in folder.iterdir() if entry.name.endswith(".toml")]
    return {path.stem: path for path in sorted(paths)}


def load(name: str) -> Recipe:
    """The recipe in the file `name`, or the shipped one of that name; UsageError if it is wrong."""
    path = Path(name)
    if path.suffix != ".toml":
        known = shipped()
        if name not in known:
            raise UsageError(f"{name}: no such recipe; a path to a .toml, or {', '.join(known)}")
        path = known[name]
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        raise UsageError(f"{path}: cannot be read ({cause})") from cause
    try:
        return msgspec.toml.decode(text, type=Recipe)
    except msgspec.MsgspecError as cause:
        raise UsageError(f"{path}: {cause}{_suggestion(str(cause))}") from cause


def _suggestion(message: str) -> str:
    """The known key nearest to the unknown one that `message` names."""
    unknown = re.search(r"unknown field `(.+?)`", message)
    if unknown is None:
        return ""
    known = {field for table in Strict.__subclasses__() for field in table.__struct_fields__}
    close = difflib.get_close_matches(unknown[1], sorted(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
