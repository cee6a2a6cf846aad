import click.testing
import pytest

from leansr import cli
from leansr.errors import LeanSRError
from leansr.lab import weights as weights_file

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


@pytest.mark.parametrize("name", ["pack"])
def test_subcommands_of_data_have_help(name):
    assert leansr("data", name, "--help").exit_code == 0


def test_benchmark_needs_name_and_folder(tmp_path):
    done = leansr("export", "w", "--model", "m", "-o", "a.onnx", "--benchmark", "Set5=nowhere")
    assert done.exit_code == 2
    assert "is not NAME=DIR" in done.output
