"""How much memory there is for work, and how much a network takes for its."""

import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path

# Where Linux says what it has and what a group of processes may have.
_PROC, _CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
# LR pixels a side that a tile has at least: below, nearly all of it is halo.
_SMALLEST = 64
# What tiles may take together, and each at least where there are many threads.
_ROOM, _ROOM_OF_ONE = 1 << 30, 1 << 28
# What ONNX Runtime takes for each byte of features: measured 1.5 for BSRN to 2.1 for SESR
# (`benchmarks/memory.py`). It takes memory in steps, so that at a few sizes it is up to 2.8.
_RUNTIME = 2.5
# Bytes for each SR pixel of a tile beside the network: chroma, colour and rounding, measured there.
_COLOUR = 60
# For each LR pixel of a picture with alpha: to find where that is flat, and what is transparent.
_ALPHA = 24


def available() -> int | None:
    """Bytes that this process may take beside what it has, None if the system does not say."""
    if sys.platform == "linux":
        known = _meminfo(), *_groups()
        return min((room for room in known if room is not None), default=None)
    try:
        # Of all there is: how much of it is free, these systems tell otherwise than each other.
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, ValueError, OSError):
        return None


def tile_side(wanted: int, halo: int, pixel_bytes: int, threads: int, free: int | None) -> int:
    """LR pixels a side of tiles of which `threads` fit into memory, `wanted` if it is enough.

    `pixel_bytes` is what one pixel of a tile takes (`tile_bytes`), `halo` what there is around it;
    of the `free` bytes half are for tiles, None if it is not known how many there are.
    """
    room = max(_ROOM, threads * _ROOM_OF_ONE)
    if free is not None:
        room = min(room, free // 2)
    fits = math.isqrt(room // (threads * pixel_bytes)) - 2 * halo
    return max(_SMALLEST, min(fits, wanted))


def band_pixels(wanted: int, calls: int, pixel_bytes: float, free: int | None) -> int:
    """SR pixels of a band of the native engine, `wanted` if as many of `calls` at once fit.

    `pixel_bytes` is what each of them takes.
    """
    room = _ROOM if free is None else min(_ROOM, free // 2)
    return min(wanted, int(room / (calls * pixel_bytes)))


def native_bytes(itemsize: int, channels: int, scale: int) -> int:
    """Bytes for each LR pixel of a band of the native engine, beside the result.

    It makes no planes: there are its larger pixels, float64 as float32, and copies of its own.
    """
    one = min(itemsize, 4) * (3 if channels >= 3 else 1)
    if channels in (2, 4):
        return max(one * (scale**2 + 1), _ALPHA) + itemsize * channels
    return one * (scale**2 + (itemsize > 4))


def tile_bytes(features: int, scale: int) -> int:
    """Bytes for each LR pixel of a tile that is upscaled, by the network's features for one."""
    return round(_RUNTIME * features + _COLOUR * scale**2)


def check(needed: int, what: str) -> None:
    """MemoryError if there are not so many bytes for `what`."""
    free = available()
    if free is not None and needed > free:
        room = f"{in_words(needed)} for {what}, of {in_words(free)} that are free"
        raise MemoryError(room)


def in_words(count: int) -> str:
    """Bytes as a person reads them."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**29 else f"{count / 2**20:.0f} MiB"


def _meminfo() -> int | None:
    for line in _lines(_PROC / "meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _groups() -> Iterator[int | None]:
    """What the process's control groups leave, and the groups that those are in."""
    for line in _lines(_PROC / "self/cgroup"):
        _, kinds, path = line.split(":", 2)
        if kinds == "":
            base, names = _CGROUPS, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in kinds.split(","):
            base = _CGROUPS / "memory"
            names = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
        else:
            continue
        # In a container the path is the host's, and its own group lies at the base.
        group = base / path.lstrip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(base):
                yield _room(folder, *names)


def _room(group: Path, limit: str, usage: str, cache: str) -> int | None:
    limits, usages = _lines(group / limit), _lines(group / usage)
    if not limits or not usages or not limits[0].isdecimal():
        return None
    # Files in memory that nobody uses go when room is needed.
    counts = (line.split() for line in _lines(group / "memory.stat"))
    spare = sum(int(count) for name, count in counts if name == cache)
    return max(0, int(limits[0]) - int(usages[0]) + spare)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="surrogateescape").splitlines()
    except OSError:
        return []
