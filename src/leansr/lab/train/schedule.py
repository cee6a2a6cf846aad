"""The learning rate over a run."""

import math
from bisect import bisect

from leansr.lab.train.recipe import Schedule


def rate(schedule: Schedule, step: int, fraction: float) -> float:
    """The factor on the learning rate at `step` (from 0) when `fraction` of the budget is used."""
    warm = min(1.0, (step + 1) / (schedule.warmup_steps + 1))
    return warm * _after_warmup(schedule, step, fraction)


def _after_warmup(schedule: Schedule, step: int, fraction: float) -> float:
    match schedule.name:
        case "cosine":
            return _between(1, schedule.floor, fraction, 1 - schedule.decay, 1)
        case "constant":
            return 1.0
        case "halving":
            assert schedule.every is not None
            return schedule.factor ** (step // schedule.every)
        case "multi-step":
            return schedule.factor ** bisect(schedule.milestones, step)
        case "one-cycle":
            if fraction < schedule.rise:
                return _between(schedule.floor, 1, fraction, 0, schedule.rise)
            return _between(1, schedule.floor, fraction, schedule.rise, 1)


def _between(first: float, last: float, at: float, begin: float, end: float) -> float:
    """`first` up to `begin`, `last` from `end` on, half a cosine between."""
    if at < begin or begin == end:
        return first
    way = min(1.0, (at - begin) / (end - begin))
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * way))
