"""`leansr import`"""

from pathlib import Path

import click

from leansr.cli import options


@click.command()
@click.argument("checkpoint", type=options.ANY_PATH)
@click.option("--model", required=True, help="The variant that the checkpoint is of.")
@options.scale
@click.option("-o", "--output", type=options.ANY_PATH, required=True, metavar="FILE.safetensors")
def command(checkpoint: Path, model: str, scale: int, output: Path) -> None:
    """Make weights of a checkpoint that the paper's authors published."""
    from leansr.lab.published import import_published

    facts = import_published(checkpoint, model, scale, output)
    click.echo(f"{output}: {model} x{scale} in its {facts.form} form")
