"""Recipes: all that decides a training run but the pictures, as typed TOML."""

import difflib
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from leansr.errors import UsageError
from leansr.lab.nets.collapse import Space
from leansr.lab.train.suggestion import suggestion
from leansr.zoo.release import every_release

Positive = Annotated[float, Meta(gt=0)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
# An average forgets: at 1 it would never move.
Memory = Annotated[float, Meta(ge=0, lt=1)]
Count = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[float, Meta(ge=0)]
Argument = bool | int | str | tuple[int | str, ...] | dict[str, bool | int | str]


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of a recipe; an unknown key is an error."""


Table = TypeVar("Table", bound=Strict)


def _is_given(table: Strict, key: str) -> bool:
    """Whether a key has another value than its default."""
    defaults = {field.name: field.default for field in msgspec.structs.fields(table)}
    return bool(getattr(table, key) != defaults[key])


class Data(Strict, frozen=True):
    """Crops of `lr_crop` x `lr_crop` LR pixels, `batch` of them a step, over all processes.

    Of `candidates` random places, each crop is the one with the most detail. `degradation` is what
    happens to LR pictures after the bicubic: nothing, or what happens to photos on their way
    (leansr.lab.train.degradation), in so many `versions` of each picture, the share `untouched` of
    which stay clean.
    """

    lr_crop: Annotated[int, Meta(ge=4)]
    batch: Count
    candidates: Count = 1
    degradation: Literal["bicubic", "photo"] = "bicubic"
    versions: Count = 1
    untouched: Fraction = 0.5

    def __post_init__(self) -> None:
        if self.degradation == "bicubic" and self.versions > 1:
            raise ValueError("data.versions are of a degradation; bicubic has one")
        if self.degradation == "bicubic" and _is_given(self, "untouched"):
            raise ValueError("data.untouched is of a degradation; bicubic has none")


class Loss(Strict, frozen=True):
    """What a step brings down, of pictures in [0, 1]: `name`, plus `fft` times the mean absolute
    difference of their spectra. `epsilon` is Charbonnier's, where Huber's turns linear, and the
    error below which "psnr", minus the mean PSNR of crops in dB, asks for no less."""

    name: Literal["l1", "l2", "charbonnier", "huber", "psnr"] = "l1"
    epsilon: Positive = 1e-3
    fft: NotNegative = 0.0

    def __post_init__(self) -> None:
        if self.name in ("l1", "l2") and _is_given(self, "epsilon"):
            raise ValueError("loss.epsilon belongs to charbonnier, huber and psnr")


class Teacher(Strict, frozen=True):
    """A trained network to learn from: `weight` is its share of the loss, HR has the rest.

    `weights` as in Start. With `self_ensemble` it gives the mean over the eight ways to lay a
    picture.
    """

    weights: str
    weight: Fraction = 0.5
    self_ensemble: bool = False

    def path(self) -> Path:
        """The file; UsageError if there is no release of that name."""
        return weights_file(self.weights)


class Optimizer(Strict, frozen=True):
    """`lr` moves kernels; biases and slopes move at `vector_lr * lr`, always by Adam.

    `betas` and `epsilon` are Adam's and SOAP's, `momentum` is Muon's. `clip` bounds the norm of
    the whole gradient; `weight_decay` is decoupled, on kernels alone.
    """

    name: Literal["adam", "muon", "soap"]
    lr: Positive
    vector_lr: Positive = 1.0
    betas: tuple[Memory, Memory] = (0.9, 0.999)
    epsilon: Positive = 1e-8
    momentum: Memory = 0.95
    weight_decay: NotNegative = 0.0
    clip: Positive | None = None

    def __post_init__(self) -> None:
        if self.name != "muon" and _is_given(self, "momentum"):
            raise ValueError("optimizer.momentum belongs to muon")


class Schedule(Strict, frozen=True):
    """The rate over a budget of `steps` or `minutes`, never both, after `warmup_steps`.

    - `cosine`: constant, then a cosine down to `floor` over the last `decay` of the budget;
      `decay` 1 is a plain cosine;
    - `constant`;
    - `halving`: times `factor` every `every` steps;
    - `multi-step`: times `factor` at each of `milestones`, in steps;
    - `one-cycle`: up to the rate by a cosine over the first `rise`, and down to `floor`.

    `floor` is a share of the rate.
    """

    name: Literal["cosine", "constant", "halving", "multi-step", "one-cycle"] = "cosine"
    warmup_steps: Annotated[int, Meta(ge=0)] = 0
    decay: Fraction = 1.0
    floor: Fraction = 0.0
    rise: Fraction = 0.3
    every: Count | None = None
    milestones: tuple[Count, ...] = ()
    factor: Fraction = 0.5
    steps: Count | None = None
    minutes: Positive | None = None

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("schedule needs steps or minutes, and not both")
        for key, names in _BELONGS.items():
            if self.name not in names and _is_given(self, key):
                raise ValueError(f"schedule.{key} belongs to {' and '.join(names)}")
        if self.name == "halving" and self.every is None:
            raise ValueError("halving needs schedule.every")
        if self.name == "multi-step" and not self.milestones:
            raise ValueError("multi-step needs schedule.milestones")
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError("schedule.milestones must rise")


# The keys that only some schedules have.
_BELONGS = {
    "decay": ["cosine"],
    "floor": ["cosine", "one-cycle"],
    "rise": ["one-cycle"],
    "every": ["halving"],
    "milestones": ["multi-step"],
    "factor": ["halving", "multi-step"],
}


class Finish(Strict, frozen=True):
    """Other crops, or another loss, for the last `share` of the budget: larger patches, say.

    The crops are of the same LR pictures: a degradation stays as it is.
    """

    share: Fraction
    data: Data | None = None
    loss: Loss | None = None

    def __post_init__(self) -> None:
        if self.data is None and self.loss is None:
            raise ValueError("finish needs data or loss")


class Start(Strict, frozen=True):
    """Weights to start from; the parts named in `fresh` are new, all else must be there.

    `weights` is a .safetensors file, or a release like "sesr-m5_x2", whose tensors are those of
    the direct space.
    """

    weights: str
    fresh: tuple[str, ...] = ()

    def path(self) -> Path:
        """The file; UsageError if there is no release of that name."""
        return weights_file(self.weights)


class Expect(Strict, frozen=True):
    """What the recipe gave where it was run: luma PSNR in dB, and how it was measured."""

    set5_psnr_y: float
    set14_psnr_y: float
    source: str


class Recipe(Strict, frozen=True):
    """One training run. `space` is where a network with collapsible blocks is trained, its own
    first space if none is given. `network` changes arguments of the variant's row: a network with
    such changes is trained and compared, but never released under the variant's name, unless all
    that they change is how it is in eight bits. `ema` 0 is no average."""

    variant: str
    scale: Count
    data: Data
    optimizer: Optimizer
    schedule: Schedule
    space: Space | None = None
    network: dict[str, Argument] = msgspec.field(default_factory=dict)
    seed: Annotated[int, Meta(ge=0)] = 0
    ema: Fraction = 0.999
    validate_every: Count = 1000
    compile: bool = True
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    loss: Loss = Loss()
    teacher: Teacher | None = None
    finish: Finish | None = None
    start: Start | None = None
    expect: Expect | None = None

    def __post_init__(self) -> None:
        finish = self.finish.data if self.finish is not None else None
        for key in ("degradation", "versions", "untouched"):
            if finish is not None and getattr(finish, key) != getattr(self.data, key):
                raise ValueError(f"finish.data.{key} must be that of data")


def is_same_run(one: Recipe, other: Recipe) -> bool:
    """Whether two recipes train alike: what is expected of them may differ."""
    without = [msgspec.structs.replace(recipe, expect=None) for recipe in (one, other)]
    return without[0] == without[1]


def goes_on(before: Recipe, now: Recipe) -> bool:
    """Whether a run of `before` may go on by `now`: the same run, or given more steps or minutes.

    A budget is not exchanged for one of the other kind.
    """
    was, given = before.schedule, now.schedule
    as_before = msgspec.structs.replace(given, steps=was.steps, minutes=was.minutes)
    return (
        is_same_run(before, msgspec.structs.replace(now, schedule=as_before))
        and (given.steps or 0) >= (was.steps or 0)
        and (given.minutes or 0) >= (was.minutes or 0)
    )


def weights_file(weights: str) -> Path:
    """The .safetensors file `weights`, or that of the release of this name; UsageError if none."""
    path = Path(weights)
    if path.suffix == ".safetensors":
        return path
    by_name = {release.tensors.stem: release.tensors for release in every_release()}
    if weights not in by_name:
        known = ", ".join(by_name)
        raise UsageError(f"{weights}: no such release; a .safetensors file, or {known}")
    return by_name[weights]


def shipped(kind: str = "recipe") -> dict[str, Path]:
    """The recipes, or the files of another `kind`, that come with the package, by name."""
    folder = resources.files("leansr.lab.train") / f"{kind}s"
    paths = [Path(str(entry)) for entry in folder.iterdir() if entry.name.endswith(".toml")]
    return {path.stem: path for path in sorted(paths)}


def load(name: str) -> Recipe:
    """The recipe in the file `name`, or the shipped one of that name; UsageError if it is wrong."""
    return read(name, "recipe", Recipe)


def path_of(name: str, kind: str = "recipe") -> Path:
    """The TOML file `name`, or the shipped one of that `kind`; UsageError if there is none."""
    if Path(name).suffix == ".toml":
        return Path(name)
    known = shipped(kind)
    if name not in known:
        close = difflib.get_close_matches(name, known, n=5, cutoff=0.5) or known
        raise UsageError(f"{name}: no such {kind}; a path to a .toml, or {', '.join(close)}")
    return known[name]


def read(name: str, kind: str, table: type[Table]) -> Table:
    """The TOML file `name`, or the shipped one of that `kind`, as a `table`; else UsageError."""
    path = path_of(name, kind)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        raise UsageError(f"{path}: cannot be read ({cause})") from cause
    try:
        return msgspec.toml.decode(text, type=table)
    except msgspec.MsgspecError as cause:
        raise UsageError(f"{path}: {cause}{suggestion(str(cause), table)}") from cause
