"""What attention blocks do to high frequencies, over the pictures of benchmarks.

python benchmarks/frequencies.py fmen-s --weights fmen-s.safetensors --data-root DIR [--scale 4]
"""

import argparse
import statistics
from pathlib import Path

import click

from leansr import zoo
from leansr.lab.measure.spectrum import spectra
from leansr.lab.plot.inputs import as_input, network_of
from leansr.lab.plot.pictures import hr_and_lr, read_rgb
from leansr.runtime.benchmarks import find

BENCHMARKS = ("Set5", "Set14")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("variant")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--scale", type=int, default=4)
    arguments = parser.parse_args()
    variant = zoo.find(arguments.variant, arguments.scale)
    network = network_of(arguments.variant, arguments.scale, arguments.weights)
    # By block: the shares before and after, of all power and without frequency 0.
    shares: dict[str, list[tuple[float, float, float, float]]] = {}
    for name in BENCHMARKS:
        for pair in find(arguments.data_root, name, arguments.scale).pairs:
            _, lr = hr_and_lr(read_rgb(pair.hr), arguments.scale)
            for s in spectra(network, as_input(lr, variant)):
                of_all = s.before.whole.high, s.after.whole.high
                of_detail = s.before.detail.high, s.after.detail.high
                shares.setdefault(s.name, []).append((*of_all, *of_detail))
    click.echo("| block | of all power, % | rises | without frequency 0, % | rises |")
    click.echo("| --- | --- | --- | --- | --- |")
    for name, rows in shares.items():
        columns = list(zip(*rows, strict=True))
        before, after, detail_before, detail_after = (100 * statistics.median(c) for c in columns)
        rises = sum(row[1] > row[0] for row in rows)
        detail_rises = sum(row[3] > row[2] for row in rows)
        click.echo(
            f"| {name} | {before:.3f} to {after:.3f} | {rises} "
            f"| {detail_before:.1f} to {detail_after:.1f} | {detail_rises} |"
        )
    click.echo(f"medians over {len(rows)} pictures of {' and '.join(BENCHMARKS)}")


if __name__ == "__main__":
    main()
