"""`leansr evaluate`"""

import sys
from pathlib import Path

import click
import numpy as np

from leansr.cli import engine, options
from leansr.errors import UsageError
from leansr.runtime import config
from leansr.runtime.backend import Backend, Precision
from leansr.runtime.benchmarks import KNOWN, Benchmark, find, open_folder
from leansr.runtime.evaluate import Evaluation, evaluate
from leansr.runtime.perceptual import METRICS
from leansr.runtime.protocol import PRESETS
from leansr.runtime.upscaler import Upscaler


@click.command()
@click.argument("variant")
@options.scale
@click.option(
    "--data",
    required=True,
    metavar="DIR|NAME",
    help=f"A folder, or a benchmark below the data root: {', '.join(KNOWN)}.",
)
@options.data_root
@click.option(
    "--protocol",
    type=click.Choice(list(PRESETS)),
    default="paper",
    show_default=True,
    help="What is measured (docs/evaluate.md).",
)
@click.option(
    "--metric",
    "metrics",
    type=click.Choice(list(METRICS)),
    multiple=True,
    help="Measure this as well; needs leansr[perceptual]. May be repeated.",
)
@click.option(
    "--weights",
    type=options.ANY_PATH,
    metavar="FILE",
    help="An .onnx of `leansr export`, or .safetensors of `leansr train` or `leansr import`.",
)
@engine.backend("onnxruntime")
@engine.precision
@options.threads
@options.as_json
def command(
    variant: str,
    scale: int,
    data: str,
    data_root: Path | None,
    protocol: str,
    metrics: tuple[str, ...],
    weights: Path | None,
    backend: Backend,
    precision: Precision,
    threads: int | None,
    as_json: bool,
) -> None:
    """Measure PSNR and SSIM on a benchmark or a folder of pictures."""
    if weights is not None and weights.suffix == ".safetensors":
        given = f"--backend {backend}" if backend == "native" else f"--precision {precision}"
        if given.endswith(("native", "bf16", "int8")):
            raise UsageError(
                f"{weights}: is exported first, and run by ONNX Runtime as it is; leave out {given}"
            )
        from leansr.lab.export.release import upscaler_of

        upscaler = upscaler_of(weights, variant, scale, threads)
    else:
        upscaler = Upscaler(
            variant,
            scale,
            backend=backend,
            precision=precision,
            weights=weights,
            threads=threads,
        )
    benchmark = _benchmark(data, data_root, scale)
    result = evaluate(upscaler, scale, benchmark, protocol, tuple(dict.fromkeys(metrics)))
    for failure in result.failures:
        options.print_error(failure.error)
    depth = np.uint8 if result.protocol.rounding == "8-bit" else np.float32
    runs = upscaler.runner.words(depth)
    if as_json:
        about = {"variant": upscaler.model, "scale": scale, "engine": runs}
        options.print_json(about | result.as_json())
    else:
        click.echo(f"{upscaler.model} x{scale} on {options.printable(benchmark.name)}")
        _print(result)
        click.echo(f"engine: {runs}")
    sys.exit(1 if result.failures else 0)


def _benchmark(data: str, given_root: Path | None, scale: int) -> Benchmark:
    """The folder of that name, else the benchmark of that name below the data root."""
    if not data:
        raise UsageError("--data: an empty name is no folder and no benchmark")
    if Path(data).is_dir():
        return open_folder(Path(data), scale)
    root = config.data_root(given_root)
    if root is None:
        raise UsageError(
            f"{data}: is no folder, and there is no data root to look for a benchmark below; "
            f"give --data-root, or set LEANSR_DATA"
        )
    return find(root, data, scale)


def _print(result: Evaluation) -> None:
    names = [options.printable(picture.name) for picture in result.pictures]
    width = max(map(len, names))
    for name, picture in zip(names, result.pictures, strict=True):
        luma, rgb = f"{picture.psnr_y:8.3f}", f"{picture.psnr_rgb:8.3f}"
        click.echo(f"  {name:{width}}  luma {luma} dB  RGB {rgb} dB")
    click.echo(f"luma  {result.psnr_y:.3f} dB  {result.ssim_y:.4f}")
    click.echo(f"RGB   {result.psnr_rgb:.3f} dB  {result.ssim_rgb:.4f}")
    for name, value in result.metrics.items():
        click.echo(f"{name}  {value:.4f} ({METRICS[name].what}; 0 is equal)")
    click.echo(f"protocol: {result.protocol}")
