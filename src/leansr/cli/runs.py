"""`leansr runs`"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from leansr.cli import options
from leansr.errors import DataError

if TYPE_CHECKING:
    from leansr.lab.train.runs import Record

# What comes first; a run that is not validated comes last.
_ORDERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "name": lambda row: row["name"],
    "best": lambda row: (row["best_psnr"] is None, -(row["best_psnr"] or 0.0), row["name"]),
    "minutes": lambda row: (-row["minutes"], row["name"]),
}


@click.command()
@click.argument("folders", nargs=-1, required=True, type=options.ANY_PATH, metavar="DIR...")
@click.option(
    "--sort",
    "order",
    type=click.Choice(list(_ORDERS)),
    default="name",
    show_default=True,
    help="By name, the best validation first, or the longest first.",
)
@click.option("--plot", type=options.ANY_PATH, metavar="FILE.png", help="Draw their curves.")
@options.as_json
def command(folders: tuple[Path, ...], order: str, plot: Path | None, as_json: bool) -> None:
    """Compare runs: where each stands, how good it is, what differs in its recipe.

    DIR is a run, or a folder of runs.
    """
    from leansr.lab.plot.style import check_target
    from leansr.lab.train.runs import differences, usual

    if plot is not None:
        check_target(plot)
    records, failures = _read(folders)
    names = _names(folders, [record.folder for record in records])
    told = differences([record.recipe for record in records]) if records else []
    rows = [
        {"name": name, **record.as_json(), "differs": differs}
        for name, record, differs in zip(names, records, told, strict=True)
    ]
    rows.sort(key=_ORDERS[order])
    for _, error in failures:
        options.print_error(error)
    if as_json:
        failed = [{"folder": str(folder), "reason": str(error)} for folder, error in failures]
        options.print_json({"schema": 1, "runs": rows, "failed": failed})
    elif rows:
        _print(rows, usual(told))
    if plot is not None:
        _draw(dict(zip(names, records, strict=True)), plot)
        click.echo(plot, err=as_json)
    sys.exit(1 if failures else 0)


def _read(folders: tuple[Path, ...]) -> tuple[list["Record"], list[tuple[Path, DataError]]]:
    """The runs, each once, and what is damaged."""
    from leansr.lab.train.runs import find_runs, read_record

    found: dict[str, Path] = {}
    failures = []
    for folder in folders:
        try:
            found |= {os.path.realpath(run): run for run in find_runs(folder)}
        except DataError as error:
            failures.append((folder, error))
    records = []
    for run in found.values():
        try:
            records.append(read_record(run))
        except DataError as error:
            failures.append((run, error))
    return records, failures


def _names(given: tuple[Path, ...], runs: list[Path]) -> list[str]:
    """Where each is below the folder that was given, or its own name; the whole path if need be."""
    names = []
    for run in runs:
        above = next((folder for folder in given if folder in run.parents), None)
        names.append(str(run.relative_to(above)) if above is not None else run.resolve().name)
    is_clear = len(set(names)) == len(names)
    return names if is_clear else [str(run) for run in runs]


def _print(rows: list[dict[str, Any]], common: dict[str, Any]) -> None:
    width = max(len("run"), *(len(options.printable(row["name"])) for row in rows))
    network_width = max(len("network"), *(len(_network(row)) for row in rows))
    click.echo(
        f"{'run':{width}}  {'network':{network_width}}  {'state':8}  {'steps':>15}  "
        f"{'minutes':>11}  steps/s     loss   val dB  differs in"
    )
    for row in rows:
        cells = [
            f"{options.printable(row['name']):{width}}",
            f"{_network(row):{network_width}}",
            f"{row['state']:8}",
            f"{_of(row['step'], row['of_steps']):>15}",
            f"{_of(round(row['minutes'], 1), row['of_minutes']):>11}",
            f"{_figure(row['steps_per_s'], '.3g'):>7}",
            f"{_figure(row['loss'], '.5f'):>7}",
            f"{_figure(row['best_psnr'], '.3f'):>7}",
            _told({k: v for k, v in row["differs"].items() if k not in common or common[k] != v}),
        ]
        click.echo("  ".join(cells).rstrip())
    if common:
        click.echo(f"most of them, where nothing else is said: {_told(common)}")


def _network(row: dict[str, Any]) -> str:
    return f"{row['variant']} x{row['scale']}"


def _of(done: float, whole: float | None) -> str:
    return f"{done:g}" if whole is None else f"{done:g}/{whole:g}"


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _told(settings: dict[str, Any]) -> str:
    return " ".join(f"{key}={_value(value)}" for key, value in settings.items())


def _value(value: Any) -> str:
    if value is None:
        return "none"
    text = f"{value:g}" if isinstance(value, float) else str(value).replace(" ", "")
    return options.printable(text)


def _draw(records: dict[str, "Record"], plot: Path) -> None:
    from leansr.lab.plot.curves import draw_curves
    from leansr.lab.plot.style import write

    runs = {name: record.rows for name, record in records.items() if record.rows}
    if not runs:
        raise DataError(f"{plot}: cannot be drawn, there are no rows in the logs")
    write(draw_curves(runs, "step"), plot)
