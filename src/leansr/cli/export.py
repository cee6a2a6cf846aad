"""`leansr export`"""

from pathlib import Path

import click

from leansr.cli import options


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


@click.command()
@click.argument("weights", type=options.ANY_PATH)
@click.option("--model", required=True, help="The variant that the weights are of.")
@options.scale
@click.option("-o", "--output", type=options.ANY_PATH, required=True, metavar="FILE.onnx")
@click.option(
    "--benchmark",
    "benchmarks",
    type=Benchmark(),
    multiple=True,
    help="Measure the written file on DIR and state it in the card; may be repeated.",
)
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

    card = export(weights, model, scale, output, dict(benchmarks), licence)
    if as_json:
        options.print_json(card)
        return
    click.echo(
        f"{output}: {card['params']} parameters, {card['multi_adds'] / 1e9:.2f} G Multi-Adds"
    )
    for row in card["quality"]:
        click.echo(f"{row['benchmark']}: {row['psnr_y']:.3f} dB, {row['ssim_y']:.4f} (luma)")
