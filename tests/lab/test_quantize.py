"""`leansr quantize`: files of eight bits out of trained networks and pictures."""

import hashlib
import json

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch
from click.testing import CliRunner
from msgspec.structs import replace
from onnx import numpy_helper
from PIL import Image
from run_folders import add_weights

from leansr import Upscaler, cli, zoo
from leansr.errors import LeanSRError, UsageError, WeightsError
from leansr.lab.nets import build, changed
from leansr.lab.quantize import post_training, training
from leansr.lab.train.learner import begin
from leansr.lab.train.recipe import load as load_recipe
from leansr.lab.weights import Imported, open_network, read_facts, read_tensors, save_weights
from leansr.zoo.release import release_of

QAT = ["sesr-m3", "--method", "qat"]
RUN = ["--run", "run", "-o", "a.onnx"]


def leansr(*arguments):
    """Exit code, stdout and what is told of an error."""
    done = CliRunner().invoke(cli.cli, [str(a) for a in arguments])
    if isinstance(done.exception, LeanSRError):
        return done.exception.exit_code, done.stdout, str(done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def folder(tmp_path, photo):
    """Two pictures that ranges can be taken from."""
    made = tmp_path / "photos"
    made.mkdir()
    for i in range(2):
        Image.fromarray(photo[200 * i : 200 * i + 200, :200]).save(made / f"{i}.png")
    return made


def file_of(path, variant, scale=2, changed=None):
    """A weights file of a network as it starts."""
    torch.manual_seed(0)
    tensors = build(zoo.find(variant, scale), scale).deploy().state_dict()
    tensors |= changed or {}
    facts = Imported(variant=variant, scale=scale, form="deploy", file="x", file_sha256="0")
    save_weights(path, tensors, facts)
    return path


def test_a_release_of_eight_bits(tmp_path, folder, photo):
    target = tmp_path / "out" / "sesr-m3-int8_x2.onnx"
    (tmp_path / "bench" / "HR").mkdir(parents=True)
    Image.fromarray(photo[:64, :64]).save(tmp_path / "bench" / "HR" / "a.png")
    given = ["quantize", "sesr-m3", "--data", folder, "-o", target, "--licence", "CC0"]
    code, out, told = leansr(*given, "--benchmark", f"own={tmp_path / 'bench'}", "--json")
    assert (code, told) == (0, "")
    value = json.loads(out)
    assert set(value) == {"schema", "variant", "scale", "card"}
    card = value["card"]
    assert json.loads(target.with_suffix(".json").read_text()) == card
    float_release = release_of("sesr-m3", 2)
    assert card.keys() - float_release.card.keys() == {"quantized"}
    assert card["variant"] == "sesr-m3-int8"
    assert card["quantized"] == {
        **{"method": "ptq", "scheme": "sesr", "calibration": "mse"},
        **{"pictures": "photos", "in_floats": []},
        "start_sha256": float_release.card["tensors"]["sha256"],
        # The release in floats was not measured on this benchmark.
        "floats": {"release": "sesr-m3_x2", "quality": []},
    }
    for key in ("training", "params", "conv_weights", "multi_adds"):
        assert card[key] == float_release.card[key]
    # Our bound: 0.27 of the kernels' size in floats.
    stored, in_floats = (
        sum(
            numpy_helper.to_array(t).nbytes
            for t in onnx.load(path).graph.initializer
            if len(t.dims) == 4
        )
        for path in (target, float_release.onnx)
    )
    assert 4 * card["conv_weights"] <= in_floats
    assert stored <= 0.27 * in_floats
    assert target.stat().st_size < float_release.onnx.stat().st_size
    # It runs, and does nearly what the network in floats does.
    sr = Upscaler("sesr-m3-int8", 2, weights=target)(photo[:40, :50])
    other = Upscaler("sesr-m3", 2, backend="onnxruntime")(photo[:40, :50])
    assert sr.shape == (80, 100, 3)
    assert 0 < np.abs(sr.astype(float) - other).mean() < 1.5
    # The tensors are those of the deploy form.
    network = build(zoo.find("sesr-m3-int8", 2), 2).deploy()
    tensors = safetensors.torch.load_file(target.with_suffix(".safetensors"))
    network.load_state_dict(tensors)
    assert tensors["first.weight"].dtype == torch.int8


def test_of_a_weights_file_with_the_other_scheme_and_a_layer_in_floats(tmp_path, folder):
    weights = file_of(tmp_path / "w.safetensors", "sesr-m3", 4)
    target = tmp_path / "q.onnx"
    given = ["quantize", weights, "--scale", 4, "--data", folder, "-o", target]
    given += ["--scheme", "study", "--keep", "last", "--calibration", "percentile"]
    code, out, told = leansr(*given)
    assert (code, told) == (0, "")
    assert out.startswith(f"{target}: ")
    assert "study's scheme" in out
    quantized = json.loads(target.with_suffix(".json").read_text())["quantized"]
    assert (quantized["scheme"], quantized["in_floats"]) == ("study", ["last"])
    assert quantized["floats"] is None
    kernels = [t for t in onnx.load(target).graph.initializer if len(t.dims) == 4]
    # PReLU's factors are of int8 in both schemes.
    own = {t.data_type for t in kernels if list(t.dims[1:]) != [1, 1, 1]}
    assert own == {onnx.TensorProto.UINT8, onnx.TensorProto.FLOAT}
    # The tensors say that they are not the row's, and are opened as what they are.
    tensors = target.with_suffix(".safetensors")
    network, variant, _ = open_network(tensors)
    assert (variant.arguments["scheme"], variant.arguments["keep"]) == ("study", ("last",))
    assert network.last.weight.dtype == torch.float32
    # A word of the header that is none, of the same length.
    content = tensors.read_bytes()
    tensors.write_bytes(content.replace(b'last\\"]', b'last\\",', 1))
    with pytest.raises(WeightsError, match="its header is damaged"):
        open_network(tensors)


def test_what_each_layer_costs(tmp_path, folder):
    code, out, _ = leansr("quantize", "sesr-m3", "--data", folder, "--sensitivity", "--json")
    assert code == 0
    value = json.loads(out)
    assert set(value) == {"schema", "variant", "scale", "sensitivity"}
    found = value["sensitivity"]
    layers = {"first", "body.0", "body.2", "body.4", "add", "last", "add_1"}
    assert set(found["costs"]) == layers
    costs = list(found["costs"].values())
    assert costs == sorted(costs, reverse=True)
    assert found["in_eight_bits"] < found["in_floats"] < 60
    worst = next(iter(found["costs"]))
    given = ["quantize", "sesr-m3", "--data", folder, "--sensitivity", "--json", "--keep", worst]
    kept = json.loads(leansr(*given)[1])["sensitivity"]
    assert set(kept["costs"]) == layers - {worst}
    # Floats where it costs most: most of that is won back.
    lost, lost_with = (v["in_floats"] - v["in_eight_bits"] for v in (found, kept))
    assert lost_with < lost - 0.3 * found["costs"][worst]
    code, out, _ = leansr("quantize", "sesr-m3", "--data", folder, "--sensitivity")
    assert f"{found['costs'][worst]:9.4f}  {worst}" in out.splitlines()


def test_training_on_and_going_on(tmp_path, folder, monkeypatch):
    """What `leansr train` would be given, in one command; a run that is over is not run again."""
    monkeypatch.setenv("CXX", "no compiler, which would take longer than the steps")
    target, run = tmp_path / "out.onnx", tmp_path / "run"
    given = [
        "quantize",
        *QAT,
        "--data",
        folder,
        "--validation",
        folder,
        "--run",
        run,
        "-o",
        target,
        "--json",
    ]
    given += ["--epochs", 0.002, "--rate", 1e-4, "--keep", "add_1"]
    code, out, told = leansr(*given)
    assert code == 0, told
    assert "step 2  loss" in told
    card = json.loads(out)["card"]
    sha256 = release_of("sesr-m3", 2).card["tensors"]["sha256"]
    assert card["quantized"] == {
        **{"method": "qat", "scheme": "sesr", "in_floats": ["add_1"], "start_sha256": sha256},
        "floats": {"release": "sesr-m3_x2", "quality": []},
    }
    training = card["training"]
    assert (training["start_sha256"], training["steps"]) == (sha256, 2)
    facts = read_facts(run / "weights.safetensors")
    recipe = facts.recipe
    assert (recipe.variant, recipe.network) == ("sesr-m3-int8", {"keep": ("add_1",)})
    assert (recipe.start.weights, recipe.optimizer.lr) == ("sesr-m3_x2", 1e-4)
    assert (recipe.schedule.steps, recipe.data.lr_crop, recipe.data.batch) == (2, 48, 16)
    before = target.read_bytes()
    code, out, told = leansr(*given)
    assert code == 0
    assert "the run is over" in told
    assert target.read_bytes() == before
    # More epochs go on from there, another rate does not.
    code, _, told = leansr(*given, "--epochs", 0.003)
    assert code == 0
    assert "going on from step 2" in told
    code, _, told = leansr(*given, "--epochs", 0.003, "--rate", 1e-3)
    assert (code, "is a run of another recipe" in told) == (2, True)


def test_the_papers_budget_is_the_default(folder):
    source = post_training.source_of("sesr-m3", 2)
    row = post_training.eight_bit_row(source.variant)
    recipe = training.recipe(source, row, training.EPOCHS, training.RATE)
    printed = load_recipe("rcan-bl-int8_x2-paper")
    # But for the average, which is ours.
    for key in ("data", "loss", "optimizer", "schedule", "precision", "space"):
        assert getattr(recipe, key) == getattr(printed, key)


@pytest.mark.parametrize("space", ["collapsed", "expanded"])
def test_training_on_from_a_run_in_blocks(tmp_path, tiny, space):
    """What was trained expanded or collapsed goes on so, and its kernels after the collapse."""
    weights = add_weights(tmp_path, replace(tiny, space=space))
    source = post_training.source_of(str(weights), 2)
    row = post_training.eight_bit_row(source.variant, "study")
    recipe = training.recipe(source, row, 1, 1e-4)
    assert (recipe.space, recipe.network) == ("collapsed", {"scheme": "study"})
    network = build(changed(row, recipe.network), 2, recipe.space)
    begin(network, recipe.start)
    assert network.first.expand.weight.shape[0] == 256


def test_other_changes_are_not_released(tmp_path, tiny):
    recipe = replace(tiny, variant="sesr-m5-int8", network={"of": "sesr-m3", "keep": ("last",)})
    weights = add_weights(tmp_path, recipe)
    code, out, told = leansr(
        "export", weights, "--model", "sesr-m5-int8", "-o", tmp_path / "a.onnx"
    )
    assert (code, out) == (1, "")
    assert "with changes (of = sesr-m3), which cannot be released" in told


def test_the_tensors_of_a_release_are_of_the_kind_that_its_card_says(tmp_path):
    release = release_of("sesr-m11", 2, "photo")
    found = post_training.source_of(str(release.tensors), 2)
    assert found.kind == "photo"
    with pytest.raises(UsageError, match="are photo weights; write a recipe of sesr-m11-int8"):
        training.recipe(found, post_training.eight_bit_row(found.variant), 1, 1e-5)
    # One that does not come with the package: by the card beside it, or not at all.
    tensors = read_tensors(release.tensors)
    header = {"variant": "sesr-m11", "scale": "2", "colour": "y"}
    own = tmp_path / "own.safetensors"
    safetensors.torch.save_file({name: 1.01 * t for name, t in tensors.items()}, own, header)
    with pytest.raises(WeightsError, match=r"own\.safetensors: its card own\.json must lie beside"):
        post_training.source_of(str(own), 2)
    sha256 = hashlib.sha256(own.read_bytes()).hexdigest()
    card = release.card | {"tensors": {"file": own.name, "sha256": sha256}}
    own.with_suffix(".json").write_text(json.dumps(card))
    assert post_training.source_of(str(own), 2).kind == "photo"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["sesr-m3"], 2, "--data: ranges are taken from pictures"),
        (["sesr-m3", "--data", "photos"], 2, "-o: say where to write to"),
        (["sesr-m3", "--data", "photos", "-o", "a.pt"], 2, "is written as FILE.onnx"),
        (["sesr-m3", "--method", "qat"], 2, "--data: ranges are"),
        (["sesr-m3", "--method", "qat", "--data", "photos"], 2, "-o: say where to write to"),
        ([*QAT, "--data", "photos", "-o", "a.onnx"], 2, "--run: the folder of the run is missing"),
        ([*QAT, "--calibration", "mse"], 2, "--calibration: is of the other --method, not of qat"),
        ([*QAT, "--sensitivity"], 2, "--sensitivity: is of the other --method"),
        (["sesr-m3", "--run", "r"], 2, "--run: is of the other --method, not of ptq"),
        (["sesr-m3", "--epochs", "2"], 2, "--epochs: is of the other --method"),
        ([*QAT, *RUN, "--data", "none"], 1, "none: no such folder or pack"),
        ([*QAT, *RUN, "--data", "photos", "--keep", "x"], 2, "x: no layer of that name"),
        (["mdrn", *QAT[1:], *RUN, "--data", "photos"], 1, "has no released weights"),
        (["sesr-m3", "--data", "none", "-o", "a.onnx"], 1, "none: no such folder or pack"),
        (["sesr-m3", "--data", "empty", "-o", "a.onnx"], 1, "empty: no pictures ("),
        (["sesr-m3", "--data", "even", "-o", "a.onnx"], 1, "even: even colour is all that"),
        (["fmen-s", "--data", "grey", "-o", "a.onnx", "--scale", 4], 1, "grey: all is grey, and"),
        (["sesr-m3", "--data", "photos", "--keep", "x", "-o", "a.onnx"], 2, "x: no layer of that"),
        (["sesr-m3-int8", "--data", "photos", "-o", "a.onnx"], 2, "is of eight bits already"),
        (["fsrcnn", "--data", "photos", "-o", "a.onnx"], 2, "fsrcnn: has no row of eight bits"),
        (["mdrn", "--data", "photos", "-o", "a.onnx"], 1, "has no released weights"),
        (["sesr-m3", "--scale", 3, "--data", "photos", "-o", "a.onnx"], 2, "there is no x3"),
        (["no.safetensors", "--data", "photos", "-o", "a.onnx"], 1, "neither a variant nor"),
        (["nan.safetensors", "--data", "photos", "-o", "a.onnx"], 1, "first.bias holds values"),
        (["w.safetensors", "--scale", 4, "--data", "photos", "-o", "a.onnx"], 1, "is sesr-m3 x2,"),
    ],
)
def test_what_a_user_can_do_wrong(tmp_path, folder, monkeypatch, arguments, code, words):
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "even", "grey"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (200, 200), (90, 90, 90)).save("even/a.png")
    Image.open(folder / "0.png").convert("L").save("grey/a.png")
    file_of(tmp_path / "w.safetensors", "sesr-m3")
    broken = torch.full((16,), float("nan"))
    file_of(tmp_path / "nan.safetensors", "sesr-m3", changed={"first.bias": broken})
    before = sorted(tmp_path.rglob("*"))
    found, out, told = leansr("quantize", *arguments)
    assert (found, out) == (code, "")
    assert words in told
    assert "\n" not in told.strip()
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.shared_data
@pytest.mark.parametrize("of", ["sesr-m5", "sesr-m11"])
def test_what_is_lost_without_training(tmp_path, shared_data, of):
    """At most 0.15 dB on Set5, as pictures are measured; and it is not nothing."""
    set5 = f"Set5={shared_data / 'benchmarks' / 'Set5' / 'x2'}"
    given = ["quantize", of, "--data", shared_data / "validation", "--benchmark", set5, "--json"]
    code, out, told = leansr(*given, "-o", tmp_path / "a.onnx")
    assert (code, told) == (0, "")
    (row,) = json.loads(out)["card"]["quality"]
    assert 0 < release_of(of, 2).psnr_y("Set5") - row["psnr_y"] <= 0.15
