"""Frames of 1080p to 4K: ours beside FSRCNN in OpenCV's dnn_superres, and the PSNR of each.

python benchmarks/frames.py DIR [--models sesr-m3,sesr-m5] [--precisions fp32,bf16,int8]
    [--threads N] [--runs N] [--files N] [--opencv FSRCNN_x2.pb] [--json]

DIR is a benchmark at x2, as for `leansr evaluate`. Frames are arrays of uint8 RGB, in and out; the
methods take turns. With --files N, as many JPEGs go from file to file by our first row.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
from peers import UnavailableError, opencv_network

from leansr.errors import LeanSRError
from leansr.image import codecs
from leansr.image.arrays import Pixels
from leansr.image.picture import Picture
from leansr.lab.measure.machine import describe
from leansr.runtime import batch
from leansr.runtime.benchmarks import Benchmark, open_folder
from leansr.runtime.evaluate import evaluate, read_pair
from leansr.runtime.line import Outcome
from leansr.runtime.route import Route
from leansr.runtime.size import wanted
from leansr.runtime.upscaler import Upscaler, available_cores

SCALE = 2
HEIGHT, WIDTH = 1080, 1920

Way = Callable[[Pixels], Pixels]


@dataclass(frozen=True)
class Row:
    """One method; `psnr_y` is by the protocol `paper` of `leansr evaluate`."""

    method: str
    median_ms: float
    min_ms: float
    frames_per_s: float
    psnr_y: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", default="sesr-m3,sesr-m5,sesr-m11,sesr-xl")
    parser.add_argument("--precisions", default="fp32,bf16,int8")
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--files", type=int, default=0)
    parser.add_argument("--opencv", type=Path, help="OpenCV's FSRCNN_x2.pb.")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    ways, skipped = _ways(arguments)
    benchmark = open_folder(arguments.folder, SCALE)
    frame = _frame(_rgb(read_pair(benchmark.pairs[0], SCALE)[0]))
    rows = _measured(ways, frame, benchmark, arguments.runs)
    told = {"machine": describe(), "threads": arguments.threads, "skipped": skipped}
    if arguments.files:
        told["files_per_s"] = _from_file_to_file(frame, arguments)
    if arguments.json:
        click.echo(json.dumps({"schema": 1, "rows": [asdict(row) for row in rows], **told}))
        return
    for row in rows:
        click.echo(
            f"{row.method:16} median {row.median_ms:7.1f} ms, best {row.min_ms:7.1f} ms, "
            f"{row.frames_per_s:5.2f} frames/s, {row.psnr_y:.3f} dB"
        )
    click.echo("; ".join(f"{key}: {value}" for key, value in told.items()))


def _ways(arguments: argparse.Namespace) -> tuple[dict[str, Way], dict[str, str]]:
    """What there is to be measured, and why the rest is not."""
    ways: dict[str, Way] = {}
    skipped = {}
    for model in arguments.models.split(","):
        for precision in arguments.precisions.split(","):
            name = f"{model} {precision}"
            try:
                ways[name] = Upscaler(
                    model,
                    SCALE,
                    backend="native",
                    precision=precision,
                    threads=arguments.threads,
                )
            except LeanSRError as why:
                skipped[name] = str(why)
    try:
        ways["OpenCV FSRCNN"] = _opencv(arguments.threads, arguments.opencv)
    except UnavailableError as why:
        skipped["OpenCV FSRCNN"] = str(why)
    return ways, skipped


def _measured(ways: dict[str, Way], frame: Pixels, benchmark: Benchmark, runs: int) -> list[Row]:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(runs + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            way(frame)
            # The first is to warm up.
            if turn:
                seconds[name].append(time.perf_counter() - began)
    return [
        Row(
            name,
            1000 * statistics.median(values),
            1000 * min(values),
            1 / statistics.median(values),
            evaluate(ways[name], SCALE, benchmark).psnr_y,
        )
        for name, values in seconds.items()
    ]


def _frame(pixels: Pixels) -> Pixels:
    """A picture as large as a frame, continued by its mirror images."""
    height, width = pixels.shape[:2]
    missing = (0, max(0, HEIGHT - height)), (0, max(0, WIDTH - width)), (0, 0)
    whole: Pixels = np.pad(pixels, missing, "symmetric")[:HEIGHT, :WIDTH]
    return np.ascontiguousarray(whole)


def _rgb(pixels: Pixels) -> Pixels:
    return pixels if pixels.shape[2] == 3 else pixels.repeat(3, axis=2)


def _opencv(threads: int, model: Path | None) -> Way:
    network = opencv_network(threads, model)
    return lambda rgb: network.upsample(np.ascontiguousarray(_rgb(rgb)[..., ::-1]))[..., ::-1]


def _from_file_to_file(frame: Pixels, arguments: argparse.Namespace) -> float:
    """Frames a second of `leansr upscale` on a folder of JPEGs, starting the program left out."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        picture = Picture(frame, "RGB")
        for i in range(arguments.files):
            codecs.write(picture, folder / "in" / f"{i}.jpg")
        jobs = batch.plan([folder / "in"], folder / "out", wanted(SCALE))
        way = Route(
            wanted(SCALE),
            arguments.models.split(",")[0],
            "clean",
            backend="native",
            precision=arguments.precisions.split(",")[0],
            threads=arguments.threads,
        )
        _written(batch.run(jobs[:1], way, "overwrite"))
        began = time.perf_counter()
        _written(batch.run(jobs, way, "overwrite"))
        return len(jobs) / (time.perf_counter() - began)


def _written(outcomes: Iterable[Outcome]) -> None:
    """Waits for all of them; the first error is raised."""
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error


if __name__ == "__main__":
    main()
