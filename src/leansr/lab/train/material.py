"""The pictures that a run trains on and is validated by, checked against its recipe."""

from pathlib import Path

from leansr.errors import UsageError
from leansr.lab.train import pictures, versions
from leansr.lab.train.pictures import Pictures
from leansr.lab.train.processes import Processes
from leansr.lab.train.recipe import Data, Recipe
from leansr.zoo.variant import Variant

# Two pixels are left of the smallest validation picture when its border is cut.
_SMALLEST_VALIDATED = 4


def check_crops(recipe: Recipe, variant: Variant, processes: Processes) -> None:
    """UsageError unless `variant` takes all crops, and `processes` can share them."""
    for table, crops in _crops(recipe).items():
        if crops.lr_crop < variant.smallest:
            raise UsageError(
                f"{table}.lr_crop: {crops.lr_crop} pixels a side are fewer than the "
                f"{variant.smallest} that {variant.name} takes; give it more"
            )
        processes.share(crops.batch, table)


def trained(recipe: Recipe, variant: Variant, data: Path, room_mib: float | None) -> Pictures:
    """What crops are taken from; DataError names the pictures that the largest are not in."""
    largest = max(crops.lr_crop for crops in _crops(recipe).values())
    made = versions.trained(recipe.data)
    return pictures.load(data, recipe.scale, variant.colour, largest, made, room_mib)


def validated(recipe: Recipe, variant: Variant, data: Path) -> Pictures:
    """What weights are chosen by; DataError names the pictures that are too small for it."""
    smallest = max(_SMALLEST_VALIDATED, variant.smallest)
    made = versions.validated(recipe.data)
    return pictures.load(data, recipe.scale, variant.colour, smallest, made)


def _crops(recipe: Recipe) -> dict[str, Data]:
    """The tables of crops, by their names in the recipe."""
    at_the_end = recipe.finish.data if recipe.finish is not None else None
    tables = {"data": recipe.data, "finish.data": at_the_end}
    return {name: table for name, table in tables.items() if table is not None}
