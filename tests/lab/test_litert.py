"""LiteRT files of networks of eight bits: their arithmetic, and that they are the simulation."""

import json
import sys
from collections import Counter
from dataclasses import replace

import litert_files
import numpy as np
import onnx
import pytest
import torch
from commands import leansr
from litert_files import differing, luma_upscaler, simulation
from onnx import numpy_helper
from PIL import Image
from test_int8 import started, tiny

from leansr import zoo
from leansr.errors import ExportError, UsageError, WeightsError
from leansr.lab.export import litert
from leansr.lab.export.agreement import ON_THE_NEXT, apart
from leansr.lab.export.litert import LitertSession, share_apart, to_litert
from leansr.lab.export.litert_graph import lowered
from leansr.lab.nets import build
from leansr.lab.quantize import post_training
from leansr.lab.train.recipe import load as load_recipe
from leansr.lab.weights import Trained, save_weights
from leansr.runtime.benchmarks import find, open_folder
from leansr.runtime.evaluate import evaluate
from leansr.runtime.upscaler import Upscaler
from leansr.zoo.release import release_of

schema = pytest.importorskip("ai_edge_litert.schema_py_generated")

VARIANT = zoo.VARIANTS["sesr-m3-int8"]


def file_of(network):
    return lowered(network.eval().deploy(), 1, (24, 32), "")


def graph_of(content):
    """Operators by name, and the tensors with their buffers' content."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    (graph,) = model.subgraphs
    names = {n: k for k, n in vars(schema.BuiltinOperator).items() if not k.startswith("_")}
    codes = [names[code.builtinCode] for code in model.operatorCodes]
    operators = Counter(codes[one.opcodeIndex] for one in graph.operators)
    return operators, [(t, model.buffers[t.buffer].data) for t in graph.tensors], model


@pytest.mark.parametrize("scheme", ["sesr", "study"])
def test_a_file_is_of_whole_numbers(scheme):
    content = file_of(started("sesr-m3", scheme=scheme))
    operators, tensors, _ = graph_of(content)
    slopes = {"sesr": {"DEPTHWISE_CONV_2D": 6, "MAXIMUM": 3}, "study": {"PRELU": 3}}
    assert operators == {
        **{"CONV_2D": 5, "ADD": 2, "DEPTH_TO_SPACE": 1, **slopes[scheme]},
        # The ends: lr and lr - 0.5 to their grids, the picture from its own.
        **{"SUB": 1, "QUANTIZE": 2, "DEQUANTIZE": 1},
    }
    kind = {"sesr": schema.TensorType.INT8, "study": schema.TensorType.UINT8}[scheme]
    # In floats: lr, lr - 0.5 and its number, sr.
    counts = Counter(t.type for t, _ in tensors)
    assert set(counts) == {kind, schema.TensorType.INT32, schema.TensorType.FLOAT32}
    assert counts[schema.TensorType.FLOAT32] == 4
    # The kernels, a quarter of what they are in the released file in floats.
    kernels = sum(d.size for t, d in tensors if d is not None and len(t.shape) == 4)
    floats = onnx.load(release_of("sesr-m3", 2).onnx).graph.initializer
    assert kernels <= 0.27 * sum(
        numpy_helper.to_array(t).nbytes for t in floats if len(t.dims) == 4
    )
    # Runtimes read constants where they lie, by 16 bytes.
    kernel = max((d for _, d in tensors if d is not None), key=len)
    assert content.index(kernel.tobytes()) % 16 == 0


@pytest.mark.parametrize(
    ("of", "scale", "arguments"),
    [
        ("sesr-m3", 2, {}),
        # Two depths-to-space, the first of four channels.
        ("sesr-m3", 4, {}),
        ("sesr-m3", 2, {"scheme": "study"}),
        ("sesr-m3-hw", 2, {}),
        ("sesr-m3-hw", 2, {"scheme": "study"}),
        ("sesr-m3", 2, {"keep": ("add_1",)}),
        ("sesr-m3", 4, {"keep": ("first", "body.2", "add", "last")}),
    ],
)
def test_a_file_is_its_simulation(of, scale, arguments):
    network = started(of, scale, **arguments)
    variant = replace(VARIANT, arguments={"of": of, **arguments})
    content = file_of(network)
    session = LitertSession(content)
    # Of other pictures and shapes than it was held to when it was written.
    assert share_apart(session, network.deploy(), variant, seed=1) <= ON_THE_NEXT
    lr = np.random.default_rng(2).random((24, 32, 1), np.float32)
    assert session(lr).shape == (24 * scale, 32 * scale, 1)
    assert np.abs(session(lr) - simulation(network.deploy())(lr)).max() <= 4 / 255


def test_slopes_above_one_are_on_a_grid():
    network = started("sesr-m3")
    with torch.no_grad():
        network.body[1].weight[3] = 1.25
    operators, *_ = graph_of(file_of(network))
    assert (operators["PRELU"], operators["MAXIMUM"]) == (1, 2)


def test_a_file_says_what_it_is():
    content = to_litert(started("sesr-m3").deploy(), VARIANT, 2, (24, 32), "CC0")
    *_, model = graph_of(content)
    assert json.loads(model.description) == {
        "leansr": {
            **{"schema": 1, "variant": "sesr-m3-int8", "scale": 2, "colour": "y"},
            **{"halo": 7, "licence": "CC0"},
        }
    }


def test_a_file_of_another_network_is_not_written(monkeypatch):
    other = started("sesr-m3").deploy()
    with torch.no_grad():
        other.ranges["add_1"].scale *= 1.3
    monkeypatch.setattr(litert, "lowered", lambda network, *given: lowered(other, *given))
    with pytest.raises(ExportError, match=r"sesr-m3-int8 x2: LiteRT is more than a level from to"):
        to_litert(started("sesr-m3").deploy(), VARIANT, 2, (24, 32), "CC0")


def test_nan_is_apart():
    assert apart(np.array([0.0, np.nan, 1.0]), np.array([1 / 255, 0.0, 1.0])).tolist() == [
        *(False, True, False)
    ]
    assert apart(np.zeros(2), np.array([1.5, 2.5]) / 255, 2 / 255).tolist() == [False, True]


def test_what_has_no_operator(monkeypatch):
    network, row, scale = tiny(monkeypatch, "rcan-bl")
    with pytest.raises(ExportError, match=r"is not mapped to LiteRT, .*; FILE\.onnx has it"):
        to_litert(network.deploy(), row, scale, (24, 24), "CC0")
    in_floats = build(zoo.VARIANTS["sesr-m3"], 2).deploy()
    with pytest.raises(UsageError, match=r"is in floats, and FILE\.tflite is of eight bits"):
        to_litert(in_floats, zoo.VARIANTS["sesr-m3"], 2, (24, 24), "CC0")
    monkeypatch.setattr(litert, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'leansr\[vela\]'"):
        to_litert(started("sesr-m3").deploy(), VARIANT, 2, (24, 24), "CC0")


def test_commands_write_it(tmp_path, photo):
    (tmp_path / "photos").mkdir()
    Image.fromarray(photo[:200, :200]).save(tmp_path / "photos" / "a.png")
    given = ["--data", tmp_path / "photos", "--licence", "CC0"]
    target = tmp_path / "out" / "q.tflite"
    done = leansr("quantize", "sesr-m3", *given, "-o", target, "--lr-size", "40x30", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)["litert"]
    assert (told["lr_size"], told["scheme"], told["in_floats"]) == ([30, 40], "sesr", [])
    assert [p.name for p in target.parent.iterdir()] == [target.name]
    # That of a release of the same is the same file.
    done = leansr("quantize", "sesr-m3", *given, "-o", tmp_path / "q.onnx")
    assert done.exit_code == 0, done.output
    of = ["--model", "sesr-m3-int8", "--licence", "CC0", "--lr-size", "40x30"]
    done = leansr("export", tmp_path / "q.safetensors", *of, "-o", tmp_path / "other.tflite")
    assert done.exit_code == 0, done.output
    size = f"{target.stat().st_size / 1024:.1f} KiB"
    assert done.stdout == f"{tmp_path / 'other.tflite'}: {size}, sesr's scheme, for 40 x 30\n"
    assert (tmp_path / "other.tflite").read_bytes() == target.read_bytes()
    done = leansr("export", tmp_path / "q.safetensors", "--model", "sesr-m5-int8", "-o", target)
    assert isinstance(done.exception, WeightsError)
    assert "is sesr-m3-int8 x2, not sesr-m5-int8 x2" in str(done.exception)


def test_weights_of_a_run_are_exported(tmp_path):
    recipe = load_recipe("sesr-m5-int8_x2")
    network = started("sesr-m5", keep=("add_1",))
    facts = Trained(
        variant="sesr-m5-int8",
        scale=2,
        space="direct",
        recipe=recipe,
        start_sha256="",
        steps=recipe.schedule.steps,
        minutes=1.0,
        validation_psnr=None,
        data="",
        data_licence="",
        torch="",
    )
    save_weights(tmp_path / "w.safetensors", network.state_dict(), facts)
    target = tmp_path / "w.tflite"
    done = leansr(
        "export", tmp_path / "w.safetensors", "--model", "sesr-m5-int8", "-o", target, "--json"
    )
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["in_floats"], told["lr_size"], told["bytes"]) == (
        *(["add_1"], [360, 640]),
        target.stat().st_size,
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "a.onnx", "--lr-size", "9x9"], "--lr-size: is of FILE.tflite; FILE.onnx takes"),
        (["--sensitivity", "--lr-size", "9x9"], "--lr-size: is of the file that is written"),
        (["-o", "a.tflite", "--benchmark", "a=."], "--benchmark: is measured in ONNX Runtime"),
        (["-o", "a.lite"], "is written as FILE.onnx, LiteRT's as FILE.tflite"),
    ],
)
def test_what_a_user_can_do_wrong(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    done = leansr("quantize", "sesr-m3", "--data", ".", *arguments)
    assert isinstance(done.exception, UsageError)
    assert words in str(done.exception)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_benchmark_is_of_the_files(tmp_path, photo, monkeypatch, capsys):
    for name in ("data", "benchmark"):
        (tmp_path / name).mkdir()
        Image.fromarray(photo[:200, :200]).save(tmp_path / name / "a.png")
    given = ["--variant", "sesr-m3", "--data", tmp_path / "data", "--json", "--runs", 1]
    given += ["--benchmark", tmp_path / "benchmark", "--lr-size", "32x24"]
    monkeypatch.setattr(sys, "argv", ["litert_files.py", *map(str, given)])
    litert_files.main()
    value = json.loads(capsys.readouterr().out)
    assert (value["variant"], value["lr_size"]) == ("sesr-m3", [24, 32])
    floats, onnx_row, own, plain = value["rows"]
    pictures = open_folder(tmp_path / "benchmark", 2)
    # What it upscales by is what `leansr upscale` does.
    psnr = evaluate(Upscaler("sesr-m3", 2, backend="onnxruntime"), 2, pictures).psnr_y
    assert floats["psnr_y"] == pytest.approx(psnr, abs=1e-3)
    assert (floats["apart"], onnx_row["apart"], own["apart"]) == (None, 0, 0)
    assert own["psnr_y"] == pytest.approx(onnx_row["psnr_y"], abs=0.01)
    assert own["bytes"] == plain["bytes"] < floats["bytes"]


@pytest.mark.shared_data
@pytest.mark.parametrize("of", ["sesr-m5", "sesr-m11"])
def test_on_whole_pictures(shared_data, of):
    """Set5: 999 pixels of a thousand within a level, and as good as the file for ONNX Runtime.

    LiteRT's plain kernels round sums twice: they keep to that on 99 of a hundred.
    """
    source = post_training.source_of(of, 2)
    row = post_training.eight_bit_row(source.variant)
    crops = post_training.crops_of(shared_data / "validation", source.variant, 2)
    network = post_training.calibrated(source, row, crops, "mse").eval().deploy()
    pictures = find(shared_data, "Set5", 2)
    content = lowered(network, 1, (64, 64), "")
    session = LitertSession(content)
    assert differing(session, network, pictures)[0] <= 1e-3
    assert differing(LitertSession(content, is_plain=True), network, pictures)[0] <= 1e-2
    ours, simulated = (
        evaluate(luma_upscaler(run, 2), 2, pictures).psnr_y
        for run in (session, simulation(network))
    )
    assert ours == pytest.approx(simulated, abs=0.01)
    # Eight bits they are.
    assert 0 < release_of(of, 2).psnr_y("Set5") - ours <= 0.15
