"""What commands that write FILE.tflite have in common."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from leansr.cli import options
from leansr.errors import UsageError

lr_size = click.option(
    "--lr-size",
    type=options.Size(),
    help="Of the pictures that FILE.tflite is made for; 640x360 if not given.",
)


def is_asked_for(
    output: Path, lr_size: tuple[int, int] | None, benchmarks: Sequence[tuple[str, Path]]
) -> bool:
    """Whether `output` is FILE.tflite; UsageError for options of the other kind of file."""
    if output.suffix == ".tflite":
        if benchmarks:
            raise UsageError("--benchmark: is measured in ONNX Runtime; write FILE.onnx for it")
        return True
    if lr_size is not None:
        raise UsageError("--lr-size: is of FILE.tflite; FILE.onnx takes pictures of any size")
    return False


def size(lr_size: tuple[int, int] | None) -> tuple[int, int]:
    """Height and width, of width and height."""
    width, height = lr_size or (640, 360)
    return height, width


def tell(output: Path, told: dict[str, Any]) -> None:
    """What was written."""
    height, width = told["lr_size"]
    click.echo(
        f"{output}: {told['bytes'] / 1024:.1f} KiB, {told['scheme']}'s scheme, "
        f"for {width} x {height}"
    )
