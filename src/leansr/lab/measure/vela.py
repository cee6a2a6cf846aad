"""A second opinion: Arm's compiler for its Ethos-U NPUs, which estimates as it compiles."""

import csv
import re
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import nn

from leansr.errors import MeasureError, UsageError
from leansr.lab.export.litert_graph import lowered
from leansr.lab.measure.tflite import placeholder
from leansr.lab.quantize.int8 import Int8

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
    beside it and cost nothing here. `weight_bytes` are the kernels that it has, `packed_bytes` what
    Vela makes of them and of biases and scales; None of a network in floats, whose weights it is
    not given.
    """

    npu: str
    system: str
    memory: str
    cycles: int
    inferences_per_s: float
    macs: int
    sram_bytes: int
    dram_bytes: int
    weight_bytes: int | None
    packed_bytes: int | None
    on_cpu: tuple[tuple[str, str], ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def compiled(network: nn.Module, shape: tuple[int, int, int, int], npu: str) -> Compiled:
    """What Vela says of `network`, int8, for a picture of `shape` `(1, C, H, W)`.

    A deployed network of eight bits is given as it is, one in floats by its shapes alone. By Vela's
    default system and memory of that NPU. Raises UsageError for an NPU that it does not know, a
    network in floats with an operator that is not mapped, or if it is not installed; ExportError
    for one of eight bits with such an operator; MeasureError with Vela's last line if it fails.
    """
    if npu not in NPUS:
        raise UsageError(f"{npu}: Vela knows no such NPU; one of {', '.join(NPUS)}")
    if not (find_spec("ethosu") and find_spec("ai_edge_litert") and find_spec("flatbuffers")):
        raise UsageError("--vela needs ethos-u-vela and ai-edge-litert; pip install 'leansr[vela]'")
    with TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "network.tflite"
        has_weights = isinstance(network, Int8)
        _, channels, *size = shape
        source.write_bytes(
            lowered(network, channels, (size[0], size[1]), "")
            if isinstance(network, Int8)
            else placeholder(network, shape)
        )
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
        found = read(summaries[0].read_text(encoding="utf-8"), ran.stdout + ran.stderr, npu)
        return found if has_weights else replace(found, weight_bytes=None, packed_bytes=None)


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
        weight_bytes=int(float(row["total_original_weights"])),
        packed_bytes=int(float(row["total_npu_encoded_weights"])),
        on_cpu=tuple((kind, module) for kind, module in _ON_CPU.findall(log)),
    )
