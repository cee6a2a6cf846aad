"""`leansr export`"""

from pathlib import Path

import click

from leansr.cli import options


@click.command()
@click.argument("weights", type=options.ANY_PATH)
@click.option("--model", required=True, help="The variant that the weights are of.")
@options.scale
@click.option("-o", "--output", type=options.ANY_PATH, required=True, metavar="FILE.onnx")
@options.benchmarks
@click.option("--licence", default="not stated", show_default=True, help="Of these weights.")
@options.as_json
def command(
    weights: Path,
    model: str,
    scale: int,
    output: Path,
    benchmarks: tuple[tuple[str, Path], ...],
    licence: str,
    as_json: bool,
) -> None:
    """Make a release of trained weights.

    Writes FILE.onnx, the tensors FILE.safetensors and the card FILE.json, after ONNX Runtime has
    been found equal to torch.
    """
    from leansr.lab.export.release import export
    from leansr.lab.train.runs import unfinished

    card = export(weights, model, scale, output, dict(benchmarks), licence)
    if told := unfinished(weights):
        options.print_error(told)
    if as_json:
        options.print_json(card)
        return
    click.echo(
        f"{output}: {card['params']} parameters, {card['multi_adds'] / 1e9:.2f} G Multi-Adds"
    )
    for row in card["quality"]:
        click.echo(f"{row['benchmark']}: {row['psnr_y']:.3f} dB, {row['ssim_y']:.4f} (luma)")
