"""`leansr plot`"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from leansr.cli import options
from leansr.errors import UsageError

if TYPE_CHECKING:
    from leansr.lab.plot.pictures import Patch
    from leansr.runtime.evaluate import Upscale


class Method(click.ParamType[tuple[str, Path | None]]):
    """A variant, or a variant and its weights."""

    name = "VARIANT[=FILE]"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Path | None]:
        variant, equals, file = value.partition("=")
        if equals and not file:
            self.fail(f"{value!r} names no file after =", param, ctx)
        return variant, Path(file) if file else None


class Rectangle(click.ParamType["Patch"]):
    """Left, top, width and height in pixels."""

    name = "X,Y,W,H"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> "Patch":
        from leansr.lab.plot.pictures import Patch

        numbers = value.split(",")
        if len(numbers) != 4 or not all(n.isdecimal() and len(n) < 7 for n in numbers):
            self.fail(f"{value!r} is not left,top,width,height in pixels", param, ctx)
        return Patch(*map(int, numbers))


scale = click.option("--scale", type=int, default=4, show_default=True, help="Scale factor.")
weights = click.option(
    "--weights",
    type=options.ANY_PATH,
    metavar="FILE.safetensors",
    help="Of `leansr train` or `leansr import`; the released ones if not given.",
)
hr = click.option(
    "--picture", type=options.ANY_PATH, required=True, metavar="FILE", help="HR; LR is made of it."
)
part = click.option("--patch", type=Rectangle(), help="Only this part of the picture.")
times = click.option(
    "--times", type=options.ANY_PATH, metavar="FILE.json", help="Of `leansr bench --json`."
)
output = click.option(
    "-o",
    "--output",
    "outputs",
    type=options.ANY_PATH,
    required=True,
    multiple=True,
    metavar="FILE",
    help="A .png or .svg; may be repeated.",
)


@click.group()
def command() -> None:
    """Draw figures as the papers have them."""


@command.command()
@scale
@click.option(
    "--benchmark",
    type=click.Choice(["Set5", "Set14", "B100", "Urban100", "Manga109"]),
    default="Set5",
    show_default=True,
    help="Whose PSNR.",
)
@click.option(
    "--cost",
    type=click.Choice(["multi_adds", "params", "measured_ms"]),
    default="multi_adds",
    show_default=True,
    help="What it costs; measured_ms needs --times.",
)
@times
@output
def front(
    scale: int, benchmark: str, cost: Any, times: Path | None, outputs: tuple[Path, ...]
) -> None:
    """Draw PSNR against cost, of the papers' networks and ours."""
    from leansr.lab.plot.front import draw_front
    from leansr.lab.plot.points import printed_points, released_points, timed_points
    from leansr.lab.plot.times import read_times

    _check(outputs, times)
    if (cost == "measured_ms") != (times is not None):
        raise UsageError("--cost measured_ms and --times go together")
    measured = read_times(times, scale) if times else None
    if measured is None:
        points = printed_points(scale, benchmark, cost)
        points += released_points(scale, benchmark, cost)
    else:
        points = timed_points(scale, benchmark, measured.ms)
        points += released_points(scale, benchmark, cost, measured.ms)
    _write(draw_front(points, benchmark, scale, cost, measured), outputs)


@command.command()
@click.argument("variants", nargs=-1, metavar="[VARIANT]...")
@scale
@times
@output
@options.as_json
def bubble(
    variants: tuple[str, ...],
    scale: int,
    times: Path | None,
    outputs: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Draw time, memory and parameters of networks.

    As FMEN's Figure 1; Multi-Adds in place of a time without --times.
    """
    from dataclasses import asdict

    from leansr.lab.plot.bubble import DEFAULT, bubbles, draw_bubbles
    from leansr.lab.plot.times import read_times

    _check(outputs, times)
    measured = read_times(times, scale) if times else None
    found = bubbles(variants or DEFAULT, scale, measured)
    _write(draw_bubbles(found, scale, measured), outputs, as_json)
    if as_json:
        options.print_json({"schema": 1, "scale": scale, "rows": [asdict(b) for b in found]})


@command.command()
@click.argument("methods", nargs=-1, required=True, type=Method(), metavar="METHOD...")
@scale
@hr
@click.option("--patch", type=Rectangle(), required=True, help="Of the HR, in pixels.")
@options.threads
@output
@options.as_json
def sheet(
    methods: tuple[tuple[str, Path | None], ...],
    scale: int,
    picture: Path,
    patch: "Patch",
    threads: int | None,
    outputs: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Draw a patch by bicubic and by each METHOD.

    With PSNR and SSIM of the patch. METHOD is a released variant, or one with its weights:
    VARIANT=FILE.onnx or .safetensors.
    """
    from dataclasses import asdict

    from leansr.lab.plot.methods import named
    from leansr.lab.plot.pictures import read_rgb
    from leansr.lab.plot.sheet import draw_sheet, panels

    _check(outputs, picture, *(file for _, file in methods))
    original = read_rgb(picture)
    # Asked before the networks run, which takes longer.
    patch.of(original)
    upscalers = {
        told: _upscaler(name, file, scale, threads) for told, (name, file) in named(methods).items()
    }
    whole, found = panels(original, patch, upscalers, scale)
    _write(draw_sheet(whole, patch, found, scale), outputs, as_json)
    if as_json:
        rows = [{"method": p.name, "psnr_y": p.psnr, "ssim_y": p.ssim} for p in found]
        options.print_json({"schema": 1, "scale": scale, "patch": asdict(patch), "rows": rows})
        return
    for panel in found:
        click.echo(f"{panel.psnr:8.2f} dB  {panel.ssim:.4f}  {panel.name}")


@command.command()
@click.argument("variant")
@scale
@weights
@hr
@part
@click.option("--block", metavar="CLASS", help="Blocks of this class; those that attend if not.")
@output
@options.as_json
def spectrum(
    variant: str,
    scale: int,
    weights: Path | None,
    picture: Path,
    patch: "Patch | None",
    block: str | None,
    outputs: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Draw power by frequency before and after blocks.

    As FMEN's Figures 6 and 8. Prints the share of high frequencies.
    """
    from dataclasses import asdict

    from leansr import zoo
    from leansr.lab.measure.spectrum import spectra
    from leansr.lab.plot.inputs import as_input, network_of
    from leansr.lab.plot.pictures import hr_and_lr, read_rgb
    from leansr.lab.plot.spectrum import draw_spectra, shares

    _check(outputs, picture, weights)
    row = zoo.find(variant, scale)
    network = network_of(variant, scale, weights)
    _, lr = hr_and_lr(read_rgb(picture, patch), scale)
    found = spectra(network, as_input(lr, row), block)
    title = f"{variant} x{scale} on {picture.name}"
    _write(draw_spectra(found, title), outputs, as_json)
    blocks = shares(found)
    if as_json:
        rows = [asdict(block) for block in blocks]
        options.print_json({"schema": 1, "variant": variant, "scale": scale, "rows": rows})
        return
    click.echo("share of power above half of Nyquist's frequency, input to output")
    click.echo("    of all          without 0       block")
    for s in blocks:
        click.echo(
            f"{s.high_before:8.3%}{s.high_after:8.3%}"
            f"{s.high_of_detail_before:8.2%}{s.high_of_detail_after:8.2%}  {s.block}"
        )


@command.command()
@click.argument("variant")
@scale
@weights
@click.option(
    "--beside",
    "others",
    type=Method(),
    multiple=True,
    help="Another network in a row of its own; may be repeated.",
)
@hr
@part
@click.option("--block", type=click.IntRange(min=1), help="Which gate; the last if not given.")
@output
def attention(
    variant: str,
    scale: int,
    weights: Path | None,
    others: tuple[tuple[str, Path | None], ...],
    picture: Path,
    patch: "Patch | None",
    block: int | None,
    outputs: tuple[Path, ...],
) -> None:
    """Draw the branches of ESA or MDSA one by one.

    As MDRN's Figures 2 and 7.
    """
    from leansr.lab.plot.attention import chosen_gates, draw_attention
    from leansr.lab.plot.methods import named
    from leansr.lab.plot.pictures import hr_and_lr, read_rgb

    _check(outputs, picture, weights, *(file for _, file in others))
    _, lr = hr_and_lr(read_rgb(picture, patch), scale)
    gates = chosen_gates(named(((variant, weights), *others)), lr, scale, block)
    _write(draw_attention(gates, lr), outputs)


@command.command()
@click.option(
    "--picture", type=options.ANY_PATH, required=True, metavar="FILE", help="Seen as it is."
)
@part
@output
def dispersion(picture: Path, patch: "Patch | None", outputs: tuple[Path, ...]) -> None:
    """Draw a picture through MDSA's poolings.

    As MDRN's Figure 3.
    """
    from leansr.lab.plot.attention import draw_dispersion
    from leansr.lab.plot.pictures import read_rgb

    _check(outputs, picture)
    _write(draw_dispersion(read_rgb(picture, patch)), outputs)


@command.command()
@click.argument("runs", nargs=-1, required=True, type=options.ANY_PATH, metavar="RUN...")
@click.option(
    "--by",
    type=click.Choice(["step", "minutes"]),
    default="step",
    show_default=True,
    help="What they are drawn against.",
)
@output
def curves(runs: tuple[Path, ...], by: Any, outputs: tuple[Path, ...]) -> None:
    """Draw validation PSNR and loss of runs."""
    from leansr.lab.plot.curves import draw_curves, read_run

    _check(outputs, *(run / "log.csv" for run in runs))
    names = [run.resolve().name for run in runs]
    told = names if len(set(names)) == len(names) else [str(run) for run in runs]
    _write(draw_curves(dict(zip(told, map(read_run, runs), strict=True)), by), outputs)


def _upscaler(name: str, file: Path | None, scale: int, threads: int | None) -> "Upscale":
    if file is not None and file.suffix == ".safetensors":
        from leansr.lab.export.release import upscaler_of

        return upscaler_of(file, name, scale, threads)
    from leansr.runtime.upscaler import Upscaler

    return Upscaler(name, scale, backend="onnxruntime", weights=file, threads=threads)


def _check(outputs: tuple[Path, ...], *inputs: Path | None) -> None:
    """Whether the outputs can be written, and none of them over an input; UsageError if not."""
    from leansr.lab.plot.style import check_target

    read = {os.path.realpath(path) for path in inputs if path is not None}
    for path in outputs:
        if os.path.realpath(path) in read:
            raise UsageError(f"{path}: is what the figure is made of; give another -o")
        check_target(path)


def _write(figure: Any, outputs: tuple[Path, ...], is_quiet: bool = False) -> None:
    """Writes the figure, and prints where unless stdout is for the report."""
    from leansr.lab.plot.style import write

    for path in outputs:
        write(figure, path)
        click.echo(path, err=is_quiet)
