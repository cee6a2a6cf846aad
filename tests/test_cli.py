import json
import os
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from leansr import cli, zoo
from leansr.cli import COMMANDS
from leansr.image import codecs
from leansr.zoo.release import releases

# Frozen: options are a contract, so changing this set is changing the contract.
OPTIONS = {
    "upscale": "inputs output model scale input tile backend threads weights overwrite"
    " skip_existing verbose",
    "models": "as_json",
    "evaluate": "variant scale data data_root protocol metrics weights threads as_json",
    "train": "recipe data folder validation max_minutes room_mib threads dry_run as_json",
    "runs": "folders order plot as_json",
    "rank": "ranking data validation folder seeds threads max_minutes as_json",
    "import": "checkpoint model scale output",
    "collapse": "variant scale weights seed as_json",
    "profile": "variant scale size convention layers as_json",
    "bench": "variants scale lr_size backends dtype threads warmup runs table as_json",
    "reproduce": "paper weights data_root times markdown plot as_json",
    "plot": "",
    "plot front": "scale benchmark cost times outputs",
    "plot bubble": "variants scale times outputs as_json",
    "plot sheet": "methods scale picture patch threads outputs as_json",
    "plot spectrum": "variant scale weights picture patch block outputs as_json",
    "plot attention": "variant scale weights others picture patch block outputs",
    "plot dispersion": "picture patch outputs",
    "plot curves": "runs by outputs",
    "estimate": "variants scale lr_size hardware tile halo layers measure threads vela as_json",
    "export": "weights model scale output benchmarks licence as_json",
    "quantize": "source scale scheme method data calibration folder validation epochs rate keep"
    " sensitivity output benchmarks licence as_json",
    "data": "",
    "data pack": "folder output source licence max_mib",
    "data check": "names scales data_root as_json",
}


def leansr(*arguments):
    """Exit code, stdout and stderr of the command line, as a user would see them."""
    done = subprocess.run(
        [sys.executable, "-m", "leansr", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def command(name):
    found = cli.cli.get_command(click.Context(cli.cli), name)
    assert found is not None
    return found


def with_children(name, command):
    """A command by its name, and those of a group by theirs."""
    yield name, command
    if isinstance(command, click.Group):
        for child in command.commands.values():
            yield from with_children(f"{name} {child.name}", child)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_frozen_options(name):
    for full_name, found in with_children(name, command(name)):
        assert {p.name for p in found.params} == set(OPTIONS[full_name].split()), full_name
        wanted = (p for p in found.params if isinstance(p, click.Option) and not p.required)
        assert all(p.help for p in wanted)
    assert COMMANDS[name][1] == command(name).get_short_help_str(limit=200)


def test_no_command_is_frozen_that_is_not_there():
    found = {full for name in COMMANDS for full, _ in with_children(name, command(name))}
    assert set(OPTIONS) == found


def test_help_lists_every_command():
    code, out, _ = leansr("--help")
    assert code == 0
    assert all(f"  {name} " in out for name in COMMANDS)


def test_models_lists_every_row():
    code, out, _ = leansr("models", "--json")
    assert code == 0
    value = json.loads(out)
    assert value["schema"] == 1
    listed = {(row["variant"], row["scale"]): row for row in value["models"]}
    assert set(listed) == {(v.name, s) for v in zoo.VARIANTS.values() for s in v.scales}
    assert {key for key, row in listed.items() if row["has_weights"]} == set(releases())
    assert listed["sesr-m5", 2]["params"] == 13_520 + 16 * 6 + 4 + 5 * 16
    code, out, _ = leansr("models")
    assert code == 0
    assert len(out.splitlines()) == len(listed) + 2


def test_upscale_prints_what_it_wrote(tmp_path, photo):
    source = tmp_path / "photo.png"
    Image.fromarray(photo[:20, :30]).save(source)
    code, out, err = leansr("upscale", source)
    assert (code, out.strip(), err) == (0, str(tmp_path / "photo_x2.png"), "")
    code, out, err = leansr("upscale", source)
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "photo_x2.png: exists already" in err
    code, out, _ = leansr("upscale", source, "--overwrite", "--tile", "7", "--threads", 1)
    assert code == 0
    assert codecs.read(Path(out.strip())).pixels.shape[:2] == (40, 60)


def test_one_bad_file_of_several(tmp_path, photo):
    Image.fromarray(photo[:20, :30]).save(tmp_path / "good.jpg")
    (tmp_path / "bad.jpg").write_text("no picture")
    code, out, err = leansr(
        "upscale", tmp_path / "bad.jpg", tmp_path / "good.jpg", "-o", tmp_path / "out"
    )
    assert code == 1
    assert out.strip() == str(tmp_path / "out" / "good.jpg")
    assert err.strip() == f"leansr: {tmp_path / 'bad.jpg'}: is not a picture that can be decoded"


def test_evaluate_as_json(tmp_path, photo):
    (tmp_path / "HR").mkdir()
    Image.fromarray(photo[:40, :40]).save(tmp_path / "HR" / "a.png")
    code, out, _ = leansr("evaluate", "sesr-m5", "--scale", 2, "--data", tmp_path, "--json")
    assert code == 0
    value = json.loads(out)
    figures = {"psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb"}
    assert set(value) == figures | {
        *("schema", "variant", "scale", "images", "protocol", "pictures", "failed")
    }
    assert (value["images"], value["failed"]) == (1, [])
    assert value["pictures"] == [{"name": "a"} | {key: value[key] for key in figures}]
    assert np.isfinite(value["psnr_y"])
    code, out, _ = leansr("evaluate", "sesr-m5", "--data", tmp_path, "--protocol", "ntire")
    assert code == 0
    assert "protocol: ntire, RGB of the 8-bit picture, border of 4 pixels cut" in out


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_names_do_not_break_the_table(tmp_path, photo):
    folder = tmp_path / "a\nb"
    folder.mkdir()
    Image.fromarray(photo[:40, :40]).save(folder / "c\n\x1bd.png")
    code, out, _ = leansr("evaluate", "sesr-m5", "--data", folder)
    assert code == 0
    title, row, *_ = out.splitlines()
    assert title.endswith("/a?b")
    assert row.startswith("  c??d  luma ")
    code, out, _ = leansr("data", "check", "a\nb", "--scale", 2, "--data-root", tmp_path)
    assert (code, out.split()[0]) == (0, "a?b")


def test_evaluate_a_benchmark_of_which_a_picture_fails(tmp_path, photo, monkeypatch):
    folder = tmp_path / "Set5" / "x2" / "HR"
    folder.mkdir(parents=True)
    Image.fromarray(photo[:40, :40]).save(folder / "a.png")
    (folder / "b.png").write_text("no picture")
    Image.fromarray(np.zeros((40, 40, 4), np.uint8)).save(folder / "c.png")
    Image.fromarray(photo[:40, :40]).save(folder / "d.bmp")
    monkeypatch.setenv("LEANSR_DATA", str(tmp_path))
    code, out, err = leansr("evaluate", "sesr-m5", "--data", "set5", "--json")
    assert code == 1
    value = json.loads(out)
    assert value["images"] == 1
    assert [row["name"] for row in value["failed"]] == ["b", "c", "d"]
    assert "d.bmp: .bmp is not supported yet" in err
    assert err.splitlines() == [f"leansr: {row['reason']}" for row in value["failed"]]
    assert str(folder / "b.png") in err
    (folder / "a.png").unlink()
    code, out, err = leansr("evaluate", "sesr-m5", "--data", "set5", "--json")
    assert (code, out) == (1, "")
    assert "Set5 x2: none of its pictures can be measured; the first: " in err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["upscale", "missing.png"], 1, "missing.png: no such file"),
        (["upscale", "missing.png", "--model", "sesr-m6"], 2, "sesr-m6: no such variant"),
        (
            ["upscale", "missing.png", "--model", "sesr-m5-photo"],
            2,
            "--model sesr-m5 --input photo",
        ),
        (["upscale", "missing.png", "--input", "photo"], 1, "sesr-m5 x2: has no photo weights"),
        (["upscale", "a.png", "--input", "photo", "--weights", "w.onnx"], 2, "exclude each other"),
        (["upscale", "missing.png", "--tile", "big"], 2, "neither auto, off nor"),
        (["upscale", "missing.png", "--overwrite", "--skip-existing"], 2, "exclude each other"),
        (["upscale", "."], 2, "is a folder; say where"),
        (["upscale"], 2, "Missing argument"),
        (["upscale", "a\nb.png"], 1, "a?b.png: no such file"),
        (["upscale", "a.png", "--threads", "99999"], 2, "is not in the range"),
        (["upscale", "a.png", "--weights", "none.onnx"], 1, "none.onnx"),
        (["evaluate", "sesr-m5", "--data", "e"], 1, "e: has no pictures for x2; looked in it"),
        (["evaluate", "sesr-m5", "--data", "."], 1, "a.png: cannot be measured (SSIM needs"),
        (["evaluate", "sesr-m5", "--data", "Set5"], 2, "Set5: is no folder, and there is no data"),
        (["evaluate", "sesr-m5", "--data", "Set5", "--data-root", "e"], 1, "e: has no Set5 x2"),
        (["evaluate", "sesr-m5", "--data", "S", "--data-root", "f"], 2, "--data-root: f is not a"),
        (["evaluate", "sesr-m5", "--data", "e", "--protocol", "x"], 2, "'x' is not one of 'paper'"),
        (
            ["evaluate", "sesr-m5", "--data", "e", "--metric", "x"],
            2,
            "Invalid value for '--metric'",
        ),
        (["data", "check"], 2, "no data root to check; give --data-root"),
        (["data", "check", "", "--data-root", "e"], 2, "an empty name is no benchmark"),
        (["data", "check", "--data-root", ""], 2, "'--data-root': an empty name is no folder"),
        (["evaluate", "sesr-m5", "--data", ""], 2, "--data: an empty name is no folder and no"),
        (["evaluate", "sesr-m5", "--data", ".", "--scale", "3"], 2, "it has x2 and x4"),
        (["upscal"], 2, "No such command"),
    ],
)
def test_what_a_user_can_do_wrong(tmp_path, photo, monkeypatch, arguments, code, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LEANSR_DATA", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    Image.fromarray(photo[:8, :8]).save("a.png")
    Path("e").mkdir()
    found, out, err = leansr(*arguments)
    assert (found, out) == (code, "")
    assert words in err
