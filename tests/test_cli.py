import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from leansr import cli, zoo
from leansr.cli import COMMANDS
from leansr.image import codecs
from leansr.zoo.release import releases

# Frozen: options are a contract, so changing this set is changing the contract.
OPTIONS = {
    "upscale": "inputs output model budget scale size fit linear_light input tile backend precision"
    " threads jobs weights suffix compression overwrite skip_existing resume dry_run verbose"
    " as_json",
    "models": "as_json",
    "evaluate": "variant scale data data_root protocol metrics weights backend precision"
    " threads as_json",
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
    "estimate": "variants scale lr_size hardware tile halo layers measure threads vela weights"
    " as_json",
    "export": "weights model scale output lr_size benchmarks licence as_json",
    "quantize": "source scale scheme method data calibration folder validation epochs rate keep"
    " sensitivity output lr_size benchmarks licence as_json",
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
    error, summary = err.splitlines()
    assert error.startswith(f"leansr: {tmp_path / 'bad.jpg'}: is not a picture that can be decoded")
    assert summary.startswith("leansr: 1 done (0.0 megapixels in ")
    assert summary.endswith("; 1 failed, each named above")


def test_evaluate_as_json(tmp_path, photo):
    (tmp_path / "HR").mkdir()
    Image.fromarray(photo[:40, :40]).save(tmp_path / "HR" / "a.png")
    code, out, _ = leansr("evaluate", "sesr-m5", "--scale", 2, "--data", tmp_path, "--json")
    assert code == 0
    value = json.loads(out)
    figures = {"psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb"}
    assert set(value) == figures | {
        *("schema", "variant", "scale", "engine", "images", "protocol", "pictures", "failed")
    }
    assert value["engine"] == "ONNX Runtime, float32"
    assert (value["images"], value["failed"]) == (1, [])
    assert value["pictures"] == [{"name": "a"} | {key: value[key] for key in figures}]
    assert np.isfinite(value["psnr_y"])
    code, out, _ = leansr("evaluate", "sesr-m5", "--data", tmp_path, "--protocol", "ntire")
    assert code == 0
    assert "protocol: ntire, RGB of the 8-bit picture, border of 4 pixels cut" in out


@pytest.fixture
def album(tmp_path, photo):
    """A folder of three pictures and one that is none."""
    folder = tmp_path / "in"
    folder.mkdir()
    for i, name in enumerate(("a.png", "b.jpg", "c.webp")):
        Image.fromarray(photo[: 20 + i, :30]).save(folder / name)
    (folder / "d.png").write_text("no picture")
    return folder


def lines(out):
    values = [json.loads(line) for line in out.splitlines()]
    assert {value["schema"] for value in values} == {1}
    return values


def test_a_batch_as_lines_of_json(album, tmp_path):
    out_folder = tmp_path / "out"
    code, out, err = leansr("upscale", album, "-o", out_folder, "--json", "--resume")
    *rows, summary = lines(out)
    assert code == 1
    assert [row["status"] for row in rows] == ["done", "done", "done", "failed"]
    assert [Path(row["source"]).name for row in rows] == ["a.png", "b.jpg", "c.webp", "d.png"]
    first = rows[0] | {"seconds": sorted(rows[0]["seconds"])}
    assert first.pop("engine").startswith(("native engine, ", "ONNX Runtime, float32"))
    assert first == {
        "schema": 1,
        "status": "done",
        "source": str(album / "a.png"),
        "target": str(out_folder / "a.png"),
        "model": "sesr-m5",
        "steps": [2],
        "weights": "clean",
        "width": 60,
        "height": 40,
        "seconds": ["read", "upscale", "write"],
    }
    assert err.splitlines()[0] == f"leansr: {rows[3]['reason']}"
    counts = {key: summary[key] for key in ("status", "done", "skipped", "failed", "interrupted")}
    assert counts == {
        "status": "summary",
        "done": 3,
        "skipped": 0,
        "failed": 1,
        "interrupted": False,
    }
    assert summary["megapixels"] == pytest.approx(60 * (40 + 42 + 44) / 1e6)
    code, out, _ = leansr("upscale", album, "-o", out_folder, "--json", "--resume")
    assert [row.get("reason") for row in lines(out)[:3]] == ["done before"] * 3


def test_a_dry_run_writes_nothing(album, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.jpg").write_bytes(b"precious")
    arguments = ("upscale", album / "*.*", "-o", tmp_path / "out", "--dry-run", "--resume")
    code, out, err = leansr(*arguments)
    assert code == 1
    assert [Path(line).name for line in out.splitlines()] == ["a.png", "c.webp", "d.png"]
    assert "b.jpg: exists already and was not made by this batch" in err
    assert err.splitlines()[-1] == "leansr: 3 to do; 1 failed, each named above"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.jpg"]
    code, out, _ = leansr(*arguments, "--skip-existing", "-v", "--json")
    assert code == 0
    assert [row["status"] for row in lines(out)] == [
        *("planned", "skipped", "planned", "planned"),
        "summary",
    ]


def test_sizes_formats_and_what_was_done(album, tmp_path):
    code, out, err = leansr("upscale", album / "a.png", "--scale", "3.5", "-v", "--format", "tiff")
    assert (code, out.strip()) == (0, str(album / "a_x3.5.tiff"))
    assert ": x4; resized to 105x70; clean weights, " in err
    code, out, _ = leansr("upscale", album / "a.png", "--fit", "60x60", "--linear-light")
    assert (code, Path(out.strip()).name) == (0, "a_60x60.png")
    code, _, err = leansr("upscale", album / "a.png", "--size", "60x60", "--overwrite")
    assert code == 1
    assert "a.png: is 30x20, which has not the shape of 60x60; --fit 60x60 keeps" in err
    code, out, _ = leansr("upscale", album / "a.png", "--size", "90x60", "--jobs", 2)
    assert codecs.read(Path(out.strip())).pixels.shape[:2] == (60, 90)
    arguments = ("upscale", album / "a.png", "--model", "auto", "--budget", 60, "-v", "--overwrite")
    code, _, err = leansr(*arguments)
    assert code == 0
    assert "the best within 60 s (" in err


def test_what_cannot_be_kept_is_said_once(tmp_path, photo):
    (tmp_path / "in").mkdir()
    for name in "abc":
        told = PngInfo()
        told.add_text("Title", name)
        Image.fromarray(photo[:20, :30]).save(tmp_path / f"in/{name}.png", pnginfo=told)
    code, out, err = leansr(
        "upscale", tmp_path / "in", "-o", tmp_path / "out", "--format", "webp", "--json"
    )
    assert code == 0
    notes = [row["notes"] for row in lines(out)[:3]]
    assert notes[0] == notes[1] == notes[2]
    assert [err.count(note) for note in notes[0]] == [1]


def through(*arguments, content=b"", **options):
    """Exit code, stdout and stderr as bytes, of a call with standard input."""
    command = [sys.executable, "-m", "leansr", "upscale", *map(str, arguments)]
    done = subprocess.run(command, input=content, capture_output=True, check=False, **options)
    assert b"Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr.decode()


def test_standard_input_and_output(album, tmp_path):
    for name, signature in (("a.png", b"\x89PNG"), ("b.jpg", b"\xff\xd8"), ("c.webp", b"RIFF")):
        beside = tmp_path / f"large-{name}"
        assert leansr("upscale", album / name, "-o", beside)[0] == 0
        content = (album / name).read_bytes()
        code, out, err = through("-", content=content)
        assert (code, out, err) == (0, beside.read_bytes(), "")
        assert out.startswith(signature)
    # The last, from and to where it can come from and go to.
    assert through("-", "-o", "-", content=content) == (0, out, "")
    assert through(album / name, "-o", "-")[1] == out
    into = tmp_path / f"from-{name}"
    assert through("-", "-o", into, content=content) == (0, f"{into}\n".encode(), "")
    assert into.read_bytes() == out
    code, out, _ = through("-", "--format", "png", "--scale", "3", content=content)
    assert (code, codecs.decode(out, "out").pixels.shape) == (0, (66, 90, 3))


@pytest.mark.parametrize(
    ("arguments", "content", "code", "words"),
    [
        (["-"], b"no picture", 1, "leansr: standard input: is not a picture that can be decoded"),
        (["-"], b"", 1, "leansr: standard input: is not a picture that can be decoded"),
        (["-"], b"\x89PNG\r\n\x1a\n", 1, "leansr: standard input: "),
        (["-", "-o", "folder"], b"", 2, "folder: standard input has no name"),
        (["-", "a.png"], b"", 2, "- is for one picture"),
        (["-", "--resume"], b"", 2, "- goes with none of --resume, --dry-run and --json"),
        (["-", "-o", "a.jpg", "--format", "png"], b"", 2, "a.jpg: its suffix says another format"),
        (["none.png", "-o", "-"], b"", 1, "none.png: cannot be read (No such file"),
    ],
)
def test_what_can_go_wrong_with_them(tmp_path, arguments, content, code, words):
    (tmp_path / "folder").mkdir()
    found, out, err = through(*arguments, content=content, cwd=tmp_path)
    assert (found, out) == (code, b"")
    assert words in err
    assert "/tmp" not in err


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
    (folder / "d.psd").write_bytes(b"8BPS")
    monkeypatch.setenv("LEANSR_DATA", str(tmp_path))
    code, out, err = leansr("evaluate", "sesr-m5", "--data", "set5", "--json")
    assert code == 1
    value = json.loads(out)
    assert value["images"] == 1
    assert [row["name"] for row in value["failed"]] == ["b", "c", "d"]
    assert "d.psd: .psd is not supported" in err
    assert err.splitlines() == [f"leansr: {row['reason']}" for row in value["failed"]]
    assert str(folder / "b.png") in err
    (folder / "a.png").unlink()
    code, out, err = leansr("evaluate", "sesr-m5", "--data", "set5", "--json")
    assert (code, out) == (1, "")
    assert "Set5 x2: none of its pictures can be measured; the first: " in err


@pytest.fixture
def handlers():
    """The command line has its own for signals; after it they are as they were."""
    numbers = [n for n in (getattr(signal, s, None) for s in ("SIGTERM", "SIGHUP")) if n]
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


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
        (
            ["evaluate", "sesr-m5", "--data=.", "--weights=w.safetensors", "--backend=native"],
            *(2, "w.safetensors: is exported first, and run by ONNX Runtime"),
        ),
        (["upscale", "missing.png", "--overwrite", "--skip-existing"], 2, "exclude each other"),
        (["upscale", "."], 2, "is a folder; say where"),
        (["upscale", "a.png", "--resume"], 2, "--resume needs a folder"),
        (["upscale", "a.png", "-o", "b.png", "--resume"], 2, "--resume needs a folder"),
        (["upscale", "*.jpg"], 2, "*.jpg: no such file, and none that matches it"),
        (["upscale", "a.png", "--scale", "1"], 2, "a scale is more than 1 and at most 64"),
        (["upscale", "a.png", "--scale", "nan"], 2, "nan is no amount"),
        (["upscale", "a.png", "--size", "3x3", "--fit", "3x3"], 2, "exclude each other"),
        (["upscale", "a.png", "--size", "big"], 2, "is not width x height"),
        (["upscale", "a.png", "--model", "auto"], 2, "--model auto and --budget SECONDS go"),
        (["upscale", "a.png", "--budget", "0"], 2, "--budget"),
        (["upscale", "a.png", "--format", "doc"], 2, "'doc' is not one of"),
        (["upscale", "a.png", "--compression", "10"], 2, "is not in the range"),
        (["upscale", "a.png", "--jobs", "0"], 2, "is not in the range"),
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
def test_what_a_user_can_do_wrong(
    tmp_path, photo, monkeypatch, capsys, handlers, arguments, code, words
):
    """In this process, by what `python -m leansr` calls: a start for each takes far longer."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LEANSR_DATA", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    Image.fromarray(photo[:8, :8]).save("a.png")
    Path("e").mkdir()
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (code, "")
    assert words in err


@pytest.mark.skipif(os.name == "nt", reason="closed as a POSIX shell does it")
@pytest.mark.parametrize(
    ("shell", "code", "words"),
    [
        ("- -o b.png <&-", 2, "standard input is closed"),
        ("a.png -o - >&-", 2, "standard output is closed"),
        ("- -o b.png < /dev/zero", 1, "standard input: is not a picture that can be decoded"),
        ("a.png -o ''", 2, "an empty name is no folder"),
        ("''", 2, "an empty name is no folder"),
    ],
)
def test_standard_streams_that_are_none(album, shell, code, words):
    command = f"{sys.executable} -m leansr upscale {shell}"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, cwd=album, check=False
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert words in done.stderr
