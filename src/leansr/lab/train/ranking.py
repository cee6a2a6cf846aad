"""Rankings: one recipe, a few changes to it in every row, and the order that a paper prints."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import torch
from msgspec import Meta

from leansr import zoo
from leansr.errors import UsageError, WeightsError
from leansr.lab.nets import build, changed
from leansr.lab.train import recipe as recipes
from leansr.lab.train.learner import begin
from leansr.lab.train.recipe import Count, Recipe, Strict
from leansr.lab.train.suggestion import suggestion
from leansr.lab.train.teacher import Lesson
from leansr.zoo.variant import Variant


class Row(Strict, frozen=True):
    """One contender: `changes` to the base, by the tables and keys of a recipe.

    `name` is also its folder. `printed` is the paper's figure for it, the higher the better;
    `place` is its place where the paper prints an order without figures, the same for rows that it
    calls equal. A row without either is not the paper's.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._+-]*$")]
    changes: dict[str, Any] = msgspec.field(default_factory=dict)
    printed: float | None = None
    place: Count | None = None


class Ranking(Strict, frozen=True):
    """Rows that are trained by one recipe, for the same number of steps, and then compared.

    `source` is where the paper has them, `figure` what its printed figures are. `base` is a whole
    recipe but for the seed: every row is trained with the seeds 0, 1, ...
    """

    title: str
    source: str
    base: dict[str, Any]
    rows: Annotated[tuple[Row, ...], Meta(min_length=2)]
    figure: str = ""
    seeds: Count = 3

    def __post_init__(self) -> None:
        names = [row.name for row in self.rows]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"there are two rows {name}")
        is_printed = any(row.printed is not None for row in self.rows)
        if is_printed and not self.figure:
            raise ValueError("printed figures need to be said what they are: figure")
        if is_printed and any(row.place is not None for row in self.rows):
            raise ValueError("rows have printed figures or places, not the one and the other")

    @property
    def steps(self) -> int:
        """The budget of every run."""
        steps = self.recipe(self.rows[0], 0).schedule.steps
        assert steps is not None
        return steps

    def recipe(self, row: Row, seed: int) -> Recipe:
        """What `row` is trained by; UsageError if that is no recipe."""
        table = overlaid(self.base, row.changes)
        if "seed" in table:
            raise UsageError(f"row {row.name}: seed is no row's own; the ranking has seeds")
        try:
            return msgspec.convert({**table, "seed": seed}, Recipe)
        except msgspec.ValidationError as cause:
            hint = suggestion(str(cause), Recipe)
            raise UsageError(f"row {row.name}: {cause}{hint}") from cause


def load(name: str) -> Ranking:
    """The ranking in the file `name`, or the shipped one of that name.

    UsageError if it is wrong, if a row of it is no recipe of a network that there is, or if the
    rows have different budgets, scales or colours.
    """
    ranking = recipes.read(name, "ranking", Ranking)
    try:
        _check(ranking)
    except UsageError as cause:
        raise UsageError(f"{name}: {cause}") from cause
    return ranking


def overlaid(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`table` with `changes`, in the tables within it key by key."""
    result = dict(table)
    for key, value in changes.items():
        before = result.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            result[key] = overlaid(before, value)
        else:
            result[key] = value
    return result


def variant_of(recipe: Recipe) -> Variant:
    """The row of the zoo that `recipe` trains, with the arguments that it changes."""
    return changed(zoo.find(recipe.variant, recipe.scale), recipe.network)


def _check(ranking: Ranking) -> None:
    first: dict[str, Any] = {}
    for row in ranking.rows:
        recipe = ranking.recipe(row, 0)
        _check_recipe(row.name, recipe)
        if recipe.schedule.steps is None:
            raise UsageError(f"row {row.name}: a ranking needs a budget of steps: schedule.steps")
        own = {
            "schedule.steps": recipe.schedule.steps,
            "scale": recipe.scale,
            "colour": variant_of(recipe).colour,
        }
        first = first or own
        for name, value in own.items():
            if value != first[name]:
                raise UsageError(
                    f"row {row.name}: {name} is {value}, but {first[name]} in "
                    f"{ranking.rows[0].name}; rows that are compared have the same"
                )


def _check_recipe(name: str, recipe: Recipe) -> None:
    """Now, and not after all rows before it are trained."""
    try:
        variant = variant_of(recipe)
        network = build(variant, recipe.scale, recipe.space)
        for given in (recipe.start, recipe.teacher):
            if given is not None and not given.path().exists():
                raise UsageError(f"{given.weights}: no such file")
        if recipe.start is not None:
            begin(network, recipe.start)
        if recipe.teacher is not None:
            Lesson(recipe.teacher, variant, recipe.scale, torch.device("cpu"))
    except (UsageError, WeightsError) as cause:
        raise UsageError(f"row {name}: {cause}") from cause
