"""`leansr rank`"""

import os
import sys
from pathlib import Path
from typing import Any

import click

from leansr.cli import options
from leansr.errors import UsageError


@click.command()
@click.argument("ranking")
@click.option("--data", type=options.ANY_PATH, required=True, help="Folder or pack of pictures.")
@click.option(
    "--validation", type=options.ANY_PATH, required=True, help="Folder or pack to compare by."
)
@click.option("--run", "folder", type=options.ANY_PATH, required=True, help="The runs' folder.")
@click.option(
    "--seeds", type=click.IntRange(1, 1000), help="Runs of each row; the ranking's if not given."
)
@options.threads
@click.option("--max-minutes", type=options.Amount(), help="Stop after this.")
@options.as_json
def command(
    ranking: str,
    data: Path,
    validation: Path,
    folder: Path,
    seeds: int | None,
    threads: int | None,
    max_minutes: float | None,
    as_json: bool,
) -> None:
    """Train networks or recipes for the same steps, and compare them with a paper's order.

    RANKING is a TOML file or the name of one that comes with the package. What is trained in the
    folder is not trained again, and what was interrupted goes on.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise UsageError(
            "WORLD_SIZE: a ranking is trained by one process; start it without torchrun"
        )

    from leansr.lab.train import ranking as rankings
    from leansr.lab.train.contest import contest

    value, stopped_by = contest(
        rankings.load(ranking),
        folder,
        data,
        validation,
        seeds=seeds,
        threads=threads,
        max_minutes=max_minutes,
        report=lambda line: click.echo(line, err=True),
    )
    if as_json:
        options.print_json(value)
    else:
        _print(value)
    # What is chained to the command must not go on.
    if stopped_by is not None:
        sys.exit(128 + stopped_by)


def _print(value: dict[str, Any]) -> None:
    from leansr.lab.train.standing_text import cells, protocol_line, verdict_lines

    click.echo(f"{value['title']} ({value['source']}); {protocol_line(value)}")
    if value["figure"]:
        click.echo(f"printed: {value['figure']}")
    rows = cells(value)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *rest in rows:
        figures = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        click.echo("  ".join([first.ljust(widths[0]), *figures]))
    for line in verdict_lines(value):
        click.echo(line)
    done = sum(len(row["psnr"]) for row in value["rows"])
    wanted = value["seeds"] * len(value["rows"])
    if done < wanted:
        click.echo(f"{done} of {wanted} runs are over; the same command goes on", err=True)
