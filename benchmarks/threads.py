"""A picture through SESR-M5: threads over tiles against threads over a tile's layers.

python benchmarks/threads.py [--threads 2] [--runs 5]
"""

import argparse
import statistics
import time

import click
import numpy as np

from leansr import Upscaler
from leansr.lab.measure.machine import describe
from leansr.runtime.onnx_session import OnnxSession
from leansr.zoo.release import release_of

WIDTH, HEIGHT = 1920, 1080


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    over_layers = Upscaler(backend="onnxruntime", threads=1)
    over_layers._network = OnnxSession(release_of("sesr-m5", 2).onnx, arguments.threads)
    ways = {
        "one thread": Upscaler(backend="onnxruntime", threads=1),
        f"layers over {arguments.threads}": over_layers,
        f"tiles over {arguments.threads}": Upscaler(
            backend="onnxruntime", threads=arguments.threads
        ),
    }
    picture = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.runs):
        for name, upscaler in ways.items():
            began = time.perf_counter()
            upscaler(picture)
            seconds[name].append(time.perf_counter() - began)
    click.echo(f"sesr-m5 x2, {WIDTH} x {HEIGHT}, {describe()}")
    for name, values in seconds.items():
        click.echo(f"{name}: median {statistics.median(values):.2f} s, best {min(values):.2f} s")


if __name__ == "__main__":
    main()
