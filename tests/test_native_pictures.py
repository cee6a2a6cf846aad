"""Pictures through the native engine: whole, by rows and in tiles, and which precision they get."""

import json
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from leansr import Upscaler, zoo
from leansr.errors import UsageError, WeightsError
from leansr.image.arrays import from_unit
from leansr.image.picture import MODES, Picture
from leansr.image.quality import planes, psnr
from leansr.image.strips.rows import Whole
from leansr.runtime import memory, upscaler
from leansr.runtime.backend import is_had, method_of, of_precision, runner
from leansr.runtime.benchmarks import open_folder
from leansr.runtime.choice import Upscalers
from leansr.runtime.evaluate import read_pair
from leansr.runtime.native_library import is_built
from leansr.runtime.route import Route
from leansr.runtime.size import wanted
from leansr.zoo.release import every_release, release_of

HAS = {name: is_built() and method_of(name) is not None for name in ("bfloat16", "int8")}
needs_engine = pytest.mark.skipif(not is_built(), reason="the native engine was not built")
# Pixels of 8 bits and deeper ones, by auto.
AUTO = ("bfloat16" if HAS["bfloat16"] else "float32"), "float32"


def is_sesr_in_floats(release):
    variant = zoo.find(release.variant, release.scale)
    return variant.family == "sesr" and variant.dtype != "int8"


@needs_engine
@settings(max_examples=25)
@given(
    height=st.integers(1, 90),
    # Now and then wider than the lines that a thread has in its cache.
    width=st.one_of(st.integers(1, 90), st.integers(1, 90), st.integers(91, 1100)),
    channels=st.integers(1, 4),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
    tile=st.integers(16, 60),
    threads=st.integers(1, 3),
    at_once=st.integers(1, 3),
    scale=st.sampled_from([2, 4]),
    precision=st.sampled_from(["fp32", *(["bf16"] * HAS["bfloat16"]), *(["int8"] * HAS["int8"])]),
    seed=st.integers(0, 99),
)
def test_tiles_and_threads_change_nothing(
    height, width, channels, dtype, tile, threads, at_once, scale, precision, seed
):
    """Whole groups of rows are rounded as one, wherever a part of a picture begins and ends."""
    pixels = from_unit(np.random.default_rng(seed).random((height, width, channels)), dtype)
    one, other = (
        Upscaler("sesr-m5", scale, backend="native", precision=precision, **options)
        for options in ({"threads": 1}, {"tile": tile, "threads": threads, "at_once": at_once})
    )
    expected = one(pixels)
    assert expected.shape == (height * scale, width * scale, channels)
    with ThreadPoolExecutor(at_once) as pool:
        for result in pool.map(other, [pixels] * at_once):
            np.testing.assert_array_equal(result, expected)


@needs_engine
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("mode", MODES)
def test_bands_are_the_picture(photo, monkeypatch, mode, dtype):
    monkeypatch.setattr(upscaler, "_NATIVE_BAND", 90 * 40 * 4)
    unit = np.dstack([photo, photo[::-1, ::-1, :1]])[:133, :90] / 255
    pixels = from_unit(
        unit[..., [0] if mode == "L" else [0, 3] if mode == "LA" else range(MODES[mode])], dtype
    )
    by_rows = Upscaler("sesr-m3", backend="native", threads=2)
    bands = list(by_rows.bands(Whole(Picture(pixels, mode))))
    assert len(bands) == 4
    np.testing.assert_array_equal(np.concatenate(bands), by_rows(pixels))


@needs_engine
def test_a_picture_at_once_is_the_same_in_rows(photo, monkeypatch):
    pixels = photo[:133, :90] / np.float32(255)
    whole = Upscaler("sesr-m11", backend="native")(pixels)
    monkeypatch.setattr(upscaler, "_NATIVE_BAND", 90 * 40 * 4)
    np.testing.assert_array_equal(Upscaler("sesr-m11", backend="native")(pixels), whole)


@needs_engine
def test_floats_of_64_bits_come_back(photo):
    pixels = photo[:20, :30] / 255.0
    result = Upscaler(backend="native")(pixels)
    assert result.dtype == np.float64
    expected = Upscaler(backend="onnxruntime")(pixels)
    np.testing.assert_allclose(result, expected, atol=1e-4)


@needs_engine
def test_what_memory_allows(photo, monkeypatch):
    """Bands get lower; where there is hardly any, it is said what to do."""
    pixels = np.tile(photo, (2, 2, 1))
    expected = Upscaler("sesr-m3", precision="fp32", backend="native")(pixels)
    monkeypatch.setattr(memory, "available", lambda: 30 << 20)
    tight = Upscaler("sesr-m3", precision="fp32", backend="native")
    rows, _ = tight._grid(*pixels.shape[:2], 1, 3)
    assert len(rows) > 1
    np.testing.assert_array_equal(tight(pixels), expected)
    monkeypatch.setattr(memory, "available", lambda: 1 << 20)
    with pytest.raises(MemoryError, match=r"free memory, or write \.png or \.tif"):
        tight(pixels)


@needs_engine
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_memory_is_what_is_planned(channels, dtype):
    unit = np.random.default_rng(0).random((300, 400, channels))
    if channels in (2, 4):
        unit[:100, :, -1], unit[::3, ::2, -1] = 1, 0
    pixels = from_unit(unit, dtype)
    native = Upscaler("sesr-m3", backend="native", threads=1)
    native(pixels)
    tracemalloc.start()
    result = native(pixels)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    work = memory.native_bytes(pixels.itemsize, channels, 2) * 300 * 400
    assert work / 2 < peak - result.nbytes < work + (1 << 18)


@needs_engine
def test_the_numbers_of_deeper_pixels_are_made_when_they_come(photo):
    auto = Upscaler("sesr-m3")
    auto(photo[:20, :20])
    assert auto._fine is None
    auto(photo[:20, :20].astype(np.uint16))
    assert (auto._fine is not None) == HAS["bfloat16"]


@needs_engine
def test_threads_are_those_of_all_callers():
    assert Upscaler(backend="native", threads=2, at_once=4)._inner == 2
    assert Upscaler(backend="onnxruntime", threads=4, at_once=2)._workers == 2


@needs_engine
def test_off_goes_by_rows_too(photo, monkeypatch):
    monkeypatch.setattr(upscaler, "_NATIVE_BAND", 90 * 40 * 4)
    native = Upscaler("sesr-m3", backend="native", tile="off")
    assert len(native._grid(133, 90, 1, 3)[0]) == 4


@pytest.mark.parametrize(
    ("model", "scale", "options", "expected"),
    [
        ("sesr-m5", 2, {}, ("native", *AUTO)),
        ("sesr-xl", 4, {"precision": "fp32"}, ("native", "float32", "float32")),
        ("sesr-m5", 2, {"backend": "onnxruntime"}, ("onnxruntime", "float32", "float32")),
        ("fmen-s", 4, {}, ("onnxruntime", "float32", "float32")),
        (
            *("sesr-m5-int8", 2, {}),
            ("native" if HAS["int8"] else "onnxruntime", "int8", "int8"),
        ),
        ("sesr-m5-int8", 2, {"backend": "onnxruntime"}, ("onnxruntime", "int8", "int8")),
        (
            *("sesr-m5", 2, {"weights": release_of("sesr-m5", 2).onnx}),
            ("onnxruntime", "float32", "float32"),
        ),
    ],
)
def test_what_runs_a_network(model, scale, options, expected):
    found = runner(model, scale, "clean", **options)
    if not is_built() and expected[0] == "native":
        assert found.why == "the native engine was not built"
        expected = "onnxruntime", "float32", "float32"
    assert (found.backend, found.coarse, found.fine) == expected
    assert (found.numbers(np.uint8), found.numbers(np.uint16)) == expected[1:]
    assert found.path.suffix == (".safetensors" if expected[0] == "native" else ".onnx")
    # Nothing is to be explained where it is the engine, or was asked for.
    is_plain = found.backend == "native" or options.get("backend") == "onnxruntime"
    assert (found.why is None) == is_plain


@needs_engine
def test_precisions_of_pictures(photo):
    pixels = photo[:60, :60]
    auto, floats, theirs = (
        Upscaler(**options) for options in ({}, {"precision": "fp32"}, {"backend": "onnxruntime"})
    )
    deep = pixels.astype(np.uint16) * 257
    np.testing.assert_array_equal(auto(deep), floats(deep))
    assert np.abs(floats(pixels).astype(int) - theirs(pixels)).max() <= 1
    if HAS["bfloat16"]:
        pairs = Upscaler(precision="bf16")
        np.testing.assert_array_equal(auto(pixels), pairs(pixels))
        apart = np.abs(pairs(deep).astype(float) - floats(deep)) / 65535
        assert 0 < apart.max() < 0.05
        assert apart.mean() < 0.5 / 255
    else:
        np.testing.assert_array_equal(auto(pixels), floats(pixels))


@needs_engine
@pytest.mark.skipif(not HAS["bfloat16"], reason="this processor has no bfloat16")
@pytest.mark.shared_data
@pytest.mark.parametrize("benchmark", ["Set5", "Set14"])
@pytest.mark.parametrize(
    "release", [r for r in every_release() if is_sesr_in_floats(r)], ids=lambda r: r.onnx.stem
)
def test_bfloat16_costs_a_hundredth_of_a_decibel(shared_data, release, benchmark):
    """Which is what auto may cost; a release that loses more is none."""
    scale = release.scale
    pairs = open_folder(shared_data / "benchmarks" / benchmark / f"x{scale}", scale).pairs
    options = {"backend": "native", "input": release.kind}
    psnrs = []
    for precision in ("fp32", "bf16"):
        upscale = Upscaler(release.variant, scale, precision=precision, **options)
        of_pictures = []
        for pair in pairs:
            hr, lr = read_pair(pair, scale)
            of_pictures.append(psnr(*(planes(p, "y", scale) for p in (upscale(lr), hr))))
        psnrs.append(np.mean(of_pictures))
    assert psnrs[1] > psnrs[0] - 0.01


@pytest.mark.parametrize("backend", ["auto", "onnxruntime"])
def test_eight_bits_are_the_release_of_eight_bits(photo, backend):
    pixels = photo[:60, :60]
    by_precision = Upscaler(precision="int8", backend=backend)
    assert by_precision.model == "sesr-m5-int8"
    expected = Upscaler("sesr-m5-int8", backend=backend)(pixels)
    np.testing.assert_array_equal(by_precision(pixels), expected)
    floats = Upscaler(backend="onnxruntime")(pixels).astype(int)
    assert 0 < np.abs(floats - expected).mean() < 1.5


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"precision": "fp64"}, UsageError, "fp64: no such precision; one of auto, fp32"),
        ({"backend": "cuda"}, UsageError, "cuda: no such backend; one of auto, onnxruntime"),
        (
            {"backend": "onnxruntime", "precision": "bf16"},
            *(UsageError, "no bf16; use --precision fp32"),
        ),
        (
            {"model": "sesr-m3", "precision": "int8"},
            *(UsageError, "sesr-m3: has no release of eight bits; .* sesr-m11, sesr-m5"),
        ),
        (
            {"model": "sesr-m5-int8", "precision": "bf16"},
            *(UsageError, "is of eight bits; for --precision bf16 use sesr-m5"),
        ),
        (
            {"weights": "a.onnx", "precision": "int8"},
            *(UsageError, "a.onnx: --precision int8 takes a release; .* sesr-m5-int8"),
        ),
        ({"weights": "a.onnx", "precision": "bf16"}, UsageError, "so there is no bf16"),
        (
            {"model": "fmen-s", "scale": 4, "backend": "native"},
            *(UsageError, "fmen-s: the native engine runs SESR alone; use --backend onnxruntime"),
        ),
        (
            {"weights": "a.onnx", "backend": "native"},
            *(UsageError, "a.onnx: weights of one's own .* ONNX Runtime alone; use --backend onnx"),
        ),
        (
            {"weights": "a.onnx", "backend": "onnxruntime", "precision": "bf16"},
            *(UsageError, "no bf16; use --precision fp32$"),
        ),
        ({"model": "fmen-s", "scale": 4, "precision": "bf16"}, UsageError, "no bf16; use"),
        ({"input": "photo", "precision": "int8"}, WeightsError, "sesr-m5-int8 x2: has no photo"),
    ],
)
def test_what_cannot_be_had(options, error, words):
    for make in (Upscaler, Upscalers):
        with pytest.raises(error, match=words) as raised:
            make(**options)
        assert "\n" not in str(raised.value)


@pytest.mark.skipif(is_built(), reason="the native engine was built")
@pytest.mark.parametrize("options", [{"backend": "native"}, {"precision": "bf16"}])
def test_without_the_engine_it_is_said(options):
    with pytest.raises(UsageError, match="the native engine was not built"):
        Upscaler(**options)


@needs_engine
@pytest.mark.skipif(HAS["int8"], reason="this processor has int8")
def test_a_processor_without_eight_bits_has_another_way():
    with pytest.raises(UsageError, match=r"no int8 for this processor; use --backend onnxruntime"):
        Upscaler(backend="native", precision="int8")


def test_names_of_eight_bits():
    assert of_precision("sesr-m11", "int8") == "sesr-m11-int8"
    assert of_precision("sesr-m11-int8", "int8") == "sesr-m11-int8"
    assert of_precision("sesr-m11", "fp32") == "sesr-m11"
    assert of_precision("unheard-of", "int8") == "unheard-of"


def test_what_a_budget_picks_from():
    known = every_release()
    assert all(is_had(release) for release in known)
    eight = {r.variant for r in known if is_had(r, precision="int8")}
    assert eight == {r.variant for r in known if zoo.find(r.variant, r.scale).dtype == "int8"}
    native = {r.variant for r in known if is_had(r, backend="native", precision="fp32")}
    sesr = {r.variant for r in known if zoo.find(r.variant, r.scale).family == "sesr"}
    assert native == (sesr if is_built() else set())
    if not is_built():
        with pytest.raises(UsageError, match="no released network runs by this --backend"):
            Route(wanted(2), "auto", budget=1.0, backend="native")


@pytest.mark.parametrize("precision", ["auto", "fp32", "int8"])
def test_a_budget_takes_eight_bits_where_they_are_asked_for(precision):
    known = Route(wanted(2), "auto", budget=1.0, precision=precision)._known
    is_int8 = {zoo.find(r.variant, r.scale).dtype == "int8" for r in known}
    assert is_int8 == {precision == "int8"}


def test_what_changes_pixels_is_in_the_settings():
    plain, floats = (Route(wanted(2), precision=p).settings()["engines"] for p in ("auto", "fp32"))
    assert plain.keys() >= {"sesr-m5_x2", "sesr-m5_x4"}
    assert (plain == floats) == (not HAS["bfloat16"])
    theirs = Route(wanted(2), backend="onnxruntime").settings()["engines"]
    assert theirs["sesr-m5_x2"] == ["onnxruntime", "float32", "float32"]
    assert (plain == theirs) == (not is_built())


def leansr(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "leansr", *arguments], capture_output=True, text=True, check=True
    )


def test_the_command_says_once_what_it_runs(tmp_path, photo):
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(photo[:20, :30]).save(tmp_path / "in" / name)

    where = tmp_path / "in", "-o", tmp_path / "out"

    def told(*arguments):
        done = leansr("upscale", *where, "--overwrite", "-v", *arguments)
        return [line for line in done.stderr.splitlines() if line.startswith("leansr: ")][:-1]

    by_default = "ONNX Runtime, float32 (the native engine was not built)"
    if is_built():
        by_default = f"native engine, {AUTO[0]}"
    assert told() == [f"leansr: {by_default}"]
    eight = "--backend", "onnxruntime", "--precision", "int8"
    assert told(*eight) == ["leansr: ONNX Runtime, int8"]
    given = "--data", tmp_path / "in", "--protocol", "sesr", "--json"
    done = leansr("evaluate", "sesr-m3", "--backend", "auto", *given)
    engine = json.loads(done.stdout)["engine"]
    assert engine == by_default.replace("bfloat16", "float32")
    row = json.loads(leansr("upscale", *where, "--overwrite", "--json").stdout.splitlines()[0])
    assert row["engine"] == by_default
    done = leansr("evaluate", "sesr-m5", "--precision", "int8", *given)
    assert json.loads(done.stdout)["variant"] == "sesr-m5-int8"
