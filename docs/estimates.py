"""The parts of estimate.md that the cost model computes; `make docs` puts them in."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import click.testing

from leansr import zoo
from leansr.cli import cli
from leansr.lab.measure.hardware import ETHOS_N78, Hardware
from leansr.lab.measure.roofline import Estimate, estimate
from leansr.lab.nets import build
from leansr.lab.nets.network import Network
from leansr.lab.papers import rows
from leansr.lab.reproduce.hardware import FULL_HD, TILE

# What is changed of the Ethos-N78 to see how much it matters.
_CHANGES: dict[str, dict[str, Any]] = {
    "as above": {},
    "without Winograd": {"is_winograd": False},
    "with products for the channels there are": {"lanes": (1, 1)},
    "without compression": {"compressed": 1.0},
    "with all features compressed": {"compressible": 1},
    "in stripes of 4 rows (the driver stack has none)": {"stripe": 4},
    "in stripes of 16 rows": {"stripe": 16},
    "with 1 stripe, not 2, of what comes from memory and goes there": {"buffered": 1},
    "with 512 KiB on chip": {"buffer_bytes": 512 * 1024},
    "with 1.5 MiB on chip": {"buffer_bytes": 1536 * 1024},
    "with 2 MiB on chip": {"buffer_bytes": 2048 * 1024},
}
# In LR pixels, of SESR-M5: 5 x 5, five of 3 x 3, 5 x 5.
_HALO = 9


def console(*arguments: str) -> str:
    """A command and what it prints, as a block of Markdown."""
    done = click.testing.CliRunner().invoke(cli, arguments, catch_exceptions=False)
    return f"```console\n$ leansr {' '.join(arguments)}\n{done.stdout}```\n"


def table_3() -> str:
    """SESR's Table 3 beside the model."""
    lines = []
    for row in rows("sesr_hardware"):
        ours = _of(row, ETHOS_N78)
        cells = [_name(row)]
        for printed, value in _pairs(row, ours):
            cells += [f"{printed:.2f}", f"{value:.2f}", _percent(value / printed - 1)]
        lines.append(cells)
    return _table(["", "DRAM, MB: printed", "ours", "", "ms: printed", "ours", ""], lines)


def sensitivity() -> str:
    """The range of the differences from Table 3, over its rows, with parts of the model changed."""
    lines = []
    for words, change in _CHANGES.items():
        hardware = replace(ETHOS_N78, **change)
        found = [_pairs(row, _of(row, hardware)) for row in rows("sesr_hardware")]
        ranges = []
        for pairs in zip(*found, strict=True):
            off = [value / printed - 1 for printed, value in pairs]
            ranges.append(f"{_percent(min(off)).removesuffix(' %')} to {_percent(max(off))}")
        lines.append([words, *ranges])
    return _table(["", "DRAM", "ms"], lines)


def tiles() -> str:
    """SESR-M5 at 1080p whole, in the paper's tiles, and in tiles that are exact."""
    network, shape = _network("sesr-m5-hw", 2), (1, 1, *FULL_HD)
    whole = estimate(network, shape, ETHOS_N78)
    printed = estimate(network, shape, ETHOS_N78, TILE)
    exact = estimate(network, shape, ETHOS_N78, TILE, _HALO)
    lines = [
        [words, f"{one.runtime_ms:.2f}", f"{one.fps:.1f}", f"{one.dram_bytes / 1e6:.2f}"]
        for words, one in (
            ("whole", whole),
            (f"{printed.tiles:.2f} tiles, as in the paper", printed),
            (f"{exact.tiles} tiles with their halo of {_HALO}", exact),
        )
    ]
    return _table(["SESR-M5 (hardware form) x2, 1080p", "ms", "fps", "DRAM, MB"], lines)


@cache
def _network(variant: str, scale: int) -> Network:
    return build(zoo.find(variant, scale), scale).to("meta").deploy().eval()


def _of(row: dict[str, str], hardware: Hardware) -> Estimate:
    width, height = map(int, row["input"].split("x"))
    network = _network(row["variant"], int(row["scale"]))
    return estimate(network, (1, 1, height, width), hardware)


def _pairs(row: dict[str, str], ours: Estimate) -> list[tuple[float, float]]:
    """MB of DRAM and milliseconds, each as printed and ours."""
    return [
        (float(row["dram_mb"]), ours.dram_bytes / 1e6),
        (float(row["runtime_ms"]), ours.runtime_ms),
    ]


def _name(row: dict[str, str]) -> str:
    size = "1080p" if row["input"] == "1920x1080" else row["input"].replace("x", " x ")
    return f"{row['model'].removesuffix(' (tile)')} x{row['scale']}, {size}"


def _percent(part: float) -> str:
    return f"{100 * part:+.0f} %"


def _table(head: list[str], lines: list[list[str]]) -> str:
    def written() -> Iterator[str]:
        for line in (head, ["---"] * len(head), *lines):
            yield f"| {' | '.join(line)} |\n"

    return "".join(written()).replace("|  |", "| |")
