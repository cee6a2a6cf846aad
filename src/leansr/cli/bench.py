"""`leansr bench`"""

from functools import partial
from typing import Any

import click

from leansr.cli import options
from leansr.errors import UsageError

_DEFAULT_LR = (640, 360)


@click.command()
@click.argument("variants", nargs=-1, metavar="VARIANT[:FORM]...")
@click.option("--scale", type=int, help="Scale factor; 2 if not given.")
@click.option(
    "--lr-size",
    type=options.Size(),
    help="Of the input; 640x360 if not given, 96x54 for a --table.",
)
@click.option(
    "--backend",
    "backends",
    multiple=True,
    metavar="A,B",
    help="Of onnxruntime, native, native-bf16, native-int8, torch, torch-compile and cuda; "
    "onnxruntime if not given, torch for a --table. May be repeated.",
)
@click.option(
    "--dtype",
    default="float32",
    show_default=True,
    help="Of weights and features: float32, bfloat16 or float16.",
)
@options.threads
@click.option(
    "--warmup",
    type=click.IntRange(1, 1000),
    default=3,
    show_default=True,
    help="Rounds before those that count.",
)
@click.option(
    "--runs",
    type=click.IntRange(1, 100_000),
    default=20,
    show_default=True,
    help="Rounds that count.",
)
@click.option(
    "--table",
    metavar="NAME",
    help="A paper's table of times in place of variants: fmen-1, fmen-2, fmen-4 or bsrn-7.",
)
@options.as_json
def command(
    variants: tuple[str, ...],
    scale: int | None,
    lr_size: tuple[int, int] | None,
    backends: tuple[str, ...],
    dtype: Any,
    threads: int | None,
    warmup: int,
    runs: int,
    table: str | None,
    as_json: bool,
) -> None:
    """Time networks side by side, and measure the memory of each.

    FORM is training or deploy, deploy if not given. Every contender runs in a process of its
    own, once a round, so that what slows the machine slows all of them.
    """
    from leansr.lab.measure import speed, times
    from leansr.lab.measure.contender import contenders
    from leansr.runtime.upscaler import available_cores

    if bool(variants) == bool(table):
        raise UsageError("give variants to time, or a --table, one of the two")
    rounds: Any = {"warmup": warmup, "runs": runs, "report": partial(click.echo, err=True)}
    threads = threads or available_cores()
    value: dict[str, Any]
    names: Any = [name for given in backends for name in given.split(",")]
    if table:
        if len(names) > 1:
            raise UsageError(f"{table}: is timed on one --backend, not on {', '.join(names)}")
        if scale not in (None, times.SCALE):
            raise UsageError(f"{table}: is of x{times.SCALE}; leave out --scale")
        backend: Any = names[0] if names else "torch"
        lr = times.LR if lr_size is None else lr_size[::-1]
        timed = times.timed(table, threads, lr=lr, backend=backend, dtype=dtype, **rounds)
        value = timed.as_json()
    else:
        names = names or ["onnxruntime"]
        listed = contenders(variants, 2 if scale is None else scale, names, dtype)
        lr = (lr_size or _DEFAULT_LR)[::-1]
        value = speed.bench(listed, lr, threads, **rounds).as_json()
    if as_json:
        options.print_json(value)
    else:
        _print(value)


def _print(value: dict[str, Any]) -> None:
    from leansr.lab.measure.speed_text import cells, machine_line

    click.echo(machine_line(value))
    rows = cells(value)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        names = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        figures = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        click.echo("  ".join(names + figures))
