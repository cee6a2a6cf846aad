"""`leansr train`"""

from pathlib import Path

import click

from leansr.cli import options


@click.command()
@click.argument("recipe")
@click.option("--data", type=options.ANY_PATH, required=True, help="Folder or pack of pictures.")
@click.option("--run", "folder", type=options.ANY_PATH, required=True, help="The run's folder.")
@click.option("--validation", type=options.ANY_PATH, help="Folder or pack to choose weights by.")
@click.option("--max-minutes", type=click.FloatRange(0, min_open=True), help="Stop after this.")
@options.threads
def command(
    recipe: str,
    data: Path,
    folder: Path,
    validation: Path | None,
    max_minutes: float | None,
    threads: int | None,
) -> None:
    """Train a network by a recipe, or go on with a run.

    RECIPE is a TOML file or the name of one that comes with the package.
    """
    from leansr.lab.train import recipe as recipes
    from leansr.lab.train.trainer import Run

    run = Run(
        recipes.load(recipe),
        folder,
        data,
        validation,
        report=lambda line: click.echo(line, err=True),
        threads=threads,
    )
    run.train(max_minutes)
