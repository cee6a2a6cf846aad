"""`leansr export`"""

from contextlib import suppress
from pathlib import Path

import click

from leansr.cli import litert, options
from leansr.errors import WeightsError


@click.command()
@click.argument("weights", type=options.ANY_PATH)
@click.option("--model", required=True, help="The variant that the weights are of.")
@options.scale
@click.option("-o", "--output", type=options.ANY_PATH, required=True, metavar="FILE")
@litert.lr_size
@options.benchmarks
@click.option("--licence", default="not stated", show_default=True, help="Of these weights.")
@options.as_json
def command(
    weights: Path,
    model: str,
    scale: int,
    output: Path,
    lr_size: tuple[int, int] | None,
    benchmarks: tuple[tuple[str, Path], ...],
    licence: str,
    as_json: bool,
) -> None:
    """Make a release of trained weights.

    Writes FILE.onnx, the tensors FILE.safetensors and the card FILE.json, after ONNX Runtime has
    been found equal to torch; or, of a network of eight bits, FILE.tflite alone, for LiteRT.
    """
    is_litert = litert.is_asked_for(output, lr_size, benchmarks)
    from leansr.lab.export import litert as lab_litert
    from leansr.lab.export.release import export
    from leansr.lab.train.runs import unfinished

    told = None
    if is_litert:
        size = litert.size(lr_size)
        card = lab_litert.export(weights, model, scale, output, size, licence)
        # A release's tensors are of no run.
        with suppress(WeightsError):
            told = unfinished(weights)
    else:
        card = export(weights, model, scale, output, dict(benchmarks), licence)
        told = unfinished(weights)
    if told:
        options.print_error(told)
    if as_json:
        options.print_json(card)
        return
    if is_litert:
        litert.tell(output, card)
        return
    click.echo(
        f"{output}: {card['params']} parameters, {card['multi_adds'] / 1e9:.2f} G Multi-Adds"
    )
    for row in card["quality"]:
        click.echo(f"{row['benchmark']}: {row['psnr_y']:.3f} dB, {row['ssim_y']:.4f} (luma)")
