"""`leansr reproduce`"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from leansr.cli import options
from leansr.runtime import config

if TYPE_CHECKING:
    from leansr.lab.reproduce.figures import AtHand

# As in the lab, which a command loads only when it is called.
PAPERS = ("bsrn", "fmen", "mdrn", "study", "sesr")


@click.command()
@click.argument("paper", type=click.Choice(PAPERS))
@click.option(
    "--weights",
    type=options.EXISTING_FOLDER,
    help="Holds .safetensors of `leansr import` or `leansr train` to measure.",
)
@options.data_root
@click.option(
    "--times",
    type=options.EXISTING_FILE,
    help="What `leansr bench --table ... --json` printed; may be repeated.",
    multiple=True,
)
@click.option("--markdown", is_flag=True, help="Print Markdown.")
@click.option(
    "--plot",
    type=options.ANY_PATH,
    metavar="DIR",
    help="Draw the paper's figures into it, as PNG and SVG.",
)
@options.as_json
def command(
    paper: str,
    weights: Path | None,
    data_root: Path | None,
    times: tuple[Path, ...],
    markdown: bool,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Print the tables of a paper beside what we compute and measure.

    Costs, memory and claims are computed; quality is that of the weights at hand, and empty where
    there are none.
    """
    from leansr.lab.reproduce import render
    from leansr.lab.reproduce.measured import measured_for
    from leansr.lab.reproduce.reproduction import reproduce

    if plot is not None:
        from leansr.lab.reproduce.figures import make_folder

        make_folder(plot)
    root = config.data_root(data_root)
    measured = measured_for(paper, weights, root, times)
    result = reproduce(paper, measured)
    if as_json:
        options.print_json(result.as_json())
    else:
        click.echo((render.markdown if markdown else render.text)(result), nl=False)
    if plot is not None:
        from leansr.lab.reproduce.figures import at_hand

        _draw(paper, plot, at_hand(weights, root, times))
    for failure in measured.failures:
        options.print_error(failure)
    if measured.failures:
        sys.exit(1)


def _draw(paper: str, folder: Path, have: "AtHand") -> None:
    """The paths go to stderr, for stdout is the report's."""
    from leansr.lab.reproduce.figures import draw

    for path, reason in draw(paper, folder, have):
        click.echo(path or reason, err=True)
