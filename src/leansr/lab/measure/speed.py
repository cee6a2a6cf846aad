"""Speed and memory of networks side by side, in one interleaved run."""

import random
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from leansr.errors import UsageError
from leansr.lab.export.onnx_graph import to_onnx
from leansr.lab.measure.complexity import complexity
from leansr.lab.measure.contender import NATIVE, Backend, Contender, Dtype, Form
from leansr.lab.measure.machine import Machine, load, machine
from leansr.lab.measure.runner import network_of
from leansr.lab.measure.worker import Turn, Worker, started
from leansr.zoo.release import releases

# Until torch's threads, which spin for some milliseconds after a run, sleep.
_PAUSE_SECONDS = 0.01


@dataclass(frozen=True)
class Row:
    """What one contender took. Times in ms over its runs, memory in MiB, None where not known.

    `dtype` is int8 where a file of eight bits runs. `q1_ms` and `q3_ms` are the quartiles.
    `gmacs_per_s` are the convention pure's Multi-Adds over the median. `base_rss_mib` is the
    process's memory before the first run, its libraries and weights; `peak_rss_mib` is the most it
    ever took. `seconds` are the runs, in the order of the rounds, which all rows of a benchmark
    share.
    """

    variant: str
    form: Form
    backend: Backend
    dtype: Dtype | Literal["int8"]
    weights: Literal["released", "random"]
    threads: int
    median_ms: float
    min_ms: float
    q1_ms: float
    q3_ms: float
    gmacs_per_s: float
    base_rss_mib: float | None
    peak_rss_mib: float | None
    peak_cuda_mib: float | None
    seconds: tuple[float, ...] = field(repr=False)

    def as_json(self) -> dict[str, Any]:
        """All but the single runs."""
        return {key: value for key, value in asdict(self).items() if key != "seconds"}


@dataclass(frozen=True)
class Speed:
    """The rows of one run, when and on what they ran, and the machine's load before and after.

    `date` is the day in UTC when it began, as ISO 8601 has it. `lr` is height and width of the
    picture.
    """

    date: str
    machine: Machine
    threads: int
    scale: int
    lr: tuple[int, int]
    warmup: int
    runs: int
    load: tuple[float | None, float | None]
    rows: tuple[Row, ...]

    def as_json(self) -> dict[str, Any]:
        """The keys of `leansr bench --json`."""
        before, after = self.load
        about = {"threads": self.threads, "load_before": before, "load_after": after}
        return {
            "schema": 1,
            "scale": self.scale,
            "lr_size": list(self.lr),
            "warmup": self.warmup,
            "runs": self.runs,
            "date": self.date,
            "machine": asdict(self.machine) | about,
            "rows": [row.as_json() for row in self.rows],
        }


def bench(
    contenders: Sequence[Contender],
    lr: tuple[int, int],
    threads: int,
    *,
    warmup: int = 3,
    runs: int = 20,
    report: Callable[[str], None] = lambda line: None,
) -> Speed:
    """Runs each contender once a round, in a new order every round, each in its own process.

    So what slows the machine for a while slows all of them, and memory is each one's own. `lr` is
    height and width, of a random picture. The first `warmup` rounds are not counted. ONNX Runtime
    gets the released file or, where there is none, an export of random weights, as torch has.
    Raises UsageError for a backend or size that cannot be, MeasureError where a run fails.
    """
    _check(contenders, lr)
    date = datetime.now(UTC).date().isoformat()
    before = load()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="leansr-")))
        files = [_onnx(contender, folder) for contender in contenders]
        workers = [stack.enter_context(started(contender, threads)) for contender in contenders]
        for worker, file in zip(workers, files, strict=True):
            worker.load(lr, file)
        bases = [worker.ready() for worker in workers]
        report(f"{len(workers)} contenders loaded, {warmup} + {runs} rounds")
        rounds = _rounds(workers, warmup + runs)
    return Speed(
        date=date,
        machine=machine(),
        threads=threads,
        scale=contenders[0].scale,
        lr=lr,
        warmup=warmup,
        runs=runs,
        load=(before, load()),
        rows=tuple(
            _row(contender, lr, threads, base, turns[warmup:])
            for contender, base, turns in zip(
                contenders, bases, zip(*rounds, strict=True), strict=True
            )
        ),
    )


def _check(contenders: Sequence[Contender], lr: tuple[int, int]) -> None:
    if len({contender.scale for contender in contenders}) != 1:
        raise UsageError("a benchmark has one scale, and one contender or more")
    for contender in contenders:
        if min(lr) < contender.row.smallest:
            raise UsageError(
                f"{contender.variant}: takes {contender.row.smallest} pixels a side or more; "
                f"give a larger --lr-size than {lr[1]}x{lr[0]}"
            )
        if contender.backend == "cuda" and not torch.cuda.is_available():
            raise UsageError("cuda: torch finds no GPU on this machine; use another --backend")


def _rounds(workers: Sequence[Worker], count: int) -> list[list[Turn]]:
    """For each round the turn of every worker, in the workers' order."""
    shuffle = random.Random(0).shuffle
    rounds = []
    for _ in range(count):
        order = list(range(len(workers)))
        shuffle(order)
        turns: dict[int, Turn] = {}
        for index in order:
            turns[index] = workers[index].turn()
            time.sleep(_PAUSE_SECONDS)
        rounds.append([turns[index] for index in range(len(workers))])
    return rounds


def _row(
    contender: Contender,
    lr: tuple[int, int],
    threads: int,
    base: float | None,
    turns: Sequence[Turn],
) -> Row:
    seconds = tuple(turn.seconds for turn in turns)
    least, q1, median, q3 = np.percentile(seconds, (0, 25, 50, 75)).tolist()
    shape = (1, contender.row.channels, *lr)
    multi_adds = complexity(network_of(contender), shape).multi_adds
    is_released = contender.backend in NATIVE
    if contender.backend == "onnxruntime":
        is_released = _released(contender) is not None
    return Row(
        variant=contender.variant,
        form=contender.form,
        backend=contender.backend,
        dtype=contender.runs_in,
        weights="released" if is_released else "random",
        threads=threads,
        median_ms=1000 * median,
        min_ms=1000 * least,
        q1_ms=1000 * q1,
        q3_ms=1000 * q3,
        gmacs_per_s=multi_adds / median / 1e9,
        base_rss_mib=base,
        peak_rss_mib=turns[-1].peak_rss_mib,
        peak_cuda_mib=turns[-1].peak_cuda_mib,
        seconds=seconds,
    )


def _onnx(contender: Contender, folder: Path) -> Path | None:
    """The contender's ONNX file, written into `folder` where none is released."""
    if contender.backend != "onnxruntime":
        return None
    path = _released(contender) or folder / f"{contender.variant}.onnx"
    if not path.exists():
        model = to_onnx(network_of(contender), contender.row, contender.scale)
        path.write_bytes(model.SerializeToString())
    return path


def _released(contender: Contender) -> Path | None:
    release = releases().get((contender.variant, contender.scale))
    return None if release is None else release.onnx
