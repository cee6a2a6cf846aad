"""What this machine's CPU can do at most, measured when called."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from leansr.lab.measure.hardware import Hardware
from leansr.lab.measure.machine import describe

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_SIDE = 1536
_COPIED = 128 * 1024 * 1024
_RUNS = 5
_UNITS = {"K": 1024, "M": 1024**2, "G": 1024**3}


def cpu(threads: int) -> Hardware:
    """This machine's CPU in float32 on `threads` threads, its peaks the best of a few runs.

    The buffer is the last cache that the system tells of, 0 bytes if it tells of none.
    """
    buffer = last_cache(_CACHES)
    with _on(threads):
        square = torch.rand(_SIDE, _SIDE)
        product = torch.empty_like(square)
        macs_per_s = _SIDE**3 / _best(lambda: torch.mm(square, square, out=product))
        source = torch.zeros(max(_COPIED, 4 * buffer) // 4)
        target = torch.zeros_like(source)
        bytes_per_s = 2 * 4 * source.numel() / _best(lambda: target.copy_(source))
    where = f"on {threads} thread(s) of {describe()}"
    return Hardware(
        name="cpu",
        macs_per_s=macs_per_s,
        dram_bytes_per_s=bytes_per_s,
        buffer_bytes=buffer,
        bytes_per_value=4,
        sources=(
            ("macs_per_s", f"measured now: {_SIDE} x {_SIDE} matrix product in torch, {where}"),
            ("dram_bytes_per_s", "measured now: a copy in torch, bytes read and written"),
            ("buffer_bytes", f"{_CACHES}: the last cache" if buffer else "no cache is known"),
        ),
    )


def last_cache(folder: Path) -> int:
    """Bytes of the cache of the highest level under `folder`, laid out as Linux does; or 0."""
    sizes = {
        int((cache / "level").read_text()): (cache / "size").read_text().strip()
        for cache in folder.glob("index*")
        if (cache / "type").read_text().strip() != "Instruction"
    }
    if not sizes:
        return 0
    size = sizes[max(sizes)]
    return int(size[:-1]) * _UNITS[size[-1]] if size[-1] in _UNITS else int(size)


def _best(run: Callable[[], object]) -> float:
    """The least time of a few runs, in seconds."""
    run()
    seconds = []
    for _ in range(_RUNS):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


@contextmanager
def _on(threads: int) -> Iterator[None]:
    """Within it torch runs on `threads` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
