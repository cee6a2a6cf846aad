"""`leansr upscale`"""

import os
import sys
from pathlib import Path
from typing import Literal

import click

from leansr.cli import options
from leansr.runtime import batch
from leansr.runtime.choice import INPUTS, Input, Upscalers
from leansr.runtime.upscaler import BACKENDS, Backend


@click.command()
@click.argument("inputs", nargs=-1, required=True, type=options.ANY_PATH, metavar="IN...")
@click.option("-o", "--output", type=options.ANY_PATH, metavar="OUT", help="File or folder.")
@click.option("--model", default="sesr-m5", show_default=True, help="See `leansr models`.")
@options.scale
@click.option(
    "--input",
    type=click.Choice(INPUTS),
    default="auto",
    show_default=True,
    help="What the pictures are: auto takes strongly compressed JPEGs for photos.",
)
@click.option(
    "--tile",
    type=options.Tile(),
    metavar="auto|N|off",
    default="auto",
    show_default=True,
    help="Tile side in pixels.",
)
@click.option(
    "--backend", type=click.Choice(BACKENDS), default="auto", show_default=True, help="Runtime."
)
@options.threads
@click.option(
    "--weights", type=options.ANY_PATH, metavar="FILE.onnx", help="Not the released ones."
)
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
@click.option("--skip-existing", is_flag=True, help="Leave outputs that exist alone.")
@click.option("-v", "--verbose", is_flag=True, help="Say which weights each picture got, and why.")
def command(
    inputs: tuple[Path, ...],
    output: Path | None,
    model: str,
    scale: int,
    input: Input,
    tile: int | Literal["auto", "off"],
    backend: Backend,
    threads: int | None,
    weights: Path | None,
    overwrite: bool,
    skip_existing: bool,
    verbose: bool,
) -> None:
    """Upscale pictures.

    One file goes to the file OUT, or beside itself as photo_x2.jpg; files and folders go to the
    folder OUT under the same names. Prints the path of each picture written.
    """
    if overwrite and skip_existing:
        raise click.UsageError("--overwrite and --skip-existing exclude each other")
    existing: batch.Existing = "overwrite" if overwrite else "skip" if skip_existing else "error"
    upscalers = Upscalers(
        model, scale, input, backend=backend, threads=threads, tile=tile, weights=weights
    )
    jobs = batch.plan(inputs, output, scale)
    failures = 0
    outcomes = batch.run(jobs, upscalers, existing)
    hidden = len(jobs) < 2 or sys.stderr is None or not sys.stderr.isatty()
    with click.progressbar(
        outcomes, length=len(jobs), label="Upscaling", file=sys.stderr, hidden=hidden
    ) as shown:
        for outcome in shown:
            if outcome.error is not None:
                failures += 1
                options.print_error(outcome.error)
            elif outcome.choice is not None:
                if verbose:
                    line = f"{outcome.job.source}: {outcome.choice.words}"
                    click.echo(options.printable(line), err=True)
                # As bytes: a name need not be text in the encoding of stdout.
                click.echo(os.fsencode(outcome.job.target))
    sys.exit(1 if failures else 0)
