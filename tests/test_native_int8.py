"""The native engine in whole numbers equals plain loops, and eight bits cost what they may."""

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from test_native import convolution, shuffled

from leansr import zoo
from leansr.errors import UsageError, WeightsError
from leansr.image.colour import ycbcr
from leansr.image.resize import resize
from leansr.runtime.native import NativeSession, can_run
from leansr.runtime.native_engine import Engine, Shape
from leansr.runtime.native_library import instruction_sets, is_built, methods
from leansr.runtime.onnx_session import OnnxSession
from leansr.zoo.release import every_release, release_of
from leansr.zoo.tensors import read_tensors

ISAS = [isa for isa in instruction_sets() if "int8" in methods(isa)] if is_built() else []
pytestmark = pytest.mark.skipif(
    not ISAS, reason="the native engine was not built, or this processor has no VNNI"
)

RELEASES = [r for r in every_release() if ISAS and can_run(zoo.find(r.variant, r.scale), "int8")]
# Of luma that the first layer sees.
UNIT = 32767


def plain(shape, tensors, lr):
    """SESR with levels from 0 to 255 as the inputs of all but the first layer, in float64."""
    grids = [(float(scale), int(zero)) for scale, zero in tensors["grids"]]

    def levels(x, grid):
        scale, zero = grid
        return np.clip(np.round(x / scale) + zero, 0, 255)

    def layer(name, x, unit, zero):
        weight = tensors[f"{name}.weight"].astype(np.float64)
        sums = convolution(x, weight, zero) - zero * weight.sum((1, 2, 3))[:, None, None]
        by_output = (tensors[f"{name}.{kind}"][:, None, None] for kind in ("scale", "bias"))
        scale, bias = (values.astype(np.float64) for values in by_output)
        return sums * scale * unit + bias

    luma = np.clip(np.round((lr[None] - 0.5) * UNIT), -32768, 32767)
    shallow = layer("first", luma, 1 / UNIT, 0)
    deep = shallow
    for block in range(shape.blocks):
        slope = tensors[f"body.{2 * block + 1}.weight"][:, None, None].astype(np.float64)
        deep = layer(f"body.{2 * block}", levels(deep, grids[block]), *grids[block])
        deep = np.where(deep > 0, deep, slope * deep)
    sr = layer("last", levels(deep + shallow, grids[-1]), *grids[-1])
    sr = sr + lr if shape.input_residual else sr
    for _ in range(shape.scale // 2):
        sr = shuffled(sr)
    return sr[0]


def exact_tensors(shape, seed, activation):
    """Weights of which every float32 on the way is exact: so levels are the same, ties too.

    What is summed is times 9 and powers of 2, as the engine's transforms divide by 576, and luma
    times UNIT.
    """
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, size in shape.tensors("int8").items():
        kind = name.rpartition(".")[2]
        if name == "grids":
            levels = 2.0 ** -rng.integers(6, 8, size[:1])
            tensors[name] = np.stack([levels, rng.integers(0, 256, size[:1])], 1)
        elif len(size) == 4:
            spread = 8 if name == "first.weight" else 30
            tensors[name] = np.clip(np.round(rng.normal(0, spread, size)), -128, 127)
        elif name == "first.scale":
            tensors[name] = np.full(size, UNIT * 2.0**-19)
        elif kind == "scale":
            tensors[name] = 9 * 2.0 ** -rng.integers(12, 14, size)
        elif kind == "bias":
            tensors[name] = rng.integers(-8, 9, size) / 64
        else:
            tensors[name] = rng.integers(-2, 7, size) / 4 * (activation == "prelu")
    return tensors


def engine(shape, tensors, threads, **options):
    values = np.concatenate([np.ravel(tensors[name]) for name in shape.tensors("int8")])
    return Engine(shape, values.astype(np.float32), threads, method="int8", **options)


def picture(seed, height, width):
    return np.random.default_rng(seed).integers(0, 257, (height, width)).astype(np.float32) / 256


shapes = st.builds(
    Shape,
    channels=st.just(16),
    blocks=st.integers(1, 6),
    scale=st.sampled_from([2, 4]),
    input_residual=st.booleans(),
)
# One pixel, thin, odd, and wider than the narrowest strip, which is 48 columns.
sides = st.one_of(st.integers(1, 12), st.integers(1, 160))


@settings(max_examples=40)
@given(
    shape=shapes,
    height=sides,
    width=sides,
    threads=st.integers(1, 3),
    isa=st.sampled_from(ISAS or [""]),
    activation=st.sampled_from(["prelu", "relu"]),
    cache=st.sampled_from([0, 1]),
    seed=st.integers(0, 2**32 - 1),
)
def test_equals_plain_loops(shape, height, width, threads, isa, activation, cache, seed):
    tensors = exact_tensors(shape, seed, activation)
    lr = picture(seed, height, width)
    sr = engine(shape, tensors, threads, isa=isa, cache=cache)(lr)
    np.testing.assert_allclose(sr, plain(shape, tensors, lr), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("width", [47, 48, 49, 95, 96, 97, 143, 150, 200])
def test_widths_around_the_ends_of_strips(isa, width):
    shape = Shape(16, 2, 2)
    tensors = exact_tensors(shape, width, "prelu")
    lr = picture(width, 9, width)
    narrow = engine(shape, tensors, 1, isa=isa, cache=1)(lr)
    np.testing.assert_allclose(narrow, plain(shape, tensors, lr), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("sign", [-128, 127])
@pytest.mark.parametrize("zero", [0, 255])
def test_the_largest_sums_fit(isa, sign, zero):
    """All weights and all features as far from zero as eight bits go."""
    shape = Shape(16, 3, 2, input_residual=False)
    tensors = exact_tensors(shape, 0, "prelu")
    for name, values in tensors.items():
        if name == "grids":
            values[:] = 2.0**-8, zero
        elif values.ndim == 4:
            values[:] = sign
        elif name.endswith("bias"):
            values[:] = 0
        elif name.endswith("weight"):
            values[:] = 1
    lr = np.full((12, 110), (zero == 0) == (sign > 0), np.float32)
    expected = plain(shape, tensors, lr)
    assert np.abs(expected).max() > 100
    np.testing.assert_allclose(engine(shape, tensors, 1, isa=isa)(lr), expected, rtol=1e-6)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("zero", [0, 128, 255])
@pytest.mark.parametrize("seed", range(4))
def test_the_largest_numbers_of_either_sign_fit(isa, zero, seed):
    """As above, with signs at random: products of a transform are the largest where they differ."""
    rng = np.random.default_rng(seed)
    shape = Shape(16, 2, 2, input_residual=False)
    tensors = exact_tensors(shape, seed, "prelu")
    for name, values in tensors.items():
        if name == "grids":
            values[:] = 2.0**-8, zero
        elif values.ndim == 4:
            values[:] = rng.choice([-128, 127], values.shape)
        elif name.endswith("bias"):
            values[:] = 0
        elif name.endswith("weight"):
            values[:] = 1
    # So the features of the first layer are black and white as luma is.
    tensors["first.weight"][:] = 0
    tensors["first.weight"][:, :, 2, 2] = rng.choice([-128, 127], (16, 1))
    random = rng.integers(0, 2, (20, 110))
    board = np.indices((20, 110)).sum(0) % 2
    run = engine(shape, tensors, 1, isa=isa)
    for lr in (random.astype(np.float32), board.astype(np.float32)):
        np.testing.assert_allclose(run(lr), plain(shape, tensors, lr), rtol=1e-6, atol=1e-5)


def of_file(path, shape):
    """The tensors of a release as the loops above want them."""
    found = read_tensors(path).tensors
    names = ["first", *(f"body_{i}" for i in range(1, 2 * shape.blocks - 1, 2)), "add"]
    grids = [(found[f"ranges.{name}.scale"], found[f"ranges.{name}.zero"]) for name in names]
    tensors = {"grids": np.array(grids, np.float64)}
    for name in shape.tensors("int8"):
        layer, kind = name.rpartition(".")[::2]
        if kind == "bias":
            tensors[name] = found[name].astype(np.float64) * found[f"{layer}.bias_scale"]
        elif kind in ("scale", "weight"):
            tensors[name] = found[f"{layer}.weight_scale" if kind == "scale" else name]
    return tensors


@pytest.mark.parametrize("release", RELEASES, ids=lambda r: r.tensors.stem)
def test_releases_equal_plain_loops(release, photo):
    lr = np.ascontiguousarray(photo[:60, :123, :1] / np.float32(255))
    session = NativeSession(release.tensors, 2, method="int8")
    assert (session.variant, session.scale) == (release.variant, release.scale)
    shape = Shape(16, session.halo - 4, release.scale)
    expected = plain(shape, of_file(release.tensors, shape), lr[..., 0].astype(np.float64))
    apart = np.abs(session(lr)[..., 0] - expected)
    # In float32 a tie may go to the other level, which the pixels around it then see.
    assert np.median(apart) < 1e-6
    assert apart.max() < 0.02


@pytest.mark.parametrize("release", RELEASES, ids=lambda r: r.tensors.stem)
def test_releases_are_nearer_to_the_floats_than_in_onnx_runtime(release, photo):
    """All that the two share is what they are of."""
    lr = np.ascontiguousarray(photo[:90, :123, :1] / np.float32(255))
    floats = release_of(release.variant.removesuffix("-int8"), release.scale)
    expected = OnnxSession(floats.onnx, 1)(lr)
    ours, theirs = (
        np.sqrt(np.mean(np.square(session(lr) - expected)))
        for session in (
            NativeSession(release.tensors, 1, method="int8"),
            OnnxSession(release.onnx, 1),
        )
    )
    assert ours < theirs < 0.01


@pytest.mark.shared_data
@pytest.mark.parametrize("release", RELEASES, ids=lambda r: r.tensors.stem)
@pytest.mark.parametrize("benchmark", ["Set5", "Set14"])
def test_eight_bits_cost_a_twentieth_of_a_decibel(shared_data, release, benchmark):
    scale = release.scale
    floats = release_of(release.variant.removesuffix("-int8"), scale)
    sessions = [NativeSession(floats.tensors, 1), NativeSession(release.tensors, 1, method="int8")]
    psnr = []
    for path in sorted((shared_data / "benchmarks" / benchmark / f"x{scale}/HR").glob("*.png")):
        hr = np.asarray(Image.open(path).convert("RGB"), np.float32) / 255
        hr = hr[: len(hr) // scale * scale, : hr.shape[1] // scale * scale]
        lr = np.round(np.clip(resize(hr, Fraction(1, scale)), 0, 1) * 255) / 255
        hr, lr = (ycbcr(x.astype(np.float32))[..., :1] for x in (hr, lr))
        inner = np.s_[scale:-scale, scale:-scale]
        apart = [(np.round(s(lr) * 255) / 255 - hr)[inner] for s in sessions]
        psnr.append([-10 * np.log10(np.mean(np.square(a))) for a in apart])
    whole = np.mean(psnr, axis=0)
    assert whole[0] > 27
    assert whole[0] - whole[1] < 0.05


def test_every_int8_release_of_a_sesr_can_be_run():
    assert {(r.variant, r.scale) for r in RELEASES} == {
        (r.variant, r.scale)
        for r in every_release()
        if r.variant.startswith("sesr-") and r.variant.endswith("-int8")
    }
    assert not can_run(zoo.find("sesr-m5-int8", 2))
    assert not can_run(zoo.find("sesr-m5", 2), "int8")
    assert not can_run(zoo.find("sesr-xl-int8", 2), "int8")
    assert not can_run(zoo.find("rcan-bl-int8", 2), "int8")
    assert not can_run(zoo.find("fmen-s-int8", 4), "int8")


def test_methods_are_for_their_own_releases():
    floats, whole = (release_of(name, 2).tensors for name in ("sesr-m5", "sesr-m5-int8"))
    with pytest.raises(UsageError, match=r"m5_x2\.safe.* is of float32.* with -int8"):
        NativeSession(floats, 1, method="int8")
    for method in ("direct", "winograd", "bf16"):
        with pytest.raises(
            UsageError, match=rf'int8, not for method "{method}"; use method "int8"'
        ):
            NativeSession(whole, 1, method=method)


def test_what_the_engine_refuses():
    shape = Shape(32, 1, 2)
    tensors = exact_tensors(shape, 0, "prelu")
    with pytest.raises(UsageError, match="int8: networks of 16 channels alone, not of 32"):
        engine(shape, tensors, 1)
    with pytest.raises(UsageError, match="int8: portable has direct, winograd"):
        engine(Shape(16, 1, 2), exact_tensors(Shape(16, 1, 2), 0, "prelu"), 1, isa="portable")
    floats = np.zeros(sum(int(np.prod(t)) for t in Shape(16, 1, 2).tensors().values()), np.float32)
    with pytest.raises(ValueError, match="float32 are wanted"):
        Engine(Shape(16, 1, 2), floats, 1, method="int8")


def rewritten(path, change):
    """The released SESR-M5 with its header and metadata changed, still in step."""
    content = release_of("sesr-m5-int8", 2).tensors.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    tensors = bytearray(content[start:])
    change(header, tensors)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + tensors)
    return path


def _network(text):
    return lambda header, _: header["__metadata__"].update(network=text)


def _byte(name, value):
    def change(header, tensors):
        begin, end = header[name]["data_offsets"]
        tensors[begin:end] = value * ((end - begin) // len(value))

    return change


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (_network('{"keep":["first","add_1"]}'), UsageError, "keeps first, add_1 in floats"),
        (_network('{"keep":[]}'), UsageError, "keeps nothing in floats"),
        (_network("{}"), WeightsError, "does not say what it keeps"),
        (_network("?"), WeightsError, "does not say what it keeps"),
        (_network('{"keep":5}'), WeightsError, "does not say what it keeps"),
        (_network('{"keep":null}'), WeightsError, "does not say what it keeps"),
        (_network('{"keep":"add_1"}'), WeightsError, "does not say what it keeps"),
        (_network('{"keep":[1]}'), WeightsError, "does not say what it keeps"),
        (_network("[" * 200_000), WeightsError, "does not say what it keeps"),
        (lambda h, _: h.pop("body.1.weight"), WeightsError, r"another type: body\.1\.weight"),
        (lambda h, _: h.pop("ranges.add.zero"), WeightsError, r"another type: ranges\.add\.zero"),
        (lambda h, _: h["last.weight"].update(dtype="U8"), WeightsError, r"type: last\.weight"),
        (_byte("body.0.weight_zero", b"\1"), WeightsError, r"body\.0\.weight_zero is not 0"),
        (_byte("last.weight_scale", b"\0\0\0\0"), WeightsError, r"last\.weight_scale is not fin"),
        (_byte("ranges.add.scale", b"\0\0\xc0\x7f"), WeightsError, r"add\.scale is not finite"),
        (_byte("ranges.add.scale", b"\0\0\x80\x7f"), WeightsError, r"add\.scale is not finite"),
        # 1e-10, of values of about 1; and a slope that is not a number.
        (_byte("ranges.first.scale", b"\xff\xe6\xdb\x2e"), WeightsError, r"first\.scale is too sm"),
        (_byte("ranges.body_1.scale", b"\xff\xe6\xdb\x2e"), WeightsError, r"y_1\.scale is too sm"),
        (_byte("ranges.add.scale", b"\xff\xe6\xdb\x2e"), WeightsError, r"add\.scale is too small"),
        (_byte("body.1.weight", b"\0\0\xc0\x7f"), WeightsError, r"body_1\.scale is too small"),
    ],
)
def test_files_that_are_not_what_they_say(tmp_path, change, error, message):
    path = rewritten(tmp_path / "changed.safetensors", change)
    with pytest.raises(error, match=f"changed.safetensors: .*{message}"):
        NativeSession(path, 1, method="int8")
