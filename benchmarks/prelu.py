"""PReLU as ONNX's PRelu and as the export writes it, in ONNX Runtime, interleaved.

python benchmarks/prelu.py [--variant sesr-m5] [--threads 1] [--runs 15]
"""

import argparse
import statistics
import time

import click
import numpy as np
import onnxruntime
import torch

from leansr import zoo
from leansr.lab.export.onnx_graph import traced, with_split_prelu
from leansr.lab.measure.machine import describe
from leansr.lab.nets import build

SIDE = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--variant", default="sesr-m5")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=15)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    network = build(zoo.find(arguments.variant, 2), 2).deploy()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    sessions = {
        name: onnxruntime.InferenceSession(
            traced(form, 1).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        for name, form in (("PRelu", network), ("split", with_split_prelu(network)))
    }
    lr = np.random.default_rng(0).random((1, 1, SIDE, SIDE), np.float32)
    seconds: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(arguments.runs + 1):
        for name, session in sessions.items():
            began = time.perf_counter()
            session.run(["sr"], {"lr": lr})
            seconds[name].append(time.perf_counter() - began)
    medians = {name: 1000 * statistics.median(values[1:]) for name, values in seconds.items()}
    click.echo(
        f"{arguments.variant} x2, {SIDE} x {SIDE}, {arguments.threads} thread(s), {describe()}"
    )
    click.echo(", ".join(f"{name}: {value:.1f} ms" for name, value in medians.items()))
    click.echo(f"split is {medians['PRelu'] / medians['split']:.2f} times as fast")


if __name__ == "__main__":
    main()
