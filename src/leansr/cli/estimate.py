"""`leansr estimate`"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from leansr import zoo
from leansr.cli import options
from leansr.errors import UsageError
from leansr.runtime.upscaler import available_cores

if TYPE_CHECKING:
    from leansr.lab.measure.forecast import Forecast
    from leansr.lab.measure.hardware import Hardware
    from leansr.lab.measure.roofline import Estimate
    from leansr.lab.measure.vela import Compiled

# Of each column its head and width, the gap before it included.
_TOTALS = {
    "Multi-Adds, G": 15,
    "DRAM, MB": 11,
    "compute, ms": 13,
    "DRAM, ms": 10,
    "ms": 10,
    "fps": 10,
    "bound": 9,
}
_LAYERS = {"compute, ms": 13, "DRAM, ms": 10, "DRAM, MB": 10}


@click.command()
@click.argument("variants", nargs=-1, required=True, metavar="VARIANT...")
@options.scale
@click.option(
    "--lr-size",
    type=options.Size(),
    default="1920x1080",
    show_default=True,
    help="Of the picture that goes in.",
)
@click.option(
    "--hardware",
    type=click.Choice(["ethos-n78", "cpu"]),
    default="ethos-n78",
    show_default=True,
    help="Arm's NPU of SESR's Table 3, or this CPU, whose peaks are measured first.",
)
@click.option("--tile", type=options.Size(), help="Run the picture in tiles of this size.")
@click.option("--halo", is_flag=True, help="Whole tiles, wide enough for an exact result.")
@click.option(
    "--layers", is_flag=True, help="List every pass, and where the hardware's numbers are from."
)
@click.option("--measure", is_flag=True, help="Time the networks too, in ONNX Runtime.")
@options.threads
@click.option("--vela", metavar="NPU", help="Ask Arm's compiler too, of an NPU: ethos-u65-512.")
@click.option(
    "--weights",
    type=options.ANY_PATH,
    help="Of eight bits, FILE.safetensors, for Vela; the released ones if not given.",
)
@options.as_json
def command(
    variants: tuple[str, ...],
    scale: int,
    lr_size: tuple[int, int],
    hardware: str,
    tile: tuple[int, int] | None,
    halo: bool,
    layers: bool,
    measure: bool,
    threads: int | None,
    vela: str | None,
    weights: Path | None,
    as_json: bool,
) -> None:
    """Estimate how long networks take on given hardware, by what they compute and move."""
    rows = [zoo.find(name, scale) for name in variants]
    if halo and tile is None:
        raise UsageError("--halo is of tiles; say how large they are with --tile")
    if hardware != "cpu" and (measure or threads is not None):
        raise UsageError("--measure and --threads are of this CPU; use --hardware cpu")
    if tile is not None and (measure or vela is not None):
        raise UsageError("--measure and --vela run the whole picture; leave out --tile")
    if weights is not None and (vela is None or len(rows) > 1):
        raise UsageError("--weights: are what Vela is given of one network; give --vela NPU and it")
    from leansr.lab.measure.forecast import forecast, hardware_of
    from leansr.lab.measure.roofline import cut_tile

    threads = threads or available_cores()
    chosen = hardware_of(hardware, threads)
    size = lr_size[1], lr_size[0]
    side = None if tile is None else cut_tile((tile[1], tile[0]), size)
    measured_on = threads if measure else None
    found = [
        forecast(row, scale, size, chosen, side, halo, measured_on, vela, weights) for row in rows
    ]
    if as_json:
        options.print_json(
            {
                "schema": 1,
                "scale": scale,
                "lr_size": list(size),
                "tile": None if side is None else list(side),
                "hardware": chosen.as_json(),
                "estimates": [one.as_json() for one in found],
            }
        )
        return
    _print_hardware(chosen, layers)
    click.echo(f"\nx{scale}, {lr_size[0]} x {lr_size[1]} in")
    names = max(21, *(len(one.variant) for one in found))
    head, *lines = _aligned(_TOTALS, [_figures(one.estimate) for one in found])
    click.echo(" " * names + head)
    for one, line in zip(found, lines, strict=True):
        click.echo(f"{one.variant:{names}}{line}")
        _print_more(one, side)
    if layers:
        for one in found:
            _print_layers(one)


def _print_hardware(hardware: "Hardware", with_sources: bool) -> None:
    click.echo(
        f"{hardware.name}: {hardware.macs_per_s / 1e9:.0f} GMAC/s, "
        f"{hardware.dram_bytes_per_s / 1e9:.1f} GB/s, {hardware.buffer_bytes / 2**20:g} MiB on "
        f"chip, {8 * hardware.bytes_per_value} bits a value"
    )
    for name, source in hardware.sources if with_sources else ():
        click.echo(f"  {name}: {source}")


def _print_more(one: "Forecast", tile: tuple[int, int] | None) -> None:
    if tile is not None:
        around = f"a halo of {one.halo}" if one.halo is not None else "no halo"
        tiles = "1 tile" if one.estimate.tiles == 1 else f"{one.estimate.tiles:g} tiles"
        click.echo(f"  in {tiles} of {tile[1]} x {tile[0]}, {around}")
    if one.measured_ms is not None:
        times = one.measured_ms / one.estimate.runtime_ms
        click.echo(f"  measured: {one.measured_ms:.2f} ms, {times:.1f} times the estimate")
    if one.compiled is not None:
        _print_compiled(one.compiled)


def _figures(estimate: "Estimate") -> list[str]:
    """What stands below `_TOTALS`."""
    figures = (
        estimate.multi_adds / 1e9,
        estimate.dram_bytes / 1e6,
        estimate.compute_ms,
        estimate.dram_ms,
        estimate.runtime_ms,
        estimate.fps,
    )
    return [*(f"{figure:.2f}" for figure in figures), estimate.bound]


def _aligned(heads: Mapping[str, int], rows: Sequence[Sequence[str]]) -> list[str]:
    """Heads and rows as lines; a column is wider than asked where two spaces would not be left."""
    widths = [
        max(width, *(2 + len(cell) for cell in column))
        for width, column in zip(heads.values(), zip(heads, *rows, strict=True), strict=True)
    ]
    return [
        "".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in (list(heads), *rows)
    ]


def _print_compiled(compiled: "Compiled") -> None:
    click.echo(
        f"  Vela, {compiled.npu} ({compiled.system}, {compiled.memory}): "
        f"{compiled.cycles / 1e6:.2f} M cycles, {compiled.inferences_per_s:.2f} fps, "
        f"{compiled.macs / 1e9:.2f} GMAC, SRAM {compiled.sram_bytes / 1e6:.2f} MB, "
        f"DRAM {compiled.dram_bytes / 1e6:.2f} MB"
    )
    if compiled.weight_bytes is not None and compiled.packed_bytes is not None:
        click.echo(
            f"  weights: {compiled.weight_bytes} bytes, {compiled.packed_bytes} with biases and "
            f"scales as Vela packs them"
        )
    for kind, module in compiled.on_cpu:
        click.echo(f"  not on that NPU, and not in its time: {kind} ({module})")


def _print_layers(one: "Forecast") -> None:
    figures = [
        [f"{layer.compute_ms:.3f}", f"{layer.dram_ms:.3f}", f"{layer.dram_bytes / 1e6:.2f}"]
        for layer in one.estimate.layers
    ]
    head, *lines = _aligned(_LAYERS, figures)
    click.echo(f"\n{one.variant}\n{head}  pass")
    for layer, line in zip(one.estimate.layers, lines, strict=True):
        operation = layer.operation.removeprefix("aten.")
        click.echo(f"{line}  {layer.module or 'the network itself'} ({operation})")
