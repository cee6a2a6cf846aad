"""The native engine beside other runtimes: released SESR, luma in and out, interleaved.

python benchmarks/engine.py [--variants sesr-m5,sesr-m11] [--sizes 640x360] [--threads 1,2]
                            [--runs 15] [--isa avx512,avx2] [--methods winograd,bf16,int8]
                            [--json]

Each round runs every contender once, and then multiply-adds in registers alone, on as many threads:
the peak that the shares are of, median of median. Ratios are of medians and of minima, to the
fastest other runtime of as many bits or more. Runtimes that are not installed are named.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import click
import numpy as np
import onnxruntime

from leansr.image import codecs
from leansr.image.arrays import Floats, to_unit
from leansr.image.colour import luma
from leansr.lab.measure.machine import describe, load
from leansr.runtime.native import NativeSession
from leansr.runtime.native_library import instruction_sets, multiply_adds
from leansr.runtime.native_library import methods as known_methods
from leansr.zoo.release import Release, release_of, releases

# Luma `(H, W)` to luma; None is a runtime that is not installed.
Run = Callable[[Floats], Floats]
# Tens of milliseconds, in which as much comes between as in a run.
PEAK_ROUNDS = 4_000_000


@dataclass(frozen=True)
class Row:
    """One contender at one size; `share` is of the float32 peak, `error` apart from onnxruntime."""

    variant: str
    size: str
    threads: int
    contender: str
    median_ms: float
    min_ms: float
    gmacs_per_s: float
    share: float
    error: float


def native(release: Release, threads: int, isa: str, method: str) -> Run:
    tensors = (_int8_of(release) if method == "int8" else release).tensors
    session = NativeSession(tensors, threads, isa=isa, method=method)  # type: ignore[arg-type]
    return lambda lr: session(lr[..., None])[..., 0]


def onnx_runtime(release: Release, threads: int) -> Run:
    """The released file, whose PReLUs are spelt out as products and sums, the faster form."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Else its threads would spin into the next contender's run.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(
        release.onnx, options, providers=["CPUExecutionProvider"]
    )
    return lambda lr: session.run(["sr"], {"lr": lr[None, None]})[0][0, 0]


def _int8_of(release: Release) -> Release:
    return release_of(f"{release.variant}-int8", release.scale)


def torch_channels_last(release: Release, threads: int, compiled: bool) -> Run:
    import torch

    from leansr.lab.weights import open_network

    network = open_network(release.tensors)[0].deploy().eval()
    network = network.to(memory_format=torch.channels_last)
    if compiled:
        network = torch.compile(network, dynamic=False)

    def run(lr: Floats) -> Floats:
        torch.set_num_threads(threads)
        with torch.inference_mode():
            planes = torch.from_numpy(lr[None, None]).to(memory_format=torch.channels_last)
            return network(planes)[0, 0].numpy()

    return run


def openvino(release: Release, threads: int, precision: str) -> Run:
    """int8 is by its own quantiser, whose kernels fuse PReLU; those of our file do not."""
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_PRECISION_HINT": "f32" if precision == "int8" else precision,
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    # It fuses PReLU itself, so it is given the form that has not been spelt out.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prelu.onnx"
        path.write_bytes(_with_prelu(release))
        model = core.read_model(path)
        if precision == "int8":
            import nncf

            # One picture gives its ranges, on which its speed does not depend.
            model = nncf.quantize(model, nncf.Dataset([photo()[None, None]]))
        request = core.compile_model(model, "CPU", settings).create_infer_request()
    return lambda lr: request.infer([lr[None, None]])[0][0, 0]


def photo() -> Floats:
    """Luma of the demo's picture."""
    pixels = codecs.read(Path(__file__).parents[1] / "demo" / "flowers.png").pixels
    return luma(to_unit(pixels[..., :3]))


def litert_int8(release: Release, threads: int, size: tuple[int, int]) -> Run:
    """The int8 release as `leansr export -o FILE.tflite` writes it."""
    from leansr.lab.export.litert import LitertSession, to_litert
    from leansr.lab.weights import open_network

    network, variant, scale = open_network(_int8_of(release).tensors)
    content = to_litert(network.deploy(), variant, scale, size, release.card["licence"])
    session = LitertSession(content, threads=threads)
    return lambda lr: session(lr[..., None])[..., 0]


def ncnn(release: Release, threads: int, size: tuple[int, int]) -> Run:
    import ncnn

    height, width = size
    folder = Path(tempfile.mkdtemp())
    (folder / "m.onnx").write_bytes(_with_prelu(release))
    # pnnx wants two sizes to know that there is more than one.
    sizes = [f"inputshape=[1,1,{height},{width}]", "inputshape2=[1,1,101,77]"]
    subprocess.run(
        ["pnnx", "m.onnx", *sizes, "fp16=0"], cwd=folder, check=True, capture_output=True
    )
    network = ncnn.Net()
    network.opt.num_threads = threads
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic"):
        setattr(network.opt, option, False)
    network.opt.use_bf16_storage = False
    if network.load_param(str(folder / "m.ncnn.param")) != 0:
        raise RuntimeError("ncnn cannot read what pnnx wrote")
    network.load_model(str(folder / "m.ncnn.bin"))

    def run(lr: Floats) -> Floats:
        with network.create_extractor() as extractor:
            extractor.input("in0", ncnn.Mat(lr[None]).clone())
            return np.array(extractor.extract("out0")[1])[0]

    return run


def _with_prelu(release: Release) -> bytes:
    """The released network as ONNX with PRelu nodes."""
    from leansr.lab.export.onnx_graph import traced
    from leansr.lab.weights import open_network

    network = open_network(release.tensors)[0].deploy().eval()
    return bytes(traced(network, 1).SerializeToString())


def contenders(
    release: Release, threads: int, size: tuple[int, int], isas: list[str], methods: list[str]
) -> Iterator[tuple[str, Callable[[], Run] | None]]:
    """How to make each; None if it is not installed."""
    has_int8 = (f"{release.variant}-int8", release.scale) in releases()
    for isa in isas:
        for method in filter(known_methods(isa).__contains__, methods):
            if method != "int8" or has_int8:
                make = partial(native, release, threads, isa, method)
                yield f"native {isa} {method}", make
    peers: dict[str, tuple[tuple[str, ...], Callable[[], Run]]] = {
        "onnxruntime": (("onnxruntime",), lambda: onnx_runtime(release, threads)),
        "torch channels-last": (("torch",), lambda: torch_channels_last(release, threads, False)),
        "torch.compile": (("torch",), lambda: torch_channels_last(release, threads, True)),
        "openvino f32": (("openvino",), lambda: openvino(release, threads, "f32")),
        "openvino bf16": (("openvino",), lambda: openvino(release, threads, "bf16")),
        "openvino int8": (("openvino", "nncf"), lambda: openvino(release, threads, "int8")),
        "ncnn": (("ncnn", "pnnx"), lambda: ncnn(release, threads, size)),
    }
    if has_int8:
        peers |= {
            "onnxruntime int8": (
                ("onnxruntime",),
                lambda: onnx_runtime(_int8_of(release), threads),
            ),
            "litert int8": (("ai_edge_litert",), lambda: litert_int8(release, threads, size)),
        }
    for name, (packages, make) in peers.items():
        yield name, make if all(map(find_spec, packages)) else None


def measure(
    release: Release, size: tuple[int, int], threads: int, runs: int, ways: dict[str, Run]
) -> tuple[list[Row], float]:
    """Rows, and the peak in GMAC/s."""
    height, width = size
    lr = np.random.default_rng(0).random((height, width), np.float32)
    expected = ways["onnxruntime"](lr)
    errors = {name: float(np.abs(run(lr) - expected).max()) for name, run in ways.items()}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    peaks = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(runs):
            for name, run in ways.items():
                began = time.perf_counter()
                run(lr)
                seconds[name].append(time.perf_counter() - began)
            began = time.perf_counter()
            isa = [instruction_sets()[0]] * threads
            count = sum(pool.map(multiply_adds, isa, [PEAK_ROUNDS] * threads))
            peaks.append(count / (time.perf_counter() - began) / 1e9)
    peak = statistics.median(peaks)
    macs = release.card["conv_weights"] * height * width / 1e9
    rows = []
    for name, values in seconds.items():
        median = statistics.median(values)
        rows.append(
            Row(
                variant=release.variant,
                size=f"{width}x{height}",
                threads=threads,
                contender=name,
                median_ms=1000 * median,
                min_ms=1000 * min(values),
                gmacs_per_s=macs / median,
                share=macs / median / peak,
                error=errors[name],
            )
        )
    return rows, peak


def show(rows: list[Row], peak: float) -> None:
    """A table, and how the native rows stand to the fastest of the others in their precision."""
    first = rows[0]
    click.echo(
        f"{first.variant} x2, {first.size}, {first.threads} thread(s), peak {peak:.0f} GMAC/s"
    )
    for row in rows:
        click.echo(
            f"  {row.contender:26} median {row.median_ms:8.1f} ms, best {row.min_ms:8.1f} ms, "
            f"{row.gmacs_per_s:6.1f} GMAC/s, {100 * row.share:4.0f} % of the peak, "
            f"{row.error:.0e} from onnxruntime"
        )
    for row in rows:
        if not row.contender.startswith("native"):
            continue
        others = [
            other
            for other in rows
            # Floats are beaten by floats; fewer bits have to beat them too.
            if not other.contender.startswith("native") and bits(other) >= bits(row)
        ]
        median = min(others, key=lambda other: other.median_ms)
        least = min(others, key=lambda other: other.min_ms)
        click.echo(
            f"  {row.contender}: {median.median_ms / row.median_ms:.2f} times as fast as "
            f"{median.contender} by medians, {least.min_ms / row.min_ms:.2f} times "
            f"{least.contender} by best runs"
        )


def bits(row: Row) -> int:
    """Of the products, by a contender's name."""
    return {"bf16": 16, "int8": 8}.get(row.contender.rpartition(" ")[2], 32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--variants", default="sesr-m5,sesr-m11")
    parser.add_argument("--sizes", default="640x360")
    parser.add_argument("--threads", default="1")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--isa", default=instruction_sets()[0])
    parser.add_argument("--methods", default="winograd,bf16,int8")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    every: list[Row] = []
    missing: set[str] = set()
    before = load()
    for variant in arguments.variants.split(","):
        release = release_of(variant, 2)
        for text in arguments.sizes.split(","):
            width, height = map(int, text.split("x"))
            for threads in map(int, arguments.threads.split(",")):
                kinds = (arguments.isa.split(","), arguments.methods.split(","))
                known = dict(contenders(release, threads, (height, width), *kinds))
                missing |= {name for name, make in known.items() if make is None}
                ways = {name: make() for name, make in known.items() if make is not None}
                rows, peak = measure(release, (height, width), threads, arguments.runs, ways)
                every += rows
                if not arguments.json:
                    show(rows, peak)
    words = {"machine": describe(), "load": [before, load()], "not installed": sorted(missing)}
    if arguments.json:
        click.echo(json.dumps({"schema": 1, "rows": [asdict(row) for row in every], **words}))
    else:
        click.echo("; ".join(f"{key}: {value}" for key, value in words.items()))


if __name__ == "__main__":
    # OpenMP of other runtimes would spin after a run, into the next contender's.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    main()
