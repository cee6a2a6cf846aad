"""Figures: what they are made of is right, what is drawn is legible, what is written is whole."""

import json
import math
import os
import subprocess
import sys
from xml.etree import ElementTree

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from drawings import drawn, words_of
from matplotlib.figure import Figure
from PIL import Image

from leansr import Upscaler, cli
from leansr.errors import DataError, LeanSRError, PictureError, UsageError
from leansr.image.quality import compare
from leansr.image.resize import resize
from leansr.lab.measure.spectrum import BlockSpectrum, spectrum
from leansr.lab.plot.bubble import DEFAULT, bubbles, draw_bubbles
from leansr.lab.plot.curves import draw_curves
from leansr.lab.plot.pictures import Patch
from leansr.lab.plot.points import BENCHMARKS, COSTS
from leansr.lab.plot.sheet import Panel, draw_sheet, panels
from leansr.lab.plot.spectrum import draw_spectra
from leansr.lab.plot.style import write
from leansr.lab.plot.times import read_times
from leansr.lab.train.log import Row
from leansr.zoo.release import releases

SUBCOMMANDS = {
    "front": "scale benchmark cost times outputs",
    "bubble": "variants scale times outputs as_json",
    "sheet": "methods scale picture patch threads outputs as_json",
    "spectrum": "variant scale weights picture patch block outputs as_json",
    "attention": "variant scale weights others picture patch block outputs",
    "dispersion": "picture patch outputs",
    "curves": "runs by outputs",
}


def leansr(*arguments):
    result = CliRunner().invoke(cli.cli, ["plot", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        assert isinstance(result.exception, LeanSRError), result.exception
    return result


def group():
    found = cli.cli.get_command(click.Context(cli.cli), "plot")
    assert isinstance(found, click.Group)
    return found


@pytest.fixture
def times(tmp_path):
    """A file as `leansr bench --json` writes it."""
    row = {"backend": "onnxruntime", "dtype": "float32", "form": "deploy"}
    ms = {"sesr-m5": 3.0, "bsrn": 60.0, "fmen-s": 25.0, "bsrn-s": 30.0}
    value = {
        "schema": 1,
        "scale": 4,
        "lr_size": [90, 160],
        "machine": {"cpu": "a CPU", "threads": 2},
        "rows": [{"variant": name, "median_ms": m, **row} for name, m in ms.items()],
    }
    path = tmp_path / "times.json"
    path.write_text(json.dumps(value))
    return path


def test_options_are_frozen_and_told():
    commands = group().commands
    assert set(commands) == set(SUBCOMMANDS)
    for name, options in SUBCOMMANDS.items():
        assert {p.name for p in commands[name].params} == set(options.split())
        assert all(p.help for p in commands[name].params if isinstance(p, click.Option))
        assert leansr(name, "--help").exit_code == 0
    choices = {
        p.name: p.type.choices for p in commands["front"].params if hasattr(p.type, "choices")
    }
    assert tuple(choices["benchmark"]) == BENCHMARKS
    assert tuple(choices["cost"]) == COSTS


# --- the front


def test_front_of_what_nobody_prints():
    done = leansr("front", "--scale", 8, "-o", "a.png")
    assert isinstance(done.exception, DataError)
    assert "no network has both" in str(done.exception)


@pytest.mark.parametrize("cost", COSTS)
def test_front_is_written_in_both_formats(tmp_path, times, cost):
    png, svg = tmp_path / "new" / "a.png", tmp_path / "a.svg"
    timed = ["--times", times] if cost == "measured_ms" else []
    done = leansr("front", "--cost", cost, *timed, "-o", png, "-o", svg)
    assert done.exit_code == 0, done.output
    assert done.stdout.split() == [str(png), str(svg)]
    assert drawn(png).shape[1] == 1080
    texts = words_of(svg)
    assert "sesr-m5" in texts
    assert "PSNR on Set5 x4, dB" in texts
    if timed:
        assert "median for 160 x 90 in, onnxruntime float32, a CPU, threads: 2" in texts
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.svg", "new", "times.json"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scale": 2}, "was timed at x2, not x4"),
        ({"rows": [{"variant": "bsrn"}]}, "was not written by"),
        ({"machine": None}, "was not written by"),
        ({"lr_size": [1]}, "was not written by"),
        ({"scale": math.inf}, "was not written by"),
        ({"scale": "4"}, "was not written by"),
        ({"scale": 4.5}, "was not written by"),
    ],
)
def test_times_that_are_none(times, change, words):
    times.write_text(json.dumps(json.loads(times.read_text()) | change))
    done = leansr("front", "--cost", "measured_ms", "--times", times, "-o", "a.png")
    assert words in str(done.exception)


@pytest.mark.parametrize("ms", ["NaN", "Infinity", "-1.0", "0", "1e999", "1" + "0" * 400])
def test_a_time_that_is_none(times, ms):
    times.write_text(times.read_text().replace("25.0", ms))
    with pytest.raises(DataError, match="was not written by `leansr bench --json`"):
        read_times(times, 4)


def test_times_nested_too_deep(times):
    times.write_text("[" * 200_000)
    with pytest.raises(DataError, match="was not written by `leansr bench --json`"):
        read_times(times, 4)


def test_times_of_bench_itself(tmp_path):
    arguments = "sesr-m3", "--scale", "4", "--lr-size", "24x16", "--warmup", "1", "--runs", "1"
    done = CliRunner().invoke(cli.cli, ["bench", *arguments, "--threads", "1", "--json"])
    assert done.exit_code == 0, done.output
    (tmp_path / "times.json").write_text(done.stdout)
    found = read_times(tmp_path / "times.json", 4)
    assert found.ms["sesr-m3"] > 0
    assert "median for 24 x 16 in, onnxruntime float32" in found.how


def test_times_that_are_ambiguous_missing_or_not_wanted(tmp_path, times):
    value = json.loads(times.read_text())
    value["rows"] *= 2
    twice = tmp_path / "twice.json"
    twice.write_text(json.dumps(value))
    (tmp_path / "text.json").write_text("no JSON")
    for file, words in (
        (twice, "has sesr-m5 more than once"),
        (tmp_path / "text.json", "was not written by"),
        (tmp_path / "none.json", "cannot be read"),
    ):
        done = leansr("front", "--cost", "measured_ms", "--times", file, "-o", "a.png")
        assert words in str(done.exception)
    for arguments in (["--times", times], ["--cost", "measured_ms"]):
        done = leansr("front", *arguments, "-o", "a.png")
        assert isinstance(done.exception, UsageError)
        assert "go together" in str(done.exception)
    done = leansr("bubble", "rlfn", "--times", times, "-o", "a.png")
    assert "rlfn: is not among the times" in str(done.exception)


# --- bubbles


def test_bubbles_hold_what_fmen_prints_of_itself():
    found = {b.variant: b for b in bubbles(DEFAULT, 4)}
    fmen = found["fmen"]
    assert fmen.params == 769_428
    assert round(fmen.memory / 2**20) == 68
    # The challenge's 22.28 G at the same size.
    assert found["fmen-s"].multi_adds / 1e9 == pytest.approx(22.28, abs=0.005)
    assert found["e-rfdn"].params == 433_448


def test_bubble_with_times_and_without(tmp_path, times):
    png, svg = tmp_path / "a.png", tmp_path / "b.svg"
    done = leansr("bubble", "-o", png, "--json")
    assert done.exit_code == 0, done.output
    value = json.loads(done.stdout)
    assert value["schema"] == 1
    assert [row["variant"] for row in value["rows"]] == list(DEFAULT)
    assert set(value["rows"][0]) == {"variant", "params", "memory", "multi_adds", "ms"}
    drawn(png)
    done = leansr("bubble", "fmen-s", "bsrn-s", "--times", times, "-o", svg)
    assert done.exit_code == 0, done.output
    texts = words_of(svg)
    assert "measured time, ms" in texts
    assert "341 K" in texts


# --- sheets


def test_panels_are_measured_on_the_patch(photo):
    patch = Patch(21, 34, 50, 40)
    hr = photo[100:203, 100:207]
    upscale = Upscaler("sesr-m5", 4)
    whole, found = panels(hr, patch, {"ours": upscale}, 4)
    assert whole.shape == (100, 104, 3)
    lr = resize(whole, 1 / 4)
    inside = slice(34, 74), slice(21, 71)
    assert [panel.name for panel in found] == ["bicubic", "ours"]
    for panel, sr in zip(found, (resize(lr, 4), upscale(lr)), strict=True):
        np.testing.assert_array_equal(panel.pixels, sr[inside])
        expected = compare(sr[inside], whole[inside], border=0)
        assert (panel.psnr, panel.ssim) == (expected["psnr_y"], expected["ssim_y"])


@pytest.mark.parametrize("methods", [["sesr-m5"], ["sesr-m5", "sesr-m11"]])
def test_sheet_of_released_networks(tmp_path, hr, methods):
    target = tmp_path / "a.png"
    arguments = [*methods, "--picture", hr, "--patch", "8,9,48,36", "-o", target]
    done = leansr("sheet", *arguments, "--json")
    assert done.exit_code == 0, done.output
    value = json.loads(done.stdout)
    assert [row["method"] for row in value["rows"]] == ["bicubic", *methods]
    assert value["patch"] == {"left": 8, "top": 9, "width": 48, "height": 36}
    psnr = [row["psnr_y"] for row in value["rows"]]
    assert psnr == sorted(psnr)
    drawn(target)
    done = leansr("sheet", *arguments)
    assert f"{psnr[0]:.2f} dB" in done.stdout


def test_sheet_of_the_same_variant_by_several_files(tmp_path, hr):
    release = releases()["sesr-m5", 4]
    svg = tmp_path / "a.svg"
    methods = ["sesr-m5", f"sesr-m5={release.onnx}"]
    done = leansr("sheet", *methods, "--picture", hr, "--patch", "0,0,20,40", "-o", svg)
    assert done.exit_code == 0, done.output
    texts = [t.strip() for t in ElementTree.parse(svg).getroot().itertext()]
    assert {"sesr-m5 (released)", "sesr-m5 (sesr-m5_x4)"} <= set(texts)
    done = leansr("sheet", *methods[:1] * 2, "--picture", hr, "--patch", "0,0,20,40", "-o", svg)
    assert "is there twice" in str(done.exception)


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ("60,0,50,40", "reaches from 60,0 to 110,40, and the picture to 100,96"),
        ("0,0,20,97", "to 20,97, and the picture to 100,96"),
        ("0,0,10,40", "11 pixels a side or more, for SSIM, not 10 x 40"),
    ],
)
def test_a_patch_that_is_not_in_the_picture(hr, patch, words):
    for command in (["sheet", "sesr-m5"], ["dispersion"]):
        done = leansr(*command, "--picture", hr, "--patch", patch, "-o", "a.png")
        assert isinstance(done.exception, UsageError)
        assert words in str(done.exception)


@pytest.mark.parametrize("patch", ["1,2,3", "a,b,c,d", "-1,0,20,20", "1,2,3,4,5", "1.5,0,20,20"])
def test_a_patch_that_is_none(hr, patch):
    done = leansr("sheet", "sesr-m5", "--picture", hr, f"--patch={patch}", "-o", "a.png")
    assert done.exit_code == 2
    assert "is not left,top,width,height" in done.output


# --- all of them


def test_a_format_that_is_none_is_told_before_the_work():
    for arguments in (["front"], ["sheet", "x", "--picture", "none.png", "--patch", "0,0,11,11"]):
        done = leansr(*arguments, "-o", "a.jpg")
        assert isinstance(done.exception, UsageError)
        assert "a.jpg: figures are written as .png or .svg" in str(done.exception)


def test_an_output_that_is_an_input(tmp_path, hr):
    (tmp_path / "link.png").symlink_to(hr)
    (tmp_path / "folder").mkdir()
    patch, weights = ("--patch", "0,0,20,20"), ("--weights", hr)
    picture = "--picture", hr
    for output in (hr, tmp_path / "link.png", tmp_path / "folder" / ".." / "hr.png"):
        for arguments in (
            ["dispersion", *picture],
            ["sheet", "sesr-m5", *picture, *patch],
            ["sheet", f"sesr-m5={hr}", "--picture", "b.png", *patch],
            ["spectrum", "fmen", *picture],
            ["spectrum", "fmen", "--picture", "b.png", *weights],
            ["attention", "bsrn", *picture],
            ["attention", "bsrn", "--picture", "b.png", *weights],
            ["attention", "bsrn", "--picture", "b.png", "--beside", f"mdrn={hr}"],
            ["front", "--cost", "measured_ms", "--times", hr],
            ["bubble", "--times", hr],
        ):
            before = hr.read_bytes()
            done = leansr(*arguments, "-o", output)
            assert isinstance(done.exception, UsageError), arguments
            assert "is what the figure is made of; give another -o" in str(done.exception)
            assert hr.read_bytes() == before


def test_an_output_that_cannot_be_written_is_told_before_the_work(tmp_path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    closed = tmp_path / "closed"
    closed.mkdir(0o500)
    targets = {
        tmp_path / "folder.png": "folder.png: is a folder; give the name of a file",
        tmp_path / "file" / "a.png": "file is not a folder",
        tmp_path / "file" / "new" / "a.png": "file is not a folder",
    }
    if not os.access(closed, os.W_OK):  # it is open to root
        targets[closed / "a.png"] = "closed is not open to writing"
        targets[closed / "new" / "a.png"] = "closed is not open to writing"
    for path, words in targets.items():
        done = leansr("dispersion", "--picture", "none.png", "-o", path)
        assert isinstance(done.exception, UsageError)
        assert words in str(done.exception)
    assert not list(closed.iterdir())


def test_what_fails_while_writing_names_the_output(tmp_path):
    path = tmp_path / ("a" * 300 + ".png")
    with pytest.raises(PictureError, match=r"a\.png: cannot be written \(File name too long\)"):
        write(Figure(), path)


NAMES = [r"$\frac$", "a$b$c", "_r3", "\x01\x1b[1m\x7f", "\udcff", "写真", "line\nfeed"]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names_from_outside_are_shown_as_they_are(tmp_path, times, photo, name):
    """Of a machine, a network's file, a picture, a run; "?" is for what cannot be shown."""
    value = json.loads(times.read_text())
    value["machine"]["cpu"] = name
    times.write_text(json.dumps(value))
    measured = read_times(times, 4)
    panel = Panel(name, photo[:20, :20], 30.0, 0.9)
    noise = spectrum(torch.rand(8, 8, generator=torch.Generator().manual_seed(0)))
    for figure in (
        draw_bubbles(bubbles(["fmen-s"], 4, measured), 4, measured),
        draw_sheet(photo, Patch(0, 0, 20, 20), [panel], 4),
        draw_spectra([BlockSpectrum("block", noise, noise)], name),
        draw_curves({name: [Row(100, 0.4, 1e-3, 0.9, 9.0, 31.0)]}, "step"),
    ):
        write(figure, tmp_path / "a.png")
        drawn(tmp_path / "a.png")
        write(figure, tmp_path / "a.svg")
        shown = "".join(c if c.isprintable() else "?" for c in name)
        assert shown in words_of(tmp_path / "a.svg")
        assert "mathdefault" not in words_of(tmp_path / "a.svg")


def test_a_picture_with_alpha_or_none(tmp_path, photo):
    path = tmp_path / "a.png"
    Image.fromarray(photo[:40, :40]).convert("RGBA").save(path)
    done = leansr("dispersion", "--picture", path, "-o", "b.png")
    assert "has an alpha channel" in str(done.exception)
    done = leansr("dispersion", "--picture", "none.png", "-o", "b.png")
    assert "none.png: no such file" in str(done.exception)


def without(package, *arguments):
    """`leansr plot` in a process of its own that has no such package."""
    program = (
        "import sys\n"
        "class Gone:\n"
        "    def find_spec(name, path=None, target=None):\n"
        f"        if name == {package!r}:\n"
        "            raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, Gone)\n"
        "import leansr.cli; leansr.cli.main(['plot', *sys.argv[1:]])"
    )
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_without_matplotlib_its_extra_is_named():
    done = without("matplotlib", "front", "-o", "a.png")
    assert done.returncode == 2
    assert done.stderr == "leansr: this command needs matplotlib; pip install 'leansr[plot]'\n"


def test_a_sheet_of_graphs_needs_no_torch(tmp_path, hr):
    """Nor does reading --patch, so that a bad one is told before torch is missed."""
    where = "--picture", hr, "--patch", "8,9,48,36"
    file = f"sesr-m11={releases()['sesr-m11', 4].onnx}"
    done = without("torch", "sheet", "sesr-m5", file, *where, "-o", tmp_path / "a.png")
    assert done.returncode == 0, done.stderr
    drawn(tmp_path / "a.png")
    done = without("torch", "sheet", "bsrn=b.safetensors", *where, "-o", tmp_path / "b.png")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "this command needs torch; pip install 'leansr[" in done.stderr
    for command in ("attention", "spectrum"):
        done = without("torch", command, "bsrn", *where[:2], "--patch", "1,2", "-o", "a.png")
        assert done.returncode == 2
        assert "'1,2' is not left,top,width,height in pixels" in done.stderr
