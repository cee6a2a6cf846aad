"""Forward and backward of SESR-M5 in float32 and in bf16, compiled, interleaved.

python benchmarks/precision.py [--threads 1] [--runs 30]
"""

import argparse
import statistics
import time

import click
import torch
import torch.nn.functional as F

from leansr import zoo
from leansr.lab.measure.machine import describe
from leansr.lab.nets import build

BATCH, CROP = 16, 48


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=30)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    network = build(zoo.find("sesr-m5", 2), 2).to(memory_format=torch.channels_last)
    lr, hr = torch.rand(BATCH, 1, CROP, CROP), torch.rand(BATCH, 1, 2 * CROP, 2 * CROP)

    @torch.compile
    def loss(is_bf16: bool) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
            sr = network(lr)
        return F.l1_loss(sr.float(), hr)

    seconds: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(arguments.runs + 3):
        for is_bf16, values in seconds.items():
            began = time.perf_counter()
            loss(is_bf16).backward()
            values.append(time.perf_counter() - began)
    medians = {key: 1000 * statistics.median(values[3:]) for key, values in seconds.items()}
    click.echo(f"batch {BATCH} of {CROP} x {CROP}, {arguments.threads} thread(s), {describe()}")
    click.echo(f"float32 {medians[False]:.1f} ms, bf16 {medians[True]:.1f} ms")


if __name__ == "__main__":
    main()
