"""What a figure was measured on, to be stated beside it."""

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import leansr

# Instructions that decide how fast a convolution is, as /proc/cpuinfo names them.
_ISA = (
    *("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni"),
    *("amx_tile", "amx_bf16", "amx_int8", "asimd", "asimddp", "bf16", "i8mm", "sve"),
)
_PACKAGES = ("numpy", "onnxruntime", "torch")


@dataclass(frozen=True)
class Machine:
    """The processor, the first GPU that torch can use, and the versions of what ran on them."""

    cpu: str
    cores: int
    isa: tuple[str, ...]
    gpu: str | None
    versions: dict[str, str]


def machine() -> Machine:
    """This machine. Loads torch, which alone knows of the GPU."""
    import torch

    versions = {name: metadata.version(name) for name in _PACKAGES}
    known = set(_cpuinfo("flags", "Features").split())
    return Machine(
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        isa=tuple(name for name in _ISA if name in known),
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        versions={
            "python": platform.python_version(),
            "leansr": leansr.__version__,
            **versions,
        },
    )


def describe() -> str:
    """The processor's name and how many cores there are, without loading anything."""
    return f"{_cpu()} ({os.cpu_count() or 1} cores), Python {platform.python_version()}"


def load() -> float | None:
    """How many processes ran or waited over the last minute; None where that is not known."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def resident_mib() -> tuple[float, float] | None:
    """Memory of this process, in MiB: now, and at its peak; None where there is no /proc.

    Not `getrusage`, whose peak starts from that of the process that started this one.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    values = dict(_pairs(status))
    now, peak = (int(values[key].split()[0]) / 1024 for key in ("VmRSS", "VmHWM"))
    return now, peak


def _cpu() -> str:
    """The processor's name, and the generation, for virtual machines keep to "AMD EPYC"."""
    name = _cpuinfo("model name") or platform.processor() or platform.machine()
    generation = _cpuinfo("cpu family"), _cpuinfo("model")
    return f"{name}, family {generation[0]} model {generation[1]}" if all(generation) else name


def _cpuinfo(*keys: str) -> str:
    """The first value under any of the keys, empty if there is none."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return ""
    return next((value for key, value in _pairs(path) if key in keys), "")


def _pairs(path: Path) -> Iterator[tuple[str, str]]:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        yield key.strip(), value.strip()
