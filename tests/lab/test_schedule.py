"""Every schedule against torch's scheduler of the same name, which counts steps as we do."""

import itertools

import pytest
import torch
from torch.optim import lr_scheduler as theirs

from leansr.lab.train.recipe import Schedule
from leansr.lab.train.schedule import rate

STEPS = 100


def ours(schedule, steps=STEPS):
    return [rate(schedule, step, step / steps) for step in range(steps + 1)]


def by_torch(scheduler, steps=STEPS, **arguments):
    """The factors that a scheduler of torch puts on a rate of 1."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = scheduler(optimizer, **arguments)
    factors = []
    for _ in range(steps + 1):
        factors.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return factors


@pytest.mark.parametrize(
    ("schedule", "scheduler", "arguments"),
    [
        ({"name": "constant"}, theirs.ConstantLR, {"factor": 1.0}),
        ({"decay": 0.0}, theirs.ConstantLR, {"factor": 1.0}),
        ({}, theirs.CosineAnnealingLR, {"T_max": STEPS}),
        ({"floor": 1e-4}, theirs.CosineAnnealingLR, {"T_max": STEPS, "eta_min": 1e-4}),
        ({"name": "halving", "every": 30}, theirs.StepLR, {"step_size": 30, "gamma": 0.5}),
        (
            {"name": "multi-step", "milestones": (1, 40, 99), "factor": 0.1},
            theirs.MultiStepLR,
            {"milestones": [1, 40, 99], "gamma": 0.1},
        ),
        (
            {"name": "one-cycle", "floor": 0.04, "rise": 0.3},
            theirs.OneCycleLR,
            # Its peak and its end are one step before their share of all steps.
            {
                "max_lr": 1.0,
                "total_steps": STEPS + 1,
                "pct_start": 31 / (STEPS + 1),
                "final_div_factor": 1,
            },
        ),
    ],
    ids=lambda value: value.get("name") if isinstance(value, dict) else value.__name__,
)
def test_against_torch(schedule, scheduler, arguments):
    expected = by_torch(scheduler, **arguments)
    found = ours(Schedule(**schedule, steps=STEPS))
    assert found == pytest.approx(expected, abs=1e-9)


def test_every_name_is_tested_against_torch():
    tested = {case[0].get("name", "cosine") for case in test_against_torch.pytestmark[0].args[1]}
    assert tested == set(Schedule.__annotations__["name"].__args__)


def test_warmup_and_a_constant_phase_before_the_cosine():
    rates = ours(Schedule(warmup_steps=10, decay=0.5, steps=STEPS))
    assert rates[0] == pytest.approx(1 / 11)
    assert rates[10:50] == [1.0] * 40
    assert rates[75] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0)
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))
    assert rates[50:] == pytest.approx(by_torch(theirs.CosineAnnealingLR, 50, T_max=50))


def test_warmup_belongs_to_every_schedule():
    for name, own in (("constant", {}), ("halving", {"every": 50}), ("one-cycle", {"rise": 0.0})):
        plain = ours(Schedule(name=name, steps=STEPS, **own))
        warmed = ours(Schedule(name=name, steps=STEPS, warmup_steps=3, **own))
        assert warmed == [r * min(1, (i + 1) / 4) for i, r in enumerate(plain)]


def test_a_budget_of_minutes_follows_the_clock():
    schedule = Schedule(decay=1.0, minutes=10)
    assert rate(schedule, 3, 0.5) == rate(schedule, 3000, 0.5) == pytest.approx(0.5)
    # Minutes that a step takes beyond the budget.
    assert rate(schedule, 5000, 1.01) == pytest.approx(0)
