"""`leansr upscale`"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import click

from leansr.cli import engine, options
from leansr.cli.progress import Report
from leansr.image.codecs import FORMATS
from leansr.runtime import batch, stream
from leansr.runtime.backend import Backend, Precision
from leansr.runtime.choice import INPUTS, Input
from leansr.runtime.files import Job
from leansr.runtime.manifest import Manifest
from leansr.runtime.route import Route
from leansr.runtime.size import wanted

_FORMATS = [suffix.removeprefix(".") for suffix in FORMATS]


@click.command()
@click.argument(
    "inputs", nargs=-1, required=True, type=options.Folder(path_type=Path), metavar="IN..."
)
@click.option(
    "-o",
    "--output",
    type=options.Folder(path_type=Path),
    metavar="OUT",
    help="File or folder, or -.",
)
@click.option(
    "--model",
    default="sesr-m5",
    show_default=True,
    help="See `leansr models`; auto takes the best within --budget.",
)
@click.option(
    "--budget",
    type=options.Amount(),
    metavar="SECONDS",
    help="For --model auto: what the networks may take for each picture.",
)
@click.option("--scale", type=options.Amount(), help="Scale factor, like 2 or 3.5.  [default: 2]")
@click.option("--size", type=options.Size(), help="Size of the output, in place of a scale.")
@click.option("--fit", type=options.Size(), help="As large as fits into this, shape kept.")
@click.option(
    "--linear-light",
    is_flag=True,
    help="Where a network's output is resized, do it in light, not in its encoding.",
)
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
    help="Tile side in pixels; for the native engine rows of the whole width.",
)
@engine.backend("auto")
@engine.precision
@options.threads
@click.option(
    "--jobs",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Pictures upscaled at once, which share the threads.",
)
@click.option(
    "--weights", type=options.ANY_PATH, metavar="FILE.onnx", help="Not the released ones."
)
@click.option(
    "--format",
    "suffix",
    type=click.Choice(_FORMATS),
    metavar="SUFFIX",
    help="Of the outputs, like png; that of the input if not given.",
)
@click.option(
    "--compression",
    type=click.IntRange(0, 9),
    help="Of PNG and TIFF: up to 3 fast, above tighter.",
)
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
@click.option("--skip-existing", is_flag=True, help="Leave outputs that exist alone.")
@click.option(
    "--resume",
    is_flag=True,
    help="Do what a manifest in the folder OUT does not know to be done of the same input.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and write nothing.")
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Say which weights each picture got, what runs them, and why.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line and picture.")
def command(
    inputs: tuple[Path, ...],
    output: Path | None,
    model: str,
    budget: float | None,
    scale: float | None,
    size: tuple[int, int] | None,
    fit: tuple[int, int] | None,
    linear_light: bool,
    input: Input,
    tile: int | Literal["auto", "off"],
    backend: Backend,
    precision: Precision,
    threads: int | None,
    jobs: int,
    weights: Path | None,
    suffix: str | None,
    compression: int | None,
    overwrite: bool,
    skip_existing: bool,
    resume: bool,
    dry_run: bool,
    verbose: bool,
    as_json: bool,
) -> None:
    """Upscale pictures.

    One file goes to the file OUT, or beside itself as photo_x2.jpg; files, folders and quoted
    patterns go to the folder OUT under the same names. - is standard input or output. Prints the
    path of each picture written.
    """
    if overwrite and skip_existing:
        raise click.UsageError("--overwrite and --skip-existing exclude each other")
    existing: batch.Existing = "overwrite" if overwrite else "skip" if skip_existing else "error"
    target = wanted(scale, size, fit)
    ending = None if suffix is None else f".{suffix}"
    set_up: dict[str, Any] = {"backend": backend, "precision": precision}
    set_up |= {"threads": threads, "tile": tile, "at_once": jobs}
    route = Route(
        target, model, input, budget=budget, linear=linear_light, weights=weights, **set_up
    )
    if stream.STANDARD in (*inputs, output):
        if resume or dry_run or as_json:
            raise click.UsageError("- goes with none of --resume, --dry-run and --json")
        planned = [Job(inputs[0], output or stream.STANDARD)]
        outcomes = stream.run(inputs, output, route, existing, ending, compression)
    else:
        planned = batch.plan(inputs, output, target, ending)
        manifest = _manifest(output, route, planned) if resume else None
        if dry_run:
            outcomes = batch.preview(planned, existing, manifest)
        else:
            outcomes = batch.run(
                planned,
                route,
                existing,
                workers=jobs,
                manifest=manifest,
                compression=compression,
            )
    sys.exit(Report(planned, verbose=verbose, as_json=as_json).show(outcomes))


def _manifest(output: Path | None, route: Route, planned: Sequence[Job]) -> Manifest:
    if output is None or any(job.target == output for job in planned):
        raise click.UsageError("--resume needs a folder; give it with -o FOLDER")
    return Manifest(output, route.settings())
