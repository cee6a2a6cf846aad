"""Figures: what they are made of is right, what is drawn is legible, what is written is whole."""

import json
import os
import subprocess
import sys
from functools import partial

import click
import pytest
import torch
from commands import leansr as command
from drawings import drawn, words_of
from matplotlib.figure import Figure
from PIL import Image

from leansr import cli
from leansr.errors import PictureError, UsageError
from leansr.lab.measure.spectrum import BlockSpectrum, spectrum
from leansr.lab.plot.bubble import bubbles, draw_bubbles
from leansr.lab.plot.curves import draw_curves
from leansr.lab.plot.pictures import Patch
from leansr.lab.plot.points import BENCHMARKS, COSTS
from leansr.lab.plot.sheet import Panel, draw_sheet
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


leansr = partial(command, "plot")


def group():
    found = cli.cli.get_command(click.Context(cli.cli), "plot")
    assert isinstance(found, click.Group)
    return found


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
    for figure in ("attention", "spectrum"):
        done = without("torch", figure, "bsrn", *where[:2], "--patch", "1,2", "-o", "a.png")
        assert done.returncode == 2
        assert "'1,2' is not left,top,width,height in pixels" in done.stderr
