"""`leansr data`"""

from pathlib import Path

import click

from leansr.cli import options


@click.group()
def command() -> None:
    """Prepare training pictures."""


@command.command()
@click.argument("folder", type=options.EXISTING_FOLDER)
@click.option("-o", "--output", type=options.ANY_PATH, required=True, metavar="FILE")
@click.option("--source", required=True, help="Where the pictures come from; told on in cards.")
@click.option("--licence", required=True, help="Their licence; told on in cards.")
@click.option("--max-mib", type=click.FloatRange(0, min_open=True), help="Largest pack, in MiB.")
def pack(folder: Path, output: Path, source: str, licence: str, max_mib: float | None) -> None:
    """Pack a folder of pictures into one file for `leansr train --data`."""
    from leansr.lab.train import pictures

    count = pictures.pack(folder, output, pictures.Provenance(source, licence), max_mib)
    click.echo(f"{output}: {count} pictures, {output.stat().st_size / 2**20:.1f} MiB", err=True)
