"""A contender in a process of its own: asked for one run at a time, and never left behind."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from leansr.errors import MeasureError
from leansr.lab.measure.contender import Contender


@dataclass(frozen=True)
class Turn:
    """One run: its seconds, and the most memory so far in MiB, None where that is not known."""

    seconds: float
    peak_rss_mib: float | None
    peak_cuda_mib: float | None


@contextmanager
def started(contender: Contender, threads: int) -> Iterator["Worker"]:
    """A process for the contender with that many threads, ended on the way out.

    It ends by itself should this process be killed.
    """
    with tempfile.TemporaryFile("w+") as complaints:
        # Its own session: an interrupt at the terminal is for this process, which then ends it.
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "leansr.lab.measure.runner"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            bufsize=1,
            env=_environment(threads),
            start_new_session=True,
        )
        try:
            yield Worker(contender, threads, process, complaints)
        finally:
            process.kill()
            process.communicate()


class Worker:
    """A started process: to be loaded, then waited for, then run.

    Whatever it dies of is a MeasureError that names the contender.
    """

    def __init__(
        self,
        contender: Contender,
        threads: int,
        process: subprocess.Popen[str],
        complaints: IO[str],
    ) -> None:
        self.contender = contender
        self.pid = process.pid
        self._threads = threads
        self._process = process
        self._complaints = complaints

    def load(self, lr: tuple[int, int], onnx: Path | None = None) -> None:
        """Begins to load the network for a picture of `lr` (height, width).

        `onnx` is the file for ONNX Runtime.
        """
        job = {
            "contender": asdict(self.contender),
            "lr": lr,
            "threads": self._threads,
            "onnx": None if onnx is None else str(onnx),
        }
        self._say(json.dumps(job))

    def ready(self) -> float | None:
        """Waits until the network is loaded; the MiB of memory that it takes before it runs."""
        base: float | None = self._answer()["base_rss_mib"]
        return base

    def turn(self) -> Turn:
        """Runs it once."""
        self._say("run")
        return Turn(**self._answer())

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{line}\n")
        except BrokenPipeError:
            raise self._dead() from None

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._dead()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise MeasureError(f"{self.contender}: cannot be run ({answer['error']})")
        return answer

    def _dead(self) -> MeasureError:
        code = self._process.wait()
        if code < 0:
            name = signal.Signals(-code).name
            return MeasureError(
                f"{self.contender}: its process was ended by {name}; "
                f"if memory ran out, give a smaller --lr-size"
            )
        self._complaints.seek(0)
        *_, last = ["it said nothing", *self._complaints.read().split("\n")[:-1]]
        return MeasureError(f"{self.contender}: its process ended with {code} ({last})")


def _environment(threads: int) -> dict[str, str]:
    """This process's environment and packages, with as many threads as are asked for."""
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        # The compiler would start processes of its own.
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
    }
