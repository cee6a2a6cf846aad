"""What a benchmark ran on, to be printed with every figure."""

import platform
from pathlib import Path


def describe() -> str:
    """The processor's name and how many of its cores there are."""
    cpuinfo = Path("/proc/cpuinfo")
    names = [platform.processor() or platform.machine()]
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} ({len(names)} cores), Python {platform.python_version()}"
