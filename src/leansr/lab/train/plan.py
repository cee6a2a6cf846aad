"""What a run would do, and how long it would take on this machine."""

import time
from dataclasses import asdict, dataclass
from typing import Any

import msgspec
import torch

from leansr.lab.train.environment import device_name
from leansr.lab.train.objective import can_compile
from leansr.lab.train.recipe import Data, Recipe
from leansr.lab.train.trainer import Run
from leansr.lab.train.validation import mean_psnr

# Steps are timed for about so many seconds, but never more than so many of them.
_SECONDS, _MOST_STEPS = 5.0, 100


@dataclass(frozen=True)
class Plan:
    """A run before it is made.

    `params` are those that are trained. `step` is where the run stands, `steps` where it will end;
    for a budget of minutes that is what they hold at `seconds_per_step`. `training_minutes` are
    from here to there without validations, and without the `seconds_to_start` that the first step
    takes longer, mostly to compile, which torch keeps for the next time. `data_mib` is what
    decoded pictures take of memory, or of the disk if they are `mapped`.
    """

    recipe: Recipe
    params: int
    space: str | None
    compiled: bool
    device: str
    threads: int
    processes: int
    source: str
    licence: str
    pictures: int
    modes: str
    megapixels: float
    data_mib: float
    mapped: bool
    validation_pictures: int
    step: int
    steps: int
    seconds_per_step: float
    seconds_to_start: float
    training_minutes: float
    seconds_per_validation: float | None

    @property
    def minutes_left(self) -> float:
        """Minutes from here to the end of the run, with validations."""
        every = self.recipe.validate_every
        validations = self.steps // every - self.step // every
        return self.training_minutes + validations * (self.seconds_per_validation or 0.0) / 60

    def as_json(self) -> dict[str, Any]:
        """All of it, the recipe with every default."""
        told = {"recipe": msgspec.to_builtins(self.recipe)}
        return {"schema": 1, **asdict(self), **told, "minutes_left": self.minutes_left}


def plan(run: Run) -> Plan:
    """What `run` would do from where it stands; its steps are timed, so its weights move.

    Raises UsageError if the device has too little memory for a step.
    """
    recipe, step, fraction = run.recipe, run.progress.step, run.fraction
    seconds, seconds_to_start = _timed(run)
    steps_left, minutes_left = _left(recipe, fraction, seconds)
    pictures = run.pictures
    return Plan(
        recipe=recipe,
        params=sum(p.numel() for p in run.network.parameters()),
        space=run.space,
        compiled=recipe.compile and can_compile(run.device),
        device=device_name(run.device),
        threads=torch.get_num_threads(),
        processes=run.processes.count,
        source=run.origin.source,
        licence=run.origin.licence,
        pictures=len(pictures.pairs),
        modes=pictures.modes,
        megapixels=len(pictures.hr) / 1e6,
        data_mib=(pictures.lr.nbytes + pictures.hr.nbytes) / 2**20,
        mapped=pictures.is_mapped,
        validation_pictures=len(run.validation.pairs) if run.validation is not None else 0,
        step=step,
        steps=step + steps_left,
        seconds_per_step=seconds,
        seconds_to_start=seconds_to_start,
        training_minutes=minutes_left,
        seconds_per_validation=_seconds_per_validation(run),
    )


def _timed(run: Run) -> tuple[float, float]:
    """Seconds that a step takes, and those that the first one takes longer."""
    began = time.monotonic()
    with run.device_faults():
        # One number of steps for all processes: they take each together.
        (seconds,) = run.processes.largest(run.seconds_per_step(1))
        # Two steps before the one that is timed.
        starting = max(0.0, time.monotonic() - began - 3 * seconds)
        count = min(_MOST_STEPS, int(_SECONDS / seconds))
        return (run.seconds_per_step(count) if count > 1 else seconds), starting


def _left(recipe: Recipe, fraction: float, seconds: float) -> tuple[int, float]:
    """Steps and minutes to the end of the budget, of which `fraction` is used.

    `seconds` is what a step takes now; those of larger crops at the end take as much more as the
    crops have pixels.
    """
    finish, schedule = recipe.finish, recipe.schedule
    left, finishing, relative = max(0.0, 1 - fraction), 0.0, 1.0
    if finish is not None and finish.data is not None and fraction < 1 - finish.share:
        finishing, relative = finish.share, _pixels(finish.data) / _pixels(recipe.data)
    if schedule.steps is not None:
        equal_steps = schedule.steps * (left - finishing + finishing * relative)
        return round(schedule.steps * left), equal_steps * seconds / 60
    assert schedule.minutes is not None
    equal_minutes = schedule.minutes * (left - finishing + finishing / relative)
    return round(equal_minutes * 60 / seconds), schedule.minutes * left


def _pixels(data: Data) -> int:
    return data.batch * data.lr_crop**2


def _seconds_per_validation(run: Run) -> float | None:
    if run.validation is None:
        return None
    began = time.monotonic()
    mean_psnr(run.network, run.learner.average, run.validation.pairs, run.recipe.scale)
    return time.monotonic() - began
