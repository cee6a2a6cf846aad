"""Baselines that see luma alone, most of them after bicubic upscaling, and that itself."""

from collections.abc import Mapping
from typing import Any, Literal

from leansr.zoo.variant import Variant


def _row(
    name: str,
    network: str,
    arguments: Mapping[str, Any],
    source: str,
    scales: tuple[int, ...] = (2, 3, 4),
    colour: Literal["y", "rgb"] = "y",
) -> Variant:
    return Variant(
        name=name,
        family="baselines",
        network=f"leansr.lab.nets.{network}",
        arguments=arguments,
        scales=scales,
        colour=colour,
        source=source,
    )


_MEMNET = {"channels": 64, "memories": 6, "recursions": 6}

ROWS = [
    _row("bicubic", "bicubic:Bicubic", {}, "BSRN, Table 5", colour="rgb"),
    _row("srcnn", "srcnn:SRCNN", {}, "BSRN, Table 5"),
    _row(
        "fsrcnn",
        "fsrcnn:FSRCNN",
        {"channels": 56, "shrunk": 12, "mappings": 4},
        "SESR, Tables 1 and 2",
    ),
    _row("vdsr", "vdsr:VDSR", {"channels": 64, "layers": 20}, "BSRN, Table 5"),
    _row("drcn", "drcn:DRCN", {"channels": 256, "recursions": 16}, "FMEN, Table 3"),
    _row("drrn", "drrn:DRRN", {"channels": 128, "units": 25}, "BSRN, Table 5"),
    _row("memnet", "memnet:MemNet", _MEMNET, "BSRN, Table 5"),
    _row("memnet-erb", "memnet:MemNetWithERB", _MEMNET, "FMEN, Table 1"),
    _row(
        "lapsrn",
        "lapsrn:LapSRN",
        {"channels": 64, "depth": 10},
        "SESR, Tables 1 and 2",
        scales=(2, 4),
    ),
]
