"""`leansr train`"""

import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from leansr.cli import options
from leansr.errors import UsageError

if TYPE_CHECKING:
    from leansr.lab.train.plan import Plan


@click.command()
@click.argument("recipe")
@click.option("--data", type=options.ANY_PATH, required=True, help="Folder or pack of pictures.")
@click.option("--run", "folder", type=options.ANY_PATH, help="The run's folder.")
@click.option("--validation", type=options.ANY_PATH, help="Folder or pack to choose weights by.")
@click.option("--max-minutes", type=options.Amount(), help="Stop after this.")
@click.option(
    "--room-mib",
    type=options.Amount(),
    help="Memory for decoded pictures; what is more is read from disk.",
)
@options.threads
@click.option("--dry-run", is_flag=True, help="Print what would run and how long; write nothing.")
@options.as_json
def command(
    recipe: str,
    data: Path,
    folder: Path | None,
    validation: Path | None,
    max_minutes: float | None,
    room_mib: float | None,
    threads: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Train a network by a recipe, or go on with a run.

    RECIPE is a TOML file or the name of one that comes with the package. Started by torchrun,
    several processes share the crops of each step.
    """
    if folder is None and not dry_run:
        raise UsageError("--run: the run's folder is missing; only --dry-run goes without")
    if as_json and not dry_run:
        raise UsageError("--json: is what --dry-run prints; a run's own is recipe.json and log.csv")

    from leansr.lab.train import recipe as recipes
    from leansr.lab.train.plan import plan
    from leansr.lab.train.processes import joined
    from leansr.lab.train.report import tell_over
    from leansr.lab.train.runs import is_over
    from leansr.lab.train.trainer import Run

    settings = recipes.load(recipe)
    tell = partial(click.echo, err=True)
    with joined() as processes, TemporaryDirectory() as nowhere:
        if folder is not None and not dry_run:
            # One of them decides: the others might see what it writes.
            (is_done,) = processes.any(processes.is_first and is_over(folder, settings))
            if is_done:
                if processes.is_first:
                    tell_over(folder, tell)
                return
        run = Run(
            settings,
            folder or Path(nowhere),
            data,
            validation,
            report=tell,
            threads=threads,
            room_mib=room_mib,
            processes=processes,
        )
        if not dry_run:
            # What is chained to the command, like the next recipe of `make zoo`, must not go on.
            if number := run.train(max_minutes):
                sys.exit(128 + number)
            return
        found = plan(run)
        if processes.is_first and as_json:
            options.print_json(found.as_json())
        elif processes.is_first:
            click.echo(f"{'recipe':12}{recipes.path_of(recipe)}")
            _print(found)


def _print(plan: "Plan") -> None:
    from leansr.lab.train.plan_text import lines

    for name, words in lines(plan):
        click.echo(f"{name:12}{words}")
