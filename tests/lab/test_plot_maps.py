"""Figures of what goes on inside networks, at the command line."""

import json
import shutil
from functools import partial
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from commands import leansr as command
from drawings import drawn, words_of
from PIL import Image

from leansr import Upscaler, zoo
from leansr.errors import UsageError
from leansr.lab import weights as weights_file
from leansr.lab.measure.attention import attentions
from leansr.lab.nets import build
from leansr.lab.plot.attention import draw_attention
from leansr.lab.plot.inputs import as_input, network_of
from leansr.lab.plot.pictures import hr_and_lr

leansr = partial(command, "plot")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Random weights of some networks as weights files, by variant, x4."""
    folder = tmp_path_factory.mktemp("weights")
    paths = {}
    for name in ("fmen-s", "mdrn-s", "bsrn-s"):
        torch.manual_seed(0)
        network = build(zoo.VARIANTS[name], 4)
        facts = weights_file.Imported(
            variant=name, scale=4, form="training", file="random", file_sha256=""
        )
        paths[name] = folder / f"{name}.safetensors"
        weights_file.save_weights(paths[name], network.state_dict(), facts)
    return paths


def test_spectrum_of_weights(tmp_path, hr, trained):
    png, svg = tmp_path / "a.png", tmp_path / "a.svg"
    arguments = ["fmen-s", "--weights", trained["fmen-s"], "--picture", hr]
    done = leansr("spectrum", *arguments, "-o", png, "-o", svg, "--json")
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)["rows"]
    assert [row["block"] for row in rows] == ["warmup.1", *(f"attentions.{i}" for i in range(4))]
    for row in rows:
        assert all(0 < row[key] < 1 for key in row if key != "block")
        assert row["high_of_detail_before"] > row["high_before"]
    drawn(png)
    texts = words_of(svg)
    assert "frequency, cycles a pixel" in texts
    assert "are not drawn" not in texts
    done = leansr("spectrum", *arguments, "--block", "ERB", "-o", svg)
    assert done.exit_code == 0, done.output
    assert len(done.stdout.splitlines()) == 3 + 4 + 6
    assert "2 more blocks are not drawn." in words_of(svg)


def test_spectrum_of_a_release(tmp_path, hr):
    done = leansr(
        "spectrum", "sesr-m5", "--picture", hr, "--block", "PReLU", "-o", tmp_path / "a.svg"
    )
    assert done.exit_code == 0, done.output
    assert len(done.stdout.splitlines()) == 3 + 5
    done = leansr("spectrum", "sesr-m5", "--picture", hr, "-o", "a.png")
    assert "blocks that weigh by a sigmoid: the network has none" in str(done.exception)
    done = leansr("spectrum", "bsrn", "--picture", hr, "-o", "a.png")
    assert "bsrn x4: has no released weights; give --weights" in str(done.exception)


def test_attention_of_two_networks(tmp_path, hr, trained):
    svg, png = tmp_path / "a.svg", tmp_path / "a.png"
    arguments = ["bsrn-s", "--weights", trained["bsrn-s"], "--picture", hr]
    arguments += ["--beside", f"mdrn-s={trained['mdrn-s']}", "-o", svg, "-o", png]
    done = leansr("attention", *arguments, "--block", 2)
    assert done.exit_code == 0, done.output
    texts = [t.strip() for t in ElementTree.parse(svg).getroot().itertext()]
    assert texts.count("refinement") == 2
    assert {"bsrn-s, gate 2", "mdrn-s, gate 2", "D7 + L-var", "D5", "D3"} <= set(texts)
    drawn(png)
    done = leansr("attention", *arguments)
    assert done.exit_code == 0, done.output
    texts = [t.strip() for t in ElementTree.parse(svg).getroot().itertext()]
    assert {"bsrn-s, gate 5", "mdrn-s, gate 8"} <= set(texts)
    done = leansr("attention", *arguments, "--block", 6)
    assert "bsrn-s: has 5 gates, and --block 6 is none of them" in str(done.exception)


@pytest.mark.parametrize(
    ("name", "titles"),
    [
        ("mdrn-no-refine", ["dispersion all", "the gate's own", "D7 + L-var", "D5", "D3"]),
        ("mdrn-no-dispersion", ["refinement", "the gate's own"]),
        ("mdrn-esa-d7", ["refinement", "dispersion D7", "the gate's own"]),
    ],
)
def test_gates_that_lack_a_branch(name, titles):
    torch.manual_seed(0)
    (gate, *_) = attentions(build(zoo.VARIANTS[name], 4), torch.rand(1, 3, 24, 24))
    figure = draw_attention({"one": gate}, np.zeros((24, 24, 3), np.uint8))
    told = [axes.get_title().partition("\n")[0] for axes in figure.axes]
    assert told == ["LR", *titles]


@pytest.mark.parametrize("name", [r"$\frac$", "_\x01", "写真"], ids=ascii)
def test_files_of_any_name(tmp_path, hr, trained, name):
    picture, weights = tmp_path / f"{name}.png", tmp_path / f"{name}.safetensors"
    shutil.copy(hr, picture)
    shutil.copy(trained["bsrn-s"], weights)
    svg = tmp_path / "a.svg"
    seen = "bsrn-s", "--weights", trained["bsrn-s"], "--picture", picture
    for figure in (["spectrum", *seen], ["attention", *seen, "--beside", f"bsrn-s={weights}"]):
        done = leansr(*figure, "-o", svg)
        assert done.exit_code == 0, done.output
        assert name.replace("\x01", "?") in words_of(svg)


def test_dispersion_of_a_picture(tmp_path, hr):
    small = tmp_path / "small.png"
    Image.fromarray(np.zeros((9, 4, 3), np.uint8)).save(small)
    done = leansr("dispersion", "--picture", small, "-o", "a.png")
    assert "pools 5 x 5 pixels, and the picture has 4 x 9" in str(done.exception)
    assert leansr("dispersion", "--picture", hr, "-o", tmp_path / "a.png").exit_code == 0
    drawn(tmp_path / "a.png")


def test_networks_see_what_they_would(photo):
    variant = zoo.VARIANTS["sesr-m5"]
    _, lr = hr_and_lr(photo, 4)
    network = network_of("sesr-m5", 4)
    with torch.no_grad():
        sr = network(as_input(lr, variant))
    # The luma of what the upscaler makes of the same LR; its chroma differs a little by rounding.
    expected = as_input(Upscaler("sesr-m5", 4)(lr), variant)
    assert float((sr.clamp(16 / 255, 235 / 255) - expected).abs().mean()) < 2 / 255
    rgb = as_input(lr, zoo.VARIANTS["bsrn"])
    np.testing.assert_array_equal((rgb[0].permute(1, 2, 0) * 255).round().numpy(), lr)
    for scale, words in ((4, "15 pixels a side or more, and the LR has 12 x 14"), (99, "smaller")):
        with pytest.raises(UsageError, match=words):
            as_input(hr_and_lr(photo[:56, :50], scale)[1], zoo.VARIANTS["bsrn"])
