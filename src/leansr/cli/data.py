"""`leansr data`"""

import sys
from pathlib import Path

import click

from leansr.cli import options
from leansr.errors import UsageError
from leansr.runtime import config
from leansr.runtime.benchmarks import KNOWN, known_name
from leansr.runtime.check import Agreement, Check, check


@click.group()
def command() -> None:
    """Check benchmarks and prepare training pictures."""


@command.command()
@click.argument("folder", type=options.EXISTING_FOLDER)
@click.option("-o", "--output", type=options.ANY_PATH, required=True, metavar="FILE")
@click.option("--source", required=True, help="Where the pictures come from; told on in cards.")
@click.option("--licence", required=True, help="Their licence; told on in cards.")
@click.option("--max-mib", type=options.Amount(), help="Largest pack, in MiB.")
def pack(folder: Path, output: Path, source: str, licence: str, max_mib: float | None) -> None:
    """Pack a folder of pictures into one file for `leansr train --data`."""
    from leansr.lab.train import packs

    count = packs.pack(folder, output, packs.Provenance(source, licence), max_mib)
    click.echo(f"{output}: {count} pictures, {output.stat().st_size / 2**20:.1f} MiB", err=True)


@command.command("check")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--scale",
    "scales",
    type=click.IntRange(1, 16),
    multiple=True,
    help="Scale factor; 2, 3 and 4 if not given. May be repeated.",
)
@options.data_root
@options.as_json
def check_benchmarks(
    names: tuple[str, ...], scales: tuple[int, ...], data_root: Path | None, as_json: bool
) -> None:
    """Say what there is of each benchmark, and whether its LR is MATLAB's bicubic."""
    root = config.data_root(data_root)
    if root is None:
        raise UsageError("there is no data root to check; give --data-root, or set LEANSR_DATA")
    checks = []
    for name in dict.fromkeys(map(known_name, names or KNOWN)):
        for scale in dict.fromkeys(scales or (2, 3, 4)):
            found = check(root, name, scale)
            checks.append(found)
            for error in (*found.failures, found.incomplete, found.missing if names else None):
                if error:
                    options.print_error(error)
            if not as_json:
                click.echo(_line(found))
    if as_json:
        rows = [found.as_json() for found in checks]
        options.print_json({"schema": 1, "data_root": str(root), "benchmarks": rows})
    # Of those that nobody asked for, some are missing nearly everywhere.
    sys.exit(1 if any(not c.is_whole and (names or not c.missing) for c in checks) else 0)


def _line(found: Check) -> str:
    start = f"{options.printable(found.name):10} x{found.scale}  "
    if found.missing:
        return f"{start}missing"
    if found.resizer is None:
        return f"{start}cannot be read"
    count = str(found.pictures)
    if found.expected is not None:
        count += f" of {found.expected}"
    agreement = found.agreement
    lr = f"LR as given {_agreement(agreement)}" if agreement else f"LR {found.resizer}"
    return f"{start}{count + ' pictures':20}  {lr}"


def _agreement(agreement: Agreement) -> str:
    verdict = "agrees with MATLAB's bicubic" if agreement.is_matlab else "is NOT MATLAB's bicubic"
    shifts = ", ".join(f"{n} {round(s.change, 3) + 0:+.3f} dB" for n, s in agreement.psnr_y.items())
    return (
        f"{verdict}: at most {agreement.largest} and on average {agreement.mean:.4f} levels off, "
        f"{agreement.equal:.3%} equal; {shifts}"
    )
