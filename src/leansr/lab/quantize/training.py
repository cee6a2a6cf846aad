"""Eight bits by training: what `leansr train` would be given, from a float network to a release."""

from collections.abc import Callable
from pathlib import Path

from leansr.errors import UsageError
from leansr.lab.nets import changes
from leansr.lab.quantize.post_training import Source
from leansr.lab.train.recipe import Data, Optimizer, Recipe, Schedule, Start
from leansr.lab.train.report import tell_over
from leansr.lab.train.runs import WEIGHTS, is_over
from leansr.lab.train.trainer import Run
from leansr.zoo.variant import Variant

# As printed (study, section 5.1): from the trained float network.
EPOCHS, RATE = 5.0, 5e-5
# Steps of an epoch, as EDSR's code has it.
_EPOCH = 1000
# The study's crops in section 3.
_DATA = Data(lr_crop=48, batch=16)


def recipe(source: Source, row: Variant, epochs: float, rate: float) -> Recipe:
    """The study's training of `source` as the network of `row`, which is of eight bits.

    Epochs and rate, crops, Adam and L1 are the study's. Ours: an average of the weights is kept,
    and of that what did best on the validation pictures. UsageError for photo weights, which this
    would train on clean pictures.
    """
    if source.kind == "photo":
        raise UsageError(
            f"{source.weights}: are photo weights; write a recipe of {row.name} with their [data], "
            f"for `leansr train`"
        )
    return Recipe(
        variant=row.name,
        scale=source.scale,
        # What is trained by blocks stays so, and their kernels are on grids after the collapse.
        space="direct" if source.space in (None, "direct") else "collapsed",
        network=changes(row),
        start=Start(weights=source.weights),
        data=_DATA,
        optimizer=Optimizer(name="adam", lr=rate),
        schedule=Schedule(name="constant", steps=max(1, round(epochs * _EPOCH))),
        validate_every=_EPOCH // 2,
    )


def trained(
    recipe: Recipe,
    folder: Path,
    data: Path,
    validation: Path | None,
    report: Callable[[str], None],
) -> tuple[Path, int | None]:
    """The weights of a run of `recipe`, which goes on where it stands, and the signal if one came.

    UsageError if the folder is of another run.
    """
    if is_over(folder, recipe):
        tell_over(folder, report)
        return folder / WEIGHTS, None
    run = Run(recipe, folder, data, validation, report=report)
    return folder / WEIGHTS, run.train()
