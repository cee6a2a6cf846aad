import json
import signal
import subprocess
import sys

import click.testing
import numpy as np
import pytest
import torch
from PIL import Image

from leansr import Upscaler, cli, zoo
from leansr.errors import LeanSRError, WeightsError
from leansr.lab import weights as weights_file
from leansr.lab.nets import build
from leansr.lab.published import published_name

RECIPE = """
variant = "sesr-m3"
scale = 2
space = "direct"
compile = false
data = {lr_crop = 8, batch = 2}
optimizer = {name = "muon", lr = 1e-3}
schedule = {warmup_steps = 1, decay = 0.5, steps = 4}
"""


def leansr(*arguments):
    result = click.testing.CliRunner().invoke(cli.cli, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        assert isinstance(result.exception, LeanSRError)
    return result


def test_pack_train_export(tmp_path, pictures_folder):
    pack, run = tmp_path / "own.pack", tmp_path / "run"
    done = leansr(
        "data", "pack", pictures_folder, "-o", pack, "--source", "ours", "--licence", "CC0"
    )
    assert done.exit_code == 0, done.output
    (tmp_path / "tiny.toml").write_text(RECIPE)
    arguments = ["train", tmp_path / "tiny.toml", "--data", pack, "--run", run]
    arguments += ["--validation", pictures_folder]
    assert leansr(*arguments, "--max-minutes", "1e-9").exit_code == 0
    done = leansr(*arguments)
    assert done.exit_code == 0, done.output
    assert "going on from step" in done.stderr
    assert done.stdout == ""
    target = tmp_path / "sesr-m3_x2.onnx"
    weights = run / "weights.safetensors"
    done = leansr("export", weights, "--model", "sesr-m3", "--scale", 2, "-o", target)
    assert done.exit_code == 0, done.output
    assert "2.05 G Multi-Adds" in done.stdout
    facts = weights_file.read_facts(weights)
    assert (facts.data, facts.data_licence) == ("ours", "CC0")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_the_exit_code_of_train(tmp_path, pictures_folder, number):
    long = "validate_every = 2\n" + RECIPE.replace("steps = 4", "steps = 1_000_000")
    (tmp_path / "long.toml").write_text(long)
    given = ["train", "long.toml", "--data", pictures_folder, "--run", "run", "--threads", "1"]
    command = [sys.executable, "-m", "leansr", *given]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        told = process.stderr.readline()
        assert told.startswith("step 2  loss"), told
        process.send_signal(number)
        rest = process.stderr.read()
    assert process.returncode == 128 + number
    assert rest.endswith("is saved; the same command goes on from there\n")
    assert (tmp_path / "run" / "checkpoint.pt").exists()


@pytest.mark.parametrize("name", ["pack", "check"])
def test_subcommands_of_data_have_help(name):
    assert leansr("data", name, "--help").exit_code == 0


def test_benchmark_needs_name_and_folder(tmp_path):
    done = leansr("export", "w", "--model", "m", "-o", "a.onnx", "--benchmark", "Set5=nowhere")
    assert done.exit_code == 2
    assert "is not NAME=DIR" in done.output


FORM_KEYS = {
    "params",
    "conv_weights",
    "stored",
    "multi_adds",
    "multiplications",
    "additions",
    "activations",
    "convs",
    "peak_memory",
    "peak_memory_in_place",
    "layers",
}


def test_profile_of_both_forms():
    done = leansr("profile", "sesr-m5", "--scale", 2, "--json")
    assert done.exit_code == 0, done.output
    value = json.loads(done.stdout)
    assert set(value) == {
        "schema",
        "variant",
        "scale",
        "convention",
        "lr_size",
        "training",
        "deploy",
    }
    assert set(value["training"]) == set(value["deploy"]) == FORM_KEYS
    assert value["lr_size"] == [360, 640]
    assert value["deploy"]["conv_weights"] == 13_520
    assert value["deploy"]["multi_adds"] == 13_520 * 640 * 360
    # The collapse is worth what the paper says: 41.77 G to 1.77 G for 32 crops of 64 x 64.
    done = leansr("profile", "sesr-m5", "--size", "128x128", "--json")
    training = json.loads(done.stdout)["training"]
    assert 32 * training["multi_adds"] / 1e9 == pytest.approx(41.77, abs=0.01)


def test_profile_lists_layers_by_their_cost():
    done = leansr("profile", "fsrcnn", "--scale", 4, "--size", "256x128", "--layers")
    assert done.exit_code == 0, done.output
    table = done.stdout.partition("layer\n")[2].splitlines()
    costs = [int(line[:18].replace(" ", "")) for line in table]
    assert costs == sorted(costs, reverse=True)
    assert "the deploy form's peak is at" in done.stdout
    assert "64 x 32 in, 256 x 128 out" in done.stdout


def test_collapse_prints_its_certificate(tmp_path):
    done = leansr("collapse", "fmen-s", "--scale", 4)
    assert done.exit_code == 0, done.output
    assert "convolutions 74 to 34" in done.stdout
    assert "parameters   1045866 to 341066" in done.stdout
    done = leansr("collapse", "sesr-m3", "--scale", 2, "--seed", 3, "--json")
    value = json.loads(done.stdout)
    assert value["holds"] is True
    assert 0 < value["difference"] <= 1e-5
    assert (value["training"]["convs"], value["deploy"]["convs"]) == (10, 5)
    assert len(value["shapes"]) > 3


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """A checkpoint of FMEN-S as its authors publish them, of random weights, imported."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("imported")
    network = build(zoo.find("fmen-s", 4), 4).deploy()
    layout = network.published[0]
    tensors = {published_name(layout, n): t for n, t in network.state_dict().items()}
    torch.save(tensors, folder / "theirs.pth")
    arguments = "--model", "fmen-s", "--scale", 4, "-o", folder / "ours.safetensors"
    done = leansr("import", folder / "theirs.pth", *arguments)
    assert done.exit_code == 0, done.output
    return folder


def test_imported_weights_are_released_and_measured(imported, tmp_path, photo):
    (tmp_path / "HR").mkdir()
    Image.fromarray(photo[:64, :64]).save(tmp_path / "HR" / "a.png")
    target = tmp_path / "fmen-s_x4.onnx"
    weights = imported / "ours.safetensors"
    done = leansr("export", weights, "--model", "fmen-s", "--scale", 4, "-o", target, "--json")
    assert done.exit_code == 0, done.output
    card = json.loads(done.stdout)
    assert (card["params"], card["halo"]) == (341_066, 34)
    assert card["imported"]["file"] == "theirs.pth"
    assert "training" not in card
    figures = []
    for file in (weights, target):
        arguments = "--scale", 4, "--data", tmp_path, "--weights", file, "--json"
        done = leansr("evaluate", "fmen-s", *arguments)
        assert done.exit_code == 0, done.output
        figures.append(json.loads(done.stdout)["psnr_y"])
    assert figures[0] == figures[1]


def test_what_imported_weights_are_not(imported, tmp_path):
    weights = imported / "ours.safetensors"
    for model, scale, words in (
        ("fmen", 4, "is fmen-s x4, not fmen x4"),
        ("fmen-s", 2, "is fmen-s x4, not fmen-s x2"),
    ):
        done = leansr("export", weights, "--model", model, "--scale", scale, "-o", "a.onnx")
        assert isinstance(done.exception, WeightsError)
        assert words in str(done.exception)
    done = leansr("collapse", "sesr-m3", "--weights", weights)
    assert isinstance(done.exception, WeightsError)


def test_a_network_that_looks_at_the_whole_picture(tmp_path, photo):
    """Not tiled unless asked for; small pictures are continued to the smallest that it takes."""
    torch.manual_seed(0)
    variant = zoo.find("fmen-15erb-esa", 4)
    network = build(variant, 4)
    facts = weights_file.Imported(
        variant=variant.name, scale=4, form="training", file="random", file_sha256=""
    )
    weights = tmp_path / "w.safetensors"
    weights_file.save_weights(weights, network.state_dict(), facts)
    target = tmp_path / "esa.onnx"
    done = leansr("export", weights, "--model", variant.name, "--scale", 4, "-o", target, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["halo"] is None
    assert "looks at the whole" in Upscaler(variant.name, 4, weights=target, tile=64).caution
    upscale = Upscaler(variant.name, 4, weights=target)
    assert upscale.caution is None
    lr = torch.rand(1, 3, 300, 20)
    with torch.no_grad():
        expected = network.deploy()(lr).clamp(0, 1)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(upscale(lr[0].permute(1, 2, 0).numpy()), expected, atol=1e-4)
    small = photo[:3, :20]
    assert upscale(small).shape == (12, 80, 3)
    continued = np.pad(small, [(0, 12), (0, 0), (0, 0)], mode="edge")
    np.testing.assert_array_equal(upscale(small), upscale(continued)[:12])
