"""The native engine equals plain loops, and ONNX Runtime on the releases."""

import json
import multiprocessing
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leansr import zoo
from leansr.errors import UsageError, WeightsError
from leansr.runtime.native import NativeSession, can_run
from leansr.runtime.native_engine import CHANNELS, Engine, Shape
from leansr.runtime.native_library import (
    instruction_sets,
    is_built,
    methods,
    multiply_adds,
)
from leansr.runtime.onnx_session import OnnxSession
from leansr.runtime.upscaler import Upscaler
from leansr.zoo.release import every_release
from leansr.zoo.tensors import read_tensors

pytestmark = pytest.mark.skipif(not is_built(), reason="the native engine was not built")

ISAS = instruction_sets() if is_built() else []
# "int8" is of other weights, and test_native_int8.py has it.
EVERY = [(isa, method) for isa in ISAS for method in methods(isa) if method != "int8"]
RELEASES = [r for r in every_release() if can_run(zoo.find(r.variant, r.scale))]


def by_name(shape, values):
    parts, at = {}, 0
    for name, size in shape.tensors().items():
        count = int(np.prod(size))
        parts[name] = values[at : at + count].reshape(size).astype(np.float64)
        at += count
    return parts


def convolution(x, weight, outside=0):
    """`(C, H, W)` with a level for each channel around it, tap by tap."""
    radius = weight.shape[-1] // 2
    height, width = x.shape[1:]
    around = [(0, 0), (radius, radius), (radius, radius)]
    padded = np.pad(x, around, constant_values=outside)
    sums = np.zeros((len(weight), height, width))
    for dy in range(2 * radius + 1):
        for dx in range(2 * radius + 1):
            window = padded[:, dy : dy + height, dx : dx + width]
            sums += np.einsum("oc,chw->ohw", weight[:, :, dy, dx], window)
    return sums


def shuffled(x):
    """PixelShuffle(2)."""
    channels, height, width = x.shape
    blocks = x.reshape(channels // 4, 2, 2, height, width).transpose(0, 3, 1, 4, 2)
    return blocks.reshape(channels // 4, 2 * height, 2 * width)


def plain(shape, values, lr):
    """SESR in float64, as its figure is drawn."""
    tensors = by_name(shape, values)

    def layer(name, x):
        return convolution(x, tensors[f"{name}.weight"]) + tensors[f"{name}.bias"][:, None, None]

    deep = shallow = layer("first", lr[None] - 0.5)
    for block in range(shape.blocks):
        slope = tensors[f"body.{2 * block + 1}.weight"]
        deep = layer(f"body.{2 * block}", deep)
        deep = np.where(deep > 0, deep, slope[:, None, None] * deep)
    sr = layer("last", deep + shallow)
    sr = sr + lr if shape.input_residual else sr
    for _ in range(shape.scale // 2):
        sr = shuffled(sr)
    return sr[0]


def random_values(shape, seed, activation):
    """Weights that keep features at the size of the picture, as trained ones do."""
    rng = np.random.default_rng(seed)
    parts = []
    for name, size in shape.tensors().items():
        if len(size) == 4:
            parts.append(rng.normal(0, np.prod(size[1:]) ** -0.5, size))
        elif len(size) == 1 and name.endswith("bias"):
            parts.append(rng.normal(0, 0.1, size))
        else:
            parts.append(rng.uniform(-0.5, 1.5, size) * (activation == "prelu"))
    return np.concatenate([part.ravel() for part in parts]).astype(np.float32)


def assert_near(sr, expected, method):
    """bfloat16 has 8 bits; a pixel in a wrong place is as wrong as the picture is large."""
    atol = 1e-4 if method != "bf16" else 0.1 * max(1, np.abs(expected).max())
    np.testing.assert_allclose(sr, expected, rtol=1e-4, atol=atol)


shapes = st.builds(
    Shape,
    channels=st.sampled_from(CHANNELS),
    blocks=st.integers(1, 6),
    scale=st.sampled_from([2, 4]),
    input_residual=st.booleans(),
)
# One pixel, thin, odd, and wider than the narrowest strip, which is 48 columns.
sides = st.one_of(st.integers(1, 12), st.integers(1, 160))


@settings(max_examples=60)
@given(
    shape=shapes,
    height=sides,
    width=sides,
    threads=st.integers(1, 3),
    way=st.sampled_from(EVERY or [("", "")]),
    activation=st.sampled_from(["prelu", "relu"]),
    cache=st.sampled_from([0, 1]),
    seed=st.integers(0, 2**32 - 1),
)
def test_equals_plain_loops(shape, height, width, threads, way, activation, cache, seed):
    values = random_values(shape, seed, activation)
    lr = np.random.default_rng(seed).random((height, width), np.float32)
    isa, method = way
    engine = Engine(shape, values, threads, isa=isa, method=method, cache=cache)
    assert_near(engine(lr), plain(shape, values, lr.astype(np.float64)), method)
    alone = Engine(shape, values, 1, isa=isa, method=method, cache=cache)
    np.testing.assert_array_equal(engine(lr), alone(lr))


@pytest.mark.parametrize(("isa", "method"), EVERY)
@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("width", [47, 48, 49, 95, 96, 97, 143, 150, 200])
def test_widths_around_the_ends_of_strips(isa, method, channels, width):
    shape = Shape(channels, 2, 2)
    values = random_values(shape, width, "prelu")
    lr = np.random.default_rng(width).random((9, width), np.float32)
    narrow = Engine(shape, values, 1, isa=isa, method=method, cache=1)(lr)
    assert_near(narrow, plain(shape, values, lr.astype(float)), method)


@pytest.mark.parametrize(("height", "width"), [(1025, 1), (1029, 3)])
def test_pictures_higher_than_a_band_of_one_thread(height, width):
    shape = Shape(16, 1, 2)
    values = random_values(shape, 6, "prelu")
    lr = np.random.default_rng(6).random((height, width), np.float32)
    alone = Engine(shape, values, 1)(lr)
    assert_near(alone, plain(shape, values, lr.astype(np.float64)), "winograd")
    np.testing.assert_array_equal(Engine(shape, values, 3)(lr), alone)


@pytest.mark.parametrize("release", RELEASES, ids=lambda r: r.tensors.stem)
def test_releases_equal_onnx_runtime(release, photo):
    lr = np.ascontiguousarray(photo[:90, :123, :1] / np.float32(255))
    ours, theirs = NativeSession(release.tensors, 2), OnnxSession(release.onnx, 1)
    assert (ours.variant, ours.scale, ours.halo) == (theirs.variant, theirs.scale, theirs.halo)
    np.testing.assert_allclose(ours(lr), theirs(lr), atol=1e-4)


def test_every_released_sesr_can_be_run():
    assert {r.variant for r in RELEASES} == {
        r.variant for r in every_release() if zoo.find(r.variant, r.scale).family == "sesr"
    }


def test_borders_are_zeros_of_every_layer():
    """A strip cut out of a picture differs at its edge, and only within the halo."""
    shape = Shape(16, 3, 2)
    engine = Engine(shape, random_values(shape, 1, "prelu"), 1)
    lr = np.random.default_rng(1).random((60, 60), np.float32)
    whole, part = engine(lr)[:, 40:], engine(lr[:, 20:])
    halo = 2 * shape.halo
    np.testing.assert_allclose(whole[:, halo:], part[:, halo:], atol=1e-5)
    assert np.abs(whole[:, :2] - part[:, :2]).max() > 1e-3


def test_arrays_of_any_layout():
    shape = Shape(16, 1, 2)
    engine = Engine(shape, random_values(shape, 2, "prelu"), 1)
    lr = np.random.default_rng(2).random((40, 60), np.float32)
    expected = engine(np.ascontiguousarray(lr[4:20, 7:40]))
    np.testing.assert_array_equal(engine(lr[4:20, 7:40]), expected)
    np.testing.assert_array_equal(engine(np.asfortranarray(lr)[4:20, 7:40]), expected)
    np.testing.assert_array_equal(engine(lr[::-1][::-1].astype(np.float64)[4:20, 7:40]), expected)
    np.testing.assert_array_equal(engine(lr[::-1]), engine(lr[::-1].copy()))
    odd = np.frombuffer(b"?" + lr.tobytes(), np.uint8)[1:].view(np.float32).reshape(lr.shape)
    np.testing.assert_array_equal(engine(odd[4:20, 7:40]), expected)


def test_several_callers_at_once():
    shape = Shape(16, 3, 2)
    values = random_values(shape, 3, "prelu")
    pictures = np.random.default_rng(3).random((12, 70, 90), np.float32)
    for threads in (1, 3):
        engine = Engine(shape, values, threads)
        alone = [engine(lr) for lr in pictures]
        with ThreadPoolExecutor(4) as pool:
            for one, other in zip(alone, pool.map(engine, pictures), strict=True):
                np.testing.assert_array_equal(one, other)


def _answer(engine, lr, queue):
    queue.put(engine(lr))


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="there is no fork here"
)
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_goes_on_alone():
    shape = Shape(16, 1, 2)
    engine = Engine(shape, random_values(shape, 4, "prelu"), 3)
    lr = np.random.default_rng(4).random((80, 30), np.float32)
    expected = engine(lr)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=_answer, args=(engine, lr, queue))
    process.start()
    np.testing.assert_array_equal(queue.get(timeout=60), expected)
    process.join()
    assert process.exitcode == 0


_FEW_THREADS = """
import resource
from pathlib import Path
import numpy as np
from leansr.runtime.native_engine import Engine, Shape

shape = Shape(16, 1, 2)
count = sum(int(np.prod(size)) for size in shape.tensors().values())
values = np.random.default_rng(0).normal(0, 0.1, count).astype(np.float32)
lr = np.random.default_rng(1).random((300, 20), np.float32)
expected = Engine(shape, values, 1)(lr)
lines = Path("/proc/self/status").read_text().splitlines()
used = 1024 * int(next(line for line in lines if line.startswith("VmSize")).split()[1])
before = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (used + (60 << 20), before[1]))
engine = Engine(shape, values, 64)
resource.setrlimit(resource.RLIMIT_AS, before)
assert len(list(Path("/proc/self/task").iterdir())) < 64
assert np.array_equal(engine(lr), expected)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_fewer_threads_than_asked_for_where_the_system_starts_no_more():
    done = subprocess.run(
        [sys.executable, "-c", _FEW_THREADS], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_what_the_engine_refuses():
    shape = Shape(16, 1, 2)
    values = random_values(shape, 5, "prelu")
    with pytest.raises(UsageError, match="mmx: is none of"):
        Engine(shape, values, 1, isa="mmx")
    with pytest.raises(UsageError, match="mmx: is none of"):
        multiply_adds("mmx", 1)
    with pytest.raises(UsageError, match="int8: portable has direct, winograd"):
        Engine(shape, values, 1, isa="portable", method="int8")
    for threads in (0, -1, 4097, 2**32 + 1):
        with pytest.raises(UsageError, match=f"threads are 1 to 4096, not {threads}"):
            Engine(shape, values, threads)
    for cache in (-1, 2**31):
        with pytest.raises(ValueError, match="cache is 0 to"):
            Engine(shape, values, 1, cache=cache)
    with pytest.raises(ValueError, match="float32 are wanted"):
        Engine(shape, values[:-1], 1)
    for arguments in ((24, 1, 2), (16, 0, 2), (16, 1, 3)):
        with pytest.raises(ValueError, match="no kernels for"):
            Shape(*arguments)
    engine = Engine(shape, values, 1)
    for size in ((0, 3), (3, 0), (3, 3, 1)):
        with pytest.raises(ValueError, match="lr is"):
            engine(np.zeros(size, np.float32))


@pytest.mark.parametrize("isa", ISAS)
def test_the_peak_counts_what_it_runs(isa):
    assert multiply_adds(isa, 2000) == 2 * multiply_adds(isa, 1000) >= 2000 * 12 * 4


def _header(change):
    """Changes the header of a tensor file, with all else in its place."""

    def rewrite(content):
        start = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:start])
        change(header)
        return _framed(json.dumps(header).encode(), content[start:])

    return rewrite


def _framed(text, rest=b""):
    return len(text).to_bytes(8, "little") + text + rest


def _metadata(**words):
    return _header(lambda header: header["__metadata__"].update(words))


def _bias(**row):
    return _header(lambda header: header["last.bias"].update(row))


def rewritten(tmp_path, change):
    """The released SESR-M3 with its header changed."""
    content = next(r for r in RELEASES if r.variant == "sesr-m3").tensors.read_bytes()
    path = tmp_path / "changed.safetensors"
    path.write_bytes(change(content))
    return path


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda c: c.replace(b"sesr-m3", b"sesr-m9"), WeightsError, "metadata is damaged"),
        (lambda c: c.replace(b"sesr-m3", b"sesr-m5"), WeightsError, r"missing, .* body\.6\.bias"),
        (lambda c: c.replace(b"sesr-m3", b"bsrn-s "[:7]), WeightsError, "metadata is damaged"),
        (lambda c: c.replace(b"last.bias", b"lost.bias"), WeightsError, "last.bias, lost.bias"),
        (lambda c: c.replace(b"body.1.w", b"body.9.w"), WeightsError, r"body\.1\.weight"),
        (lambda c: c[:3000], WeightsError, "cannot be read"),
        (lambda c: b"", WeightsError, "cannot be read"),
        (lambda c: _framed(b"[]"), WeightsError, "cannot be read"),
        (lambda c: _framed(b"[" * 200_000), WeightsError, "cannot be read"),
        (_header(lambda h: h.update(__metadata__=[])), WeightsError, "cannot be read"),
        (_header(lambda h: h.update(__metadata__=None)), WeightsError, "cannot be read"),
        (_metadata(scale=None), WeightsError, "cannot be read .*not words"),
        (_metadata(scale=float("inf")), WeightsError, "cannot be read .*not words"),
        (_metadata(scale="inf"), WeightsError, "metadata is damaged"),
        (_metadata(variant=["sesr-m3"]), WeightsError, "cannot be read .*not words"),
        (_bias(shape=[10**30]), WeightsError, r"cannot be read .*last\.bias"),
        (_bias(shape=[2**62, 2**62]), WeightsError, r"cannot be read .*last\.bias"),
        (_bias(shape=[-1]), WeightsError, r"cannot be read .*last\.bias"),
        (_bias(shape=[4.0]), WeightsError, r"cannot be read .*last\.bias"),
        (_bias(shape=4), WeightsError, "cannot be read"),
        (_bias(data_offsets=[-16, 0]), WeightsError, r"cannot be read .*last\.bias"),
        (_bias(data_offsets=[16, 0]), WeightsError, r"cannot be read .*last\.bias"),
        (_bias(data_offsets=[10**9, 10**9 + 16]), WeightsError, r"cannot be read .*last\.bias"),
        (_bias(data_offsets=[0, 16, 32]), WeightsError, "cannot be read"),
        (_bias(dtype="I32"), WeightsError, r"another type: last\.bias"),
    ],
)
def test_files_that_are_not_what_they_say(tmp_path, change, error, message):
    with pytest.raises(error, match=f"changed.safetensors: .*{message}"):
        NativeSession(rewritten(tmp_path, change), 1)


def test_other_networks_are_refused():
    release = next(r for r in every_release() if r.variant == "fmen-s")
    assert not can_run(zoo.find("fmen-s", 4))
    with pytest.raises(UsageError, match="fmen-s: the native engine runs SESR alone"):
        NativeSession(release.tensors, 1)


def test_tensor_files_are_read_as_safetensors_reads_them():
    numpy_reader = pytest.importorskip("safetensors.numpy")
    for release in every_release():
        ours, theirs = read_tensors(release.tensors), numpy_reader.load_file(release.tensors)
        assert ours.tensors.keys() == theirs.keys()
        assert ours.metadata["variant"] == release.variant
        for name, values in theirs.items():
            np.testing.assert_array_equal(ours.tensors[name], values)


@pytest.mark.parametrize(("tile", "threads"), [("auto", 1), (40, 2), ("off", 2)])
def test_pictures_come_out_as_by_onnx_runtime(photo, tile, threads):
    pixels = photo[:90, :70]
    expected = Upscaler(backend="onnxruntime")(pixels).astype(int)
    ours = Upscaler(backend="native", precision="fp32", tile=tile, threads=threads)
    apart = np.abs(ours(pixels) - expected)
    assert apart.max() <= 1
    assert np.mean(apart > 0) <= 1e-3
