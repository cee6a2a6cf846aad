"""Bytes that a tile takes for each LR pixel, against what the plan of tiles expects.

python benchmarks/memory.py [VARIANT:SCALE[:WEIGHTS.onnx]...]

Each of two sizes in a process of its own: what the larger picture, as one tile, takes more than the
smaller, result and source left out. Once the network alone, once with all around it.
"""

import argparse
import multiprocessing
import resource
from pathlib import Path

import click
import numpy as np

from leansr import Upscaler, zoo
from leansr.lab.measure.machine import describe
from leansr.runtime.memory import tile_bytes
from leansr.runtime.onnx_session import OnnxSession
from leansr.zoo.costs import costs
from leansr.zoo.release import release_of

SIDES = 150, 350
DEFAULT = ["sesr-m3:2", "sesr-m5:2", "sesr-m5:4", "sesr-xl:2", "fmen-s:4"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", default=DEFAULT)
    click.echo(describe())
    click.echo("| network | features | network's | of features | tile's | planned |")
    click.echo("| --- | --- | --- | --- | --- | --- |")
    for name in parser.parse_args().names:
        variant, digits, *given = name.split(":")
        scale = int(digits)
        weights = given[0] if given else str(release_of(variant, scale).onnx)
        features = costs()[variant, scale].features
        alone, whole = (slope(variant, scale, weights, is_alone) for is_alone in (True, False))
        cells = (
            f"{variant} x{scale}",
            str(features),
            f"{alone:.0f}",
            f"{alone / features:.2f}",
            f"{whole:.0f}",
            str(tile_bytes(features, scale)),
        )
        click.echo(f"| {' | '.join(cells)} |")


def slope(variant: str, scale: int, weights: str, is_alone: bool) -> float:
    """Bytes for each LR pixel."""
    small, large = (peak(variant, scale, weights, side, is_alone) for side in SIDES)
    return (large - small) / (SIDES[1] ** 2 - SIDES[0] ** 2)


def peak(variant: str, scale: int, weights: str, side: int, is_alone: bool) -> int:
    """Bytes that a process takes at most, less those of what goes in and comes out."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(measured, (variant, scale, weights, side, is_alone))


def measured(variant: str, scale: int, weights: str, side: int, is_alone: bool) -> int:
    """In a process that has done nothing else."""
    if is_alone:
        pixels = np.zeros((side, side, zoo.find(variant, scale).channels), np.float32)
        result = OnnxSession(Path(weights), 1)(pixels)
    else:
        pixels = np.zeros((side, side, 3), np.uint8)
        result = Upscaler(variant, scale, threads=1, tile=side, weights=weights)(pixels)
    kept = 0 if is_alone else pixels.nbytes + result.nbytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - kept


if __name__ == "__main__":
    main()
