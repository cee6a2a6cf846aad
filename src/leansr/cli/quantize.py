"""`leansr quantize`"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from leansr.cli import options
from leansr.errors import UsageError

if TYPE_CHECKING:
    from leansr.lab.quantize.sensitivity import Sensitivity


@click.command()
@click.argument("source", metavar="WEIGHTS|VARIANT")
@options.scale
@click.option(
    "--scheme",
    type=click.Choice(["study", "sesr"]),
    help="The efficiency study's or SESR's; that of the variant's row if not given.",
)
@click.option(
    "--method",
    type=click.Choice(["ptq", "qat"]),
    default="ptq",
    show_default=True,
    help="After training; `leansr train` does it while training.",
)
@click.option(
    "--data",
    type=options.Folder(path_type=Path),
    metavar="DIR|PACK",
    help="Pictures that the ranges are taken from.",
)
@click.option(
    "--calibration",
    type=click.Choice(["minmax", "percentile", "mse"]),
    default="mse",
    show_default=True,
    help="How: all values, nearly all, or where the error is least.",
)
@click.option("--keep", multiple=True, metavar="LAYER", help="Leave in floats; may be repeated.")
@click.option("--sensitivity", is_flag=True, help="List what each layer costs.")
@click.option("-o", "--output", type=options.ANY_PATH, metavar="FILE.onnx", help="What is written.")
@options.benchmarks
@click.option("--licence", default="not stated", show_default=True, help="Of these weights.")
@options.as_json
def command(
    source: str,
    scale: int,
    scheme: Any,
    method: str,
    data: Path | None,
    calibration: Any,
    keep: tuple[str, ...],
    sensitivity: bool,
    output: Path | None,
    benchmarks: tuple[tuple[str, Path], ...],
    licence: str,
    as_json: bool,
) -> None:
    """Make a network of eight bits, which runs in integers.

    Writes FILE.onnx, its tensors FILE.safetensors and its card FILE.json, as `leansr export` does.
    """
    if method == "qat":
        raise UsageError(
            "--method: qat is `leansr train` of a recipe whose variant ends in -int8 and which "
            "starts from the float weights"
        )
    if data is None:
        raise UsageError("--data: ranges are taken from pictures; give a folder of them")
    if output is None and not sensitivity:
        raise UsageError("-o: say where to write to, or ask for --sensitivity")
    if output is not None and output.suffix != ".onnx":
        raise UsageError(f"{output}: a release is written as FILE.onnx")
    from leansr.lab.quantize import post_training
    from leansr.lab.quantize.sensitivity import sensitivity as measured

    found = post_training.source_of(source, scale)
    crops = post_training.crops_of(data, found.variant, scale)
    network, row = post_training.calibrated(found, scheme, keep, crops, calibration)
    told: dict[str, Any] = {"schema": 1, "variant": row.name, "scale": scale}
    if sensitivity:
        costs = measured(network, crops, lambda line: click.echo(line, err=True))
        told["sensitivity"] = asdict(costs)
        if not as_json:
            _print_costs(costs)
    if output is not None:
        card = post_training.release(
            found, network, row, calibration, data, output, dict(benchmarks), licence
        )
        told["card"] = card
        if not as_json:
            _print_card(output, card)
    if as_json:
        options.print_json(told)


def _print_costs(costs: "Sensitivity") -> None:
    click.echo(f"in floats {costs.in_floats:.3f} dB, in eight bits {costs.in_eight_bits:.3f} dB")
    click.echo("lost with one layer alone in eight bits, dB:")
    for layer, cost in costs.costs.items():
        click.echo(f"{cost:9.4f}  {layer}")


def _print_card(output: Path, card: dict[str, Any]) -> None:
    size = output.stat().st_size / 1024
    click.echo(f"{output}: {size:.1f} KiB, {card['quantized']['scheme']}'s scheme")
    for row in card["quality"]:
        click.echo(f"{row['benchmark']}: {row['psnr_y']:.3f} dB, {row['ssim_y']:.4f} (luma)")
