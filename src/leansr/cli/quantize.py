"""`leansr quantize`"""

import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click

from leansr.cli import litert, options
from leansr.errors import UsageError


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
    help="After training, or by training on.",
)
@click.option(
    "--data",
    type=options.Folder(path_type=Path),
    metavar="DIR|PACK",
    help="Pictures that ranges are taken from, or that are trained on.",
)
@click.option(
    "--calibration",
    type=click.Choice(["minmax", "percentile", "mse"]),
    help="How ptq does it: all values, nearly all, or where the error is least; mse if not given.",
)
@click.option("--run", "folder", type=options.ANY_PATH, help="The folder of qat's run.")
@click.option("--validation", type=options.ANY_PATH, help="Folder or pack that qat chooses by.")
@click.option("--epochs", type=options.Amount(), help="Of qat, 1000 steps each; 5 if not given.")
@click.option("--rate", type=options.Amount(), help="Of qat; 5e-5 if not given.")
@click.option("--keep", multiple=True, metavar="LAYER", help="Leave in floats; may be repeated.")
@click.option("--sensitivity", is_flag=True, help="List what each layer costs.")
@click.option(
    "-o", "--output", type=options.ANY_PATH, metavar="FILE", help="What is written: .onnx, .tflite."
)
@litert.lr_size
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
    folder: Path | None,
    validation: Path | None,
    epochs: float | None,
    rate: float | None,
    keep: tuple[str, ...],
    sensitivity: bool,
    output: Path | None,
    lr_size: tuple[int, int] | None,
    benchmarks: tuple[tuple[str, Path], ...],
    licence: str,
    as_json: bool,
) -> None:
    """Make a network of eight bits, which runs in integers.

    Writes FILE.onnx, its tensors FILE.safetensors and its card FILE.json, as `leansr export` does;
    or FILE.tflite alone, for LiteRT.
    """
    of_ptq = {"--calibration": calibration, "--sensitivity": sensitivity}
    of_qat = {"--run": folder, "--validation": validation, "--epochs": epochs, "--rate": rate}
    for name, value in (of_ptq if method == "qat" else of_qat).items():
        if value:
            raise UsageError(f"{name}: is of the other --method, not of {method}")
    if data is None:
        raise UsageError("--data: ranges are taken from pictures; give a folder of them")
    if output is None and not sensitivity:
        raise UsageError("-o: say where to write to, or ask for --sensitivity")
    if benchmarks and output is None:
        raise UsageError("--benchmark: measures the file that is written; say where to with -o")
    if lr_size is not None and output is None:
        raise UsageError("--lr-size: is of the file that is written; say where to with -o")
    if output is not None and output.suffix not in (".onnx", ".tflite"):
        raise UsageError(f"{output}: a release is written as FILE.onnx, LiteRT's as FILE.tflite")
    is_litert = output is not None and litert.is_asked_for(output, lr_size, benchmarks)
    if method == "qat" and folder is None:
        raise UsageError("--run: the folder of the run is missing, which it can go on from")
    from leansr.lab.export import litert as lab_litert
    from leansr.lab.export.release import export
    from leansr.lab.quantize import post_training, training
    from leansr.lab.quantize.sensitivity import sensitivity as measured

    found = post_training.source_of(source, scale)
    row = post_training.eight_bit_row(found.variant, scheme, keep)
    told: dict[str, Any] = {"schema": 1, "variant": row.name, "scale": scale}
    size = litert.size(lr_size)
    if output is not None and folder is not None:
        recipe = training.recipe(found, row, epochs or training.EPOCHS, rate or training.RATE)
        tell = partial(click.echo, err=True)
        weights, number = training.trained(recipe, folder, data, validation, tell)
        if number:
            sys.exit(128 + number)
        if is_litert:
            told["litert"] = lab_litert.export(weights, row.name, scale, output, size, licence)
        else:
            told["card"] = export(weights, row.name, scale, output, dict(benchmarks), licence)
    else:
        crops = post_training.crops_of(data, found.variant, scale)
        how: Any = calibration or "mse"
        network = post_training.calibrated(found, row, crops, how)
        if sensitivity:
            costs = measured(network, crops, lambda line: click.echo(line, err=True))
            told["sensitivity"] = asdict(costs)
        if output is not None and is_litert:
            deployed = network.deploy()
            told["litert"] = lab_litert.write(deployed, row, scale, size, output, licence)
        elif output is not None:
            told["card"] = post_training.release(
                found, network, row, how, data, output, dict(benchmarks), licence
            )
    if as_json:
        options.print_json(told)
        return
    if "sensitivity" in told:
        _print_costs(told["sensitivity"])
    if output is not None and is_litert:
        litert.tell(output, told["litert"])
    elif output is not None:
        _print_card(output, told["card"])


def _print_costs(costs: dict[str, Any]) -> None:
    whole, eight = costs["in_floats"], costs["in_eight_bits"]
    click.echo(f"in floats {whole:.3f} dB, in eight bits {eight:.3f} dB")
    click.echo("lost with one layer alone in eight bits, dB:")
    for layer, cost in costs["costs"].items():
        click.echo(f"{cost:9.4f}  {layer}")


def _print_card(output: Path, card: dict[str, Any]) -> None:
    size = output.stat().st_size / 1024
    click.echo(f"{output}: {size:.1f} KiB, {card['quantized']['scheme']}'s scheme")
    floats = card["quantized"]["floats"] or {"quality": []}
    drops = {row["benchmark"]: row["drop"] for row in floats["quality"]}
    for row in card["quality"]:
        drop = drops.get(row["benchmark"])
        lost = "" if drop is None else f", {drop:.3f} dB below {floats['release']}"
        click.echo(f"{row['benchmark']}: {row['psnr_y']:.3f} dB, {row['ssim_y']:.4f} (luma){lost}")
