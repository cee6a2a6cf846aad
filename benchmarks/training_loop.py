"""Steps a second and memory of our trainer, against a plain PyTorch loop as BasicSR writes it.

The plain loop (plain_loop.py): worker processes that read and decode whole PNGs for one crop each,
the training form as drawn, float32, eager, Adam, a moving average tensor by tensor. Ours: the same
crops and batch, pictures decoded once, collapsible blocks trained collapsed or direct. Contenders
take turns, each in a process of its own; the median of the rounds counts.

    python benchmarks/training_loop.py FOLDER [--network sesr-m5 ...] [--threads 2] [--rounds 3]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import click
import torch
from plain_loop import PlainLoop, held_mib

from leansr import zoo
from leansr.image import codecs
from leansr.image.picture import Picture
from leansr.image.resize import resize
from leansr.lab.measure.machine import describe
from leansr.lab.train.recipe import Data, Optimizer, Recipe, Schedule
from leansr.lab.train.trainer import Run

# Scale, crops and whether it is compiled, as the fast recipes have them; SESR's crops are the
# paper's.
NETWORKS = {
    "sesr-m5": (2, Data(lr_crop=64, batch=32), True),
    "fmen-s": (4, Data(lr_crop=32, batch=16), False),
    "bsrn": (4, Data(lr_crop=32, batch=8), True),
}
ADAM = Optimizer(name="adam", lr=5e-4)
# Space (None where a network has none), optimiser and precision.
OURS = {
    "ours, float32, Adam": ("collapsed", ADAM, "fp32"),
    "ours, bfloat16, Muon": ("direct", Optimizer(name="muon", lr=1e-3), "bf16"),
}
CONTENDERS = ("plain", *OURS)


def measure(network: str, contender: str, pngs: Path, threads: int, steps: int) -> dict[str, float]:
    """One contender, in this process."""
    torch.set_num_threads(threads)
    scale, data, is_compiled = NETWORKS[network]
    if contender == "plain":
        plain = PlainLoop(network, scale, data, pngs, workers=2)
        seconds = plain.seconds_per_step(steps)
        return {"steps_per_s": 1 / seconds, "waiting_pct": plain.waiting_pct, "mib": held_mib()}
    space, optimizer, precision = OURS[contender]
    recipe = Recipe(
        variant=network,
        scale=scale,
        data=data,
        optimizer=optimizer,
        schedule=Schedule(name="constant", steps=10**6),
        space=None if network == "bsrn" else space,
        precision=precision,
        compile=is_compiled,
    )
    run = Run(recipe, pngs / "run", pngs, threads=threads)
    run.seconds_per_step(1)
    waited = run.feed.seconds_waited
    seconds = run.seconds_per_step(steps)
    waiting = (run.feed.seconds_waited - waited) / (seconds * (steps + 2))
    return {"steps_per_s": 1 / seconds, "waiting_pct": 100 * waiting, "mib": held_mib()}


def write_pngs(folder: Path, pngs: Path, scale: int) -> None:
    """HR and LR as PNG, as the plain loop reads them."""
    for path in sorted(folder.glob("*")):
        if path.suffix not in codecs.FORMATS:
            continue
        pixels = codecs.read(path).pixels[..., :3]
        height, width = (side // scale * scale for side in pixels.shape[:2])
        hr = pixels[:height, :width]
        for name, picture in (("HR", hr), ("LR", resize(hr, Fraction(1, scale)))):
            codecs.write(Picture(picture, "RGB"), pngs / name / f"{path.stem}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="pictures to train on")
    parser.add_argument("--network", choices=NETWORKS, action="append")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contender", choices=CONTENDERS, help="measure one, print JSON")
    arguments = parser.parse_args()
    if arguments.contender:
        (network,) = arguments.network
        found = measure(
            network, arguments.contender, arguments.folder, arguments.threads, arguments.steps
        )
        click.echo(json.dumps(found))
        return
    click.echo(
        f"{describe()}, {arguments.threads} thread(s), torch {torch.__version__}, "
        f"median of {arguments.rounds} rounds of {arguments.steps} steps"
    )
    click.echo("| network | crops | loop | steps/s | times as fast | waiting | memory at the end |")
    click.echo("| --- | --- | --- | --- | --- | --- | --- |")
    for network in arguments.network or NETWORKS:
        scale, data, _ = NETWORKS[network]
        assert scale in zoo.VARIANTS[network].scales
        with tempfile.TemporaryDirectory() as folder:
            write_pngs(arguments.folder, Path(folder), scale)
            found = rounds(network, Path(folder), arguments)
        for contender, several in found.items():
            row = {key: statistics.median(one[key] for one in several) for key in several[0]}
            pairs = zip(several, found["plain"], strict=True)
            ratio = statistics.median(one["steps_per_s"] / p["steps_per_s"] for one, p in pairs)
            click.echo(
                f"| {network} x{scale} | {data.batch} of {data.lr_crop} x {data.lr_crop} | "
                f"{contender} | {row['steps_per_s']:.2f} | {ratio:.1f} | "
                f"{row['waiting_pct']:.1f} % | {row['mib']:.0f} MiB |"
            )


def rounds(
    network: str, pngs: Path, arguments: argparse.Namespace
) -> dict[str, list[dict[str, float]]]:
    found: dict[str, list[dict[str, float]]] = {contender: [] for contender in CONTENDERS}
    for _ in range(arguments.rounds):
        for contender in CONTENDERS:
            command = [sys.executable, __file__, str(pngs), "--network", network]
            command += ["--contender", contender, "--threads", str(arguments.threads)]
            command += ["--steps", str(arguments.steps)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[contender].append(json.loads(done.stdout))
    return found


if __name__ == "__main__":
    main()
