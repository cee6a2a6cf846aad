"""Step time and peak memory of SESR's training in expanded and in collapsed space.

The paper (section 3.3) counts one forward pass of SESR-M5 on 32 crops of 64 x 64: 41.77 G MACs
expanded, 1.84 G collapsed. Here both are counted from the operations that run, and a whole step
(forward, backward, Adam) is timed, each space in a process of its own for its peak memory.

    python benchmarks/training_space.py [--threads 1] [--steps 5]
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

import click
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from leansr import zoo
from leansr.lab.measure.machine import describe, resident_mib
from leansr.lab.nets import build

PRINTED_GMACS = {"expanded": 41.77, "collapsed": 1.84}
BATCH, CROP = 32, 64


def measure(space: str, threads: int, steps: int) -> dict[str, float]:
    """One space, in this process."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    lr, hr = torch.rand(BATCH, 1, CROP, CROP), torch.rand(BATCH, 1, 2 * CROP, 2 * CROP)
    network = build(zoo.find("sesr-m5", 2), 2, space=space)
    optimizer = torch.optim.Adam(network.parameters(), 5e-4)
    before, _ = _resident_mib()
    seconds = []
    for _ in range(steps + 1):
        began = time.perf_counter()
        F.l1_loss(network(lr), hr).backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - began)
    _, peak = _resident_mib()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(lr)
    return {
        "gmacs": counter.get_total_flops() / 2e9,
        "step_ms": 1000 * statistics.median(seconds[1:]),
        "peak_mib": peak - before,
    }


def _resident_mib() -> tuple[float, float]:
    found = resident_mib()
    if found is None:
        raise SystemExit("training_space: memory is read from /proc, which this system has not")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--space", choices=PRINTED_GMACS, help="measure one, print JSON")
    arguments = parser.parse_args()
    if arguments.space:
        click.echo(json.dumps(measure(arguments.space, arguments.threads, arguments.steps)))
        return
    rows = {}
    for space in PRINTED_GMACS:
        again = [sys.executable, __file__, "--space", space, *sys.argv[1:]]
        rows[space] = json.loads(subprocess.run(again, check=True, capture_output=True).stdout)
    click.echo(
        f"SESR-M5 x2, batch {BATCH} of {CROP} x {CROP}, {describe()}, "
        f"{arguments.threads} thread(s), torch {torch.__version__}"
    )
    click.echo("| space | GMACs, paper | GMACs, counted | step, ms | peak above the start, MiB |")
    click.echo("| --- | --- | --- | --- | --- |")
    for space, row in rows.items():
        click.echo(
            f"| {space} | {PRINTED_GMACS[space]} | {row['gmacs']:.2f} | "
            f"{row['step_ms']:.0f} | {row['peak_mib']:.0f} |"
        )
    slow, fast = rows["expanded"], rows["collapsed"]
    click.echo(
        f"collapsed space: {slow['step_ms'] / fast['step_ms']:.1f} times as fast, "
        f"{slow['peak_mib'] / fast['peak_mib']:.1f} times less memory"
    )


if __name__ == "__main__":
    main()
