"""Ways to train SESR-M5 under one budget of steps: the recipes in `optimizers/`, one by one.

python benchmarks/optimizers.py --data PACK --validation DIR --runs DIR [--threads 1]
"""

import argparse
import csv
from pathlib import Path

import click
import torch

from leansr.lab.measure.machine import describe
from leansr.lab.train import recipe as recipes
from leansr.lab.train.trainer import Run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--validation", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    click.echo(f"{describe()}, {arguments.threads} thread(s), torch {torch.__version__}")
    click.echo("| recipe | steps | minutes | validation, dB |")
    click.echo("| --- | --- | --- | --- |")
    for path in sorted(Path(__file__).with_name("optimizers").glob("*.toml")):
        folder = arguments.runs / path.stem
        Run(
            recipes.load(str(path)),
            folder,
            arguments.data,
            arguments.validation,
            report=lambda line: click.echo(line, err=True),
        ).train()
        with (folder / "log.csv").open(newline="") as file:
            last = list(csv.DictReader(file))[-1]
        click.echo(
            f"| {path.stem} | {last['step']} | {float(last['minutes']):.1f} | "
            f"{float(last['val_psnr']):.3f} |"
        )


if __name__ == "__main__":
    main()
