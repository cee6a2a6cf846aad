"""`leansr evaluate`"""

from pathlib import Path

import click

from leansr.cli import options
from leansr.runtime.evaluate import evaluate
from leansr.runtime.upscaler import Upscaler


@click.command()
@click.argument("variant")
@options.scale
@click.option("--data", type=options.EXISTING_FOLDER, required=True, help="Has HR/, perhaps LR/.")
@click.option(
    "--weights",
    type=options.ANY_PATH,
    metavar="FILE",
    help="An .onnx of `leansr export`, or .safetensors of `leansr train` or `leansr import`.",
)
@options.threads
@options.as_json
def command(
    variant: str,
    scale: int,
    data: Path,
    weights: Path | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Measure PSNR and SSIM on a folder of pictures."""
    if weights is not None and weights.suffix == ".safetensors":
        from leansr.lab.export.release import upscaler_of

        upscaler = upscaler_of(weights, variant, scale, threads)
    else:
        upscaler = Upscaler(variant, scale, weights=weights, threads=threads)
    result = evaluate(upscaler, scale, data)
    if as_json:
        options.print_json({"variant": variant, "scale": scale, **result.as_json()})
        return
    click.echo(f"{variant} x{scale} on {data}")
    click.echo(f"luma  {result.psnr_y:.3f} dB  {result.ssim_y:.4f}")
    click.echo(f"RGB   {result.psnr_rgb:.3f} dB  {result.ssim_rgb:.4f}")
    click.echo(f"protocol: {result.protocol}")
