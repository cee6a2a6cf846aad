"""Sheets: the same patch by several methods, each measured on what is shown."""

import json
from functools import partial
from xml.etree import ElementTree

import numpy as np
import pytest
from commands import leansr as command
from drawings import drawn

from leansr import Upscaler
from leansr.errors import UsageError
from leansr.image.quality import compare
from leansr.image.resize import resize
from leansr.lab.plot.pictures import Patch
from leansr.lab.plot.sheet import panels
from leansr.zoo.release import releases

leansr = partial(command, "plot")


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
    for figure in (["sheet", "sesr-m5"], ["dispersion"]):
        done = leansr(*figure, "--picture", hr, "--patch", patch, "-o", "a.png")
        assert isinstance(done.exception, UsageError)
        assert words in str(done.exception)


@pytest.mark.parametrize("patch", ["1,2,3", "a,b,c,d", "-1,0,20,20", "1,2,3,4,5", "1.5,0,20,20"])
def test_a_patch_that_is_none(hr, patch):
    done = leansr("sheet", "sesr-m5", "--picture", hr, f"--patch={patch}", "-o", "a.png")
    assert done.exit_code == 2
    assert "is not left,top,width,height" in done.output
