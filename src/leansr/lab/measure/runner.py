"""The process of one contender: it makes the network ready, then runs it once a turn.

Libraries are imported where they are needed, so that the memory of a process is its own
backend's.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from leansr.lab.measure.contender import NATIVE, Contender
from leansr.lab.measure.machine import resident_mib

if TYPE_CHECKING:
    from leansr.lab.nets.network import Network
    from leansr.runtime.backend import Runner

Run = Callable[[], object]


def main() -> None:
    """Reads a job, then a line for every turn; answers each with a line of JSON."""
    # What libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    job = json.loads(sys.stdin.readline())
    contender = Contender(**job["contender"])
    try:
        run = ready(contender, tuple(job["lr"]), job["threads"], job["onnx"])
        print(json.dumps({"base_rss_mib": _resident(0)}), file=answers)
        while sys.stdin.readline():
            print(json.dumps(_turn(run, contender.backend == "cuda")), file=answers)
    except Exception as cause:  # a backend's errors have no common base
        reason = str(cause).strip().partition("\n")[0]
        print(json.dumps({"error": f"{type(cause).__name__}: {reason}"}), file=answers)


def ready(contender: Contender, lr: tuple[int, int], threads: int, onnx: str | None) -> Run:
    """What runs the contender once on a random picture of `lr` (height, width).

    `onnx` is the file that ONNX Runtime runs; torch's networks are random.
    """
    shape = (1, contender.row.channels, *lr)
    if contender.backend == "onnxruntime":
        assert onnx is not None
        return _onnxruntime(onnx, shape, threads)
    if contender.backend in NATIVE:
        return _native(contender.native(), lr, threads)
    return _torch(contender, shape, threads)


def network_of(contender: Contender) -> "Network":
    """The contender's network with random weights, the same every time, in evaluation mode."""
    import torch

    from leansr.lab.nets import as_drawn, build

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if contender.form == "training":
            return as_drawn(contender.row, contender.scale).eval()
        return build(contender.row, contender.scale).deploy()


def _onnxruntime(path: str, shape: tuple[int, ...], threads: int) -> Run:
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    # Its threads would spin for 40 ms after a run and take the cores from the next contender.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    lr = np.random.default_rng(0).random(shape, np.float32)
    return lambda: session.run(["sr"], {"lr": lr})


def _native(found: "Runner", lr: tuple[int, int], threads: int) -> Run:
    import numpy as np

    from leansr.runtime.backend import method_of
    from leansr.runtime.native import NativeSession

    method = method_of(found.fine)
    assert method is not None, f"{found} was made for this processor"
    session = NativeSession(found.path, threads, method=method)
    luma = np.random.default_rng(0).random((*lr, 1), np.float32)
    return lambda: session(luma)


def _torch(contender: Contender, shape: tuple[int, ...], threads: int) -> Run:
    import torch

    torch.set_num_threads(threads)
    # A row that says float32 is no TF32.
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
    device, dtype = ("cuda" if contender.backend == "cuda" else "cpu"), contender.dtype
    network: Any = network_of(contender).to(device, getattr(torch, dtype))
    lr = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    lr = lr.to(device, getattr(torch, dtype))
    if contender.backend == "torch-compile":
        network = torch.compile(network)

    @torch.inference_mode()
    def run() -> object:
        return network(lr)

    return run


def _turn(run: Run, is_cuda: bool) -> dict[str, float | None]:
    """Runs once. Seconds of the run alone, all of it done on a GPU too; memory in MiB so far."""
    cuda_mib = None
    if is_cuda:
        import torch

        torch.cuda.synchronize()
        began = time.perf_counter()
        run()
        torch.cuda.synchronize()
        seconds = time.perf_counter() - began
        cuda_mib = torch.cuda.max_memory_allocated() / 2**20
    else:
        began = time.perf_counter()
        # Kept, so that its memory is given back after the clock has stopped.
        _sr = run()
        seconds = time.perf_counter() - began
    return {"seconds": seconds, "peak_rss_mib": _resident(1), "peak_cuda_mib": cuda_mib}


def _resident(which: int) -> float | None:
    found = resident_mib()
    return None if found is None else found[which]


if __name__ == "__main__":
    main()
