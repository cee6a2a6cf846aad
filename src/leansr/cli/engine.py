"""Options that say what runs a network; beside the others, as every command loads those."""

from collections.abc import Callable
from typing import Any

import click

from leansr.runtime.backend import BACKENDS, PRECISIONS, Backend

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def backend(default: Backend) -> Decorator:
    """What a command takes if nothing is said is its own."""
    return click.option(
        "--backend",
        type=click.Choice(BACKENDS),
        default=default,
        show_default=True,
        help="Runtime; auto is native where it was built and has the network.",
    )


precision: Decorator = click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="auto",
    show_default=True,
    help="auto is bf16 for pictures of 8 bits where native has it, else fp32; int8 takes the "
    "release of eight bits.",
)
