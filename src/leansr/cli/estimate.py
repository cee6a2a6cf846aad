"""`leansr estimate`"""

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

_HEADER = (
    f"{'':22}{'Multi-Adds, G':>14}{'DRAM, MB':>11}{'compute, ms':>13}{'DRAM, ms':>10}"
    f"{'ms':>10}{'fps':>10}{'bound':>9}"
)


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
    from leansr.lab.measure.forecast import forecast, hardware_of

    threads = threads or available_cores()
    chosen = hardware_of(hardware, threads)
    size = lr_size[1], lr_size[0]
    side = None if tile is None else (tile[1], tile[0])
    measured_on = threads if measure else None
    found = [forecast(row, scale, size, chosen, side, halo, measured_on, vela) for row in rows]
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
    click.echo(f"\nx{scale}, {lr_size[0]} x {lr_size[1]} in\n{_HEADER}")
    for one in found:
        _print(one, tile)
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


def _print(one: "Forecast", tile: tuple[int, int] | None) -> None:
    click.echo(_line(one.variant, one.estimate))
    if tile is not None:
        around = f"a halo of {one.halo}" if one.halo is not None else "no halo"
        click.echo(f"  in {one.estimate.tiles:g} tiles of {tile[0]} x {tile[1]}, {around}")
    if one.measured_ms is not None:
        times = one.measured_ms / one.estimate.runtime_ms
        click.echo(f"  measured: {one.measured_ms:.2f} ms, {times:.1f} times the estimate")
    if one.compiled is not None:
        _print_compiled(one.compiled)


def _line(name: str, estimate: "Estimate") -> str:
    return (
        f"{name:22}{estimate.multi_adds / 1e9:14.2f}{estimate.dram_bytes / 1e6:11.2f}"
        f"{estimate.compute_ms:13.2f}{estimate.dram_ms:10.2f}{estimate.runtime_ms:10.2f}"
        f"{estimate.fps:10.2f}{estimate.bound:>9}"
    )


def _print_compiled(compiled: "Compiled") -> None:
    click.echo(
        f"  Vela, {compiled.npu} ({compiled.system}, {compiled.memory}): "
        f"{compiled.cycles / 1e6:.2f} M cycles, {compiled.inferences_per_s:.2f} fps, "
        f"{compiled.macs / 1e9:.2f} GMAC, SRAM {compiled.sram_bytes / 1e6:.2f} MB, "
        f"DRAM {compiled.dram_bytes / 1e6:.2f} MB"
    )
    for kind, module in compiled.on_cpu:
        click.echo(f"  not on that NPU, and not in its time: {kind} ({module})")


def _print_layers(one: "Forecast") -> None:
    click.echo(f"\n{one.variant}\n{'compute, ms':>13}{'DRAM, ms':>10}{'DRAM, MB':>10}  pass")
    for layer in one.estimate.layers:
        click.echo(
            f"{layer.compute_ms:13.3f}{layer.dram_ms:10.3f}{layer.dram_bytes / 1e6:10.2f}"
            f"  {layer.module or 'the network itself'} ({layer.operation.removeprefix('aten.')})"
        )
