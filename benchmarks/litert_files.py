"""FILE.tflite beside FILE.onnx: PSNR, pixels that differ from the simulation, and time.

python benchmarks/litert_files.py --data DIR|PACK --benchmark DIR [--variant sesr-m5] [--scale 2]
    [--lr-size 640x360] [--runs 15] [--json]
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from leansr.image.arrays import from_unit, to_unit
from leansr.image.colour import rgb_from_ycbcr, ycbcr
from leansr.image.resize import resize
from leansr.lab.export.agreement import apart
from leansr.lab.export.litert import LitertSession, to_litert
from leansr.lab.measure.machine import describe
from leansr.lab.quantize import post_training
from leansr.lab.quantize.int8 import Int8
from leansr.runtime.benchmarks import Benchmark, open_folder
from leansr.runtime.evaluate import evaluate, read_pair
from leansr.runtime.onnx_session import OnnxSession
from leansr.zoo.release import release_of

Run = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Row:
    """A file in a runtime, on one thread.

    `psnr_y` is in dB. `apart` and `other` are the shares of pixels that are more than a level of
    255 from the simulation's, and more than a tenth of one; None of floats.
    """

    file: str
    bytes: int
    psnr_y: float
    apart: float | None
    other: float | None
    median_ms: float
    min_ms: float


def compare(
    variant: str, scale: int, data: Path, benchmark: Path, size: tuple[int, int], runs: int
) -> list[Row]:
    """A released network of luma in floats, and its eight bits in both kinds of file."""
    source = post_training.source_of(variant, scale)
    row = post_training.eight_bit_row(source.variant)
    crops = post_training.crops_of(data, source.variant, scale)
    network = post_training.calibrated(source, row, crops, "mse").eval().deploy()
    pictures = open_folder(benchmark, scale)
    content = to_litert(network, row, scale, size, "none")
    in_floats = release_of(variant, scale).onnx
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.onnx"
        calibrated = post_training.calibrated(source, row, crops, "mse")
        post_training.release(source, calibrated, row, "mse", data, path, {}, "none")
        own, plain = LitertSession(content), LitertSession(content, is_plain=True)
        files: dict[str, tuple[int, Run]] = {
            "ONNX, floats": (in_floats.stat().st_size, OnnxSession(in_floats, 1)),
            "ONNX, eight bits": (path.stat().st_size, OnnxSession(path, 1)),
            "LiteRT, eight bits": (len(content), own),
            "LiteRT's plain kernels": (len(content), plain),
        }
        times = _times({name: run for name, (_, run) in files.items()}, size, runs)
        rows = []
        for name, (count, run) in files.items():
            psnr = evaluate(luma_upscaler(run, scale), scale, pictures).psnr_y
            shares = (None, None) if "floats" in name else differing(run, network, pictures)
            own_times = statistics.median(times[name]), min(times[name])
            rows.append(Row(name, count, psnr, *shares, *own_times))
    return rows


def luma_upscaler(run: Run, scale: int) -> Callable[[np.ndarray], np.ndarray]:
    """Pixels as `Upscaler` has them, their luma `(H, W, 1)` by `run`."""

    def upscale(pixels: np.ndarray) -> np.ndarray:
        unit = to_unit(pixels)
        y, chroma = np.split(ycbcr(unit), [1], axis=2)
        ycc = np.concatenate([run(y), resize(chroma, scale)], axis=2)
        return from_unit(rgb_from_ycbcr(ycc), pixels.dtype)

    return upscale


def differing(run: Run, network: Int8, pictures: Benchmark) -> tuple[float, float]:
    """Shares of pixels more than a level, and more than a tenth of one, from the simulation's."""
    far, other = [], []
    for pair in pictures.pairs:
        _, lr = read_pair(pair, pictures.scale)
        y = ycbcr(np.broadcast_to(to_unit(lr), (*lr.shape[:2], 3)))[..., :1]
        ours, theirs = run(y), simulation(network)(y)
        far.append(apart(ours, theirs))
        other.append((np.abs(ours - theirs) > 0.1 / 255).ravel())
    return float(np.concatenate(far).mean()), float(np.concatenate(other).mean())


def simulation(network: Int8) -> Run:
    """A deployed network as a session is called."""

    @torch.no_grad()
    def run(lr: np.ndarray) -> np.ndarray:
        return network(torch.from_numpy(lr).movedim(-1, 0)[None])[0].movedim(0, -1).numpy()

    return run


def _times(runs: dict[str, Run], size: tuple[int, int], count: int) -> dict[str, list[float]]:
    """In ms, all in turn, so that other work on the machine disturbs them alike."""
    lr = np.random.default_rng(0).random((*size, 1), np.float32)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(count + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            run(lr)
            if round_:  # the first makes ready
                times[name].append(1000 * (time.perf_counter() - started))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--benchmark", type=Path, required=True)
    parser.add_argument("--variant", default="sesr-m5")
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--lr-size", default="640x360")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    width, height = map(int, given.lr_size.split("x"))
    size = height, width
    rows = compare(given.variant, given.scale, given.data, given.benchmark, size, given.runs)
    about: dict[str, Any] = {
        "variant": given.variant,
        "scale": given.scale,
        "lr_size": [height, width],
        "machine": describe(),
    }
    if given.json:
        click.echo(json.dumps({"schema": 1, **about, "rows": [asdict(row) for row in rows]}))
        return
    click.echo(f"{given.variant} x{given.scale}, {given.lr_size} in, {about['machine']}")
    for row in rows:
        shares = "" if row.apart is None else f"  apart {row.apart:.4%}, other {row.other:.4%}"
        click.echo(
            f"{row.file:24}{row.bytes:8} bytes  {row.psnr_y:.3f} dB  median "
            f"{row.median_ms:.1f} ms, least {row.min_ms:.1f}{shares}"
        )


if __name__ == "__main__":
    main()
