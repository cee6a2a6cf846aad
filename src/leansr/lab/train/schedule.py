"""The learning rate over a run."""

import math

from leansr.lab.train.recipe import Schedule


def rate(schedule: Schedule, step: int, fraction: float) -> float:
    """The factor on the learning rate at `step` (from 0) when `fraction` of the budget is used."""
    warm = min(1.0, (step + 1) / (schedule.warmup_steps + 1))
    constant = 1 - schedule.decay
    if fraction < constant or schedule.decay == 0:
        return warm
    return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, (fraction - constant) / schedule.decay)))
