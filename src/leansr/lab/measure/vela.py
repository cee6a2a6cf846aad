"""A second opinion: Arm's compiler for its Ethos-U NPUs, which estimates as it compiles."""

import csv
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import nn

from leansr.errors import MeasureError, UsageError
from leansr.lab.measure.tflite import placeholder

# Those of ethos-u-vela 5.2.
NPUS = (
    *(f"ethos-u55-{macs}" for macs in (32, 64, 128, 256)),
    *(f"ethos-u65-{macs}" for macs in (256, 512)),
    *(f"ethos-u85-{macs}" for macs in (128, 256, 512, 1024, 2048)),
)
_ON_CPU = re.compile(r"operator: (\w+), ofm: '(.*)_\d+'")


@dataclass(frozen=True)
class Compiled:
    """What Vela says of a network on `npu`: cycles, and bytes moved for one picture.

    `on_cpu` are the operators that the NPU does not have, with their modules; they run on the CPU
    beside it and cost nothing here.
    """

    npu: str
    system: str
    memory: str
    cycles: int
    inferences_per_s: float
    macs: int
    sram_bytes: int
    dram_bytes: int
    on_cpu: tuple[tuple[str, str], ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def compiled(network: nn.Module, shape: tuple[int, int, int, int], npu: str) -> Compiled:
    """What Vela says of `network`, int8, for a picture of `shape` `(1, C, H, W)`.

    By Vela's default system and memory of that NPU. Raises UsageError for an NPU that it does not
    know, a network with an operator that is not mapped, or if it is not installed; MeasureError
    with Vela's last line if it fails.
    """
    if npu not in NPUS:
        raise UsageError(f"{npu}: Vela knows no such NPU; one of {', '.join(NPUS)}")
    if not (find_spec("ethosu") and find_spec("ai_edge_litert") and find_spec("flatbuffers")):
        raise UsageError("--vela needs ethos-u-vela and ai-edge-litert; pip install 'leansr[vela]'")
    with TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "network.tflite"
        source.write_bytes(placeholder(network, shape))
        arguments = "-m", "ethosu.vela", source, "--accelerator-config", npu, "--output-dir", folder
        # -P: neither the working directory nor its packages are Vela's.
        ran = subprocess.run(
            [sys.executable, "-P", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
        )
        summaries = list(folder.glob("network_summary_*.csv"))
        if ran.returncode or not summaries:
            last = (ran.stderr.strip() or ran.stdout.strip()).rpartition("\n")[2]
            raise MeasureError(f"Vela does not compile this network for {npu} ({last})")
        return read(summaries[0].read_text(encoding="utf-8"), ran.stdout + ran.stderr, npu)


def read(summary: str, log: str, npu: str) -> Compiled:
    """Vela's summary, a CSV file of one row, and of its log the operators left to the CPU."""
    (row,) = csv.DictReader(summary.splitlines())
    return Compiled(
        npu=npu,
        system=row["system_config"],
        memory=row["memory_mode"],
        cycles=int(float(row["cycles_total"])),
        inferences_per_s=float(row["inferences_per_second"]),
        macs=int(float(row["nn_macs"])),
        sram_bytes=int(float(row["sram_total_bytes"])),
        dram_bytes=int(float(row["dram_total_bytes"])),
        on_cpu=tuple((kind, module) for kind, module in _ON_CPU.findall(log)),
    )
