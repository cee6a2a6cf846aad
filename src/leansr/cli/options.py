"""Options that several commands share, so that a name means the same everywhere."""

import json
import math
from pathlib import Path
from typing import Any

import click

EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EXISTING_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
ANY_PATH = click.Path(path_type=Path)

scale = click.option("--scale", type=int, default=2, show_default=True, help="Scale factor.")
threads = click.option(
    "--threads", type=click.IntRange(1, 1024), help="CPU threads; all if not given."
)


class Folder(click.Path):
    """A path that is not empty: of "", pathlib makes the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("an empty name is no folder", param, ctx)
        return super().convert(value, param, ctx)


data_root = click.option(
    "--data-root",
    type=Folder(path_type=Path),
    metavar="DIR",
    help="Where the benchmarks lie; LEANSR_DATA or the config file's data_root if not given.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


class Amount(click.FloatRange):
    """A number above zero that is one: click takes nan, and infinity, for numbers in any range."""

    def __init__(self) -> None:
        super().__init__(0, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no amount", param, ctx)
        return number


class Tile(click.ParamType[Any]):
    """`auto`, `off`, or the side of a tile in LR pixels."""

    name = "auto|N|off"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value in ("auto", "off") or isinstance(value, int):
            return value
        if not value.isdecimal() or len(value) > 9 or int(value) < 1:
            self.fail(f"{value!r} is neither auto, off nor a number of pixels", param, ctx)
        return int(value)


class Size(click.ParamType[Any]):
    """Width x height in pixels."""

    name = "WxH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        sides = str(value).split("x")
        if len(sides) != 2 or not all(s.isdecimal() and 0 < int(s) < 100_000 for s in sides):
            self.fail(f"{value!r} is not width x height, like 1280x720", param, ctx)
        return int(sides[0]), int(sides[1])


class Benchmark(click.ParamType[tuple[str, Path]]):
    """NAME=DIR."""

    name = "NAME=DIR"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Path]:
        name, equals, folder = value.partition("=")
        if not (name and equals and Path(folder).is_dir()):
            self.fail(f"{value!r} is not NAME=DIR with a folder that exists", param, ctx)
        return name, Path(folder)


benchmarks = click.option(
    "--benchmark",
    "benchmarks",
    type=Benchmark(),
    multiple=True,
    help="Measure the written file on DIR and state it in the card; may be repeated.",
)


def printable(text: object) -> str:
    """One line, whatever the names in it hold."""
    return "".join(c if c.isprintable() else "?" for c in str(text))


def print_error(error: object) -> None:
    """One line on stderr."""
    click.echo(f"leansr: {printable(error)}", err=True)


def print_json(value: dict[str, Any]) -> None:
    """One object on stdout, nothing else there; a figure that is not finite is null."""
    click.echo(json.dumps(_finite(value), indent=2, allow_nan=False))


def json_line(value: dict[str, Any]) -> str:
    """One object as one line; a figure that is not finite is null."""
    return json.dumps(_finite(value), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
