"""A release of eight bits among the others: every check of releases, and every command on it."""

import json

import numpy as np
import pytest
import test_releases
from click.testing import CliRunner
from PIL import Image

from leansr import Upscaler, cli
from leansr.lab.export.release import write
from leansr.lab.plot.points import released_points
from leansr.lab.weights import open_network
from leansr.zoo import release
from leansr.zoo.release import release_of


def leansr(*arguments):
    done = CliRunner().invoke(cli.cli, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module", params=["sesr", "study"])
def released(request, tmp_path_factory, photo):
    """SESR-M3 x2 in floats and in eight bits, the only releases there are, and its pictures."""
    folder = tmp_path_factory.mktemp("weights")
    pictures = tmp_path_factory.mktemp("pictures")
    for i in range(2):
        Image.fromarray(photo[200 * i : 200 * i + 150, :160]).save(pictures / f"{i}.png")
    benchmarks = dict.fromkeys(("Set5", "Set14", "validation"), pictures)
    own = release_of("sesr-m3", 2)
    network, variant, _ = open_network(own.tensors)
    told = {"training": own.card["training"]}
    write(network, variant, 2, folder / "sesr-m3_x2.onnx", benchmarks, "CC0", "clean", told)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(release, "folder", lambda: folder)
        patch.setattr(test_releases, "folder", lambda: folder)
        given = ["--data", pictures, "-o", folder / "sesr-m3-int8_x2.onnx", "--licence", "CC0"]
        given += ["--scheme", request.param, "--keep", "last"]
        told = leansr(
            "quantize", "sesr-m3", *given, *(f"--benchmark={n}={pictures}" for n in benchmarks)
        )
        yield pictures, told


def test_it_is_a_release_like_any_other(released):
    known = release.releases()
    assert set(known) == {("sesr-m3", 2), ("sesr-m3-int8", 2)}
    for each in known.values():
        test_releases.test_files_are_those_of_the_card(each)
        test_releases.test_graph_says_what_it_is(each)
        test_releases.test_tensors_are_the_convolutions(each)
        test_releases.test_eight_bits_say_what_they_lost(each)
        test_releases.test_no_path_of_any_machine(each)
    test_releases.test_no_stray_files()
    # In floats it costs the same and is better, which is no reason not to release it.
    test_releases.test_no_release_is_beaten_in_quality_and_in_cost("clean")


def test_what_was_lost_is_told(released):
    _, told = released
    quantized = release_of("sesr-m3-int8", 2).card["quantized"]
    (stated, *_) = quantized["floats"]["quality"]
    assert 0 < stated["drop"] < 1
    assert quantized["in_floats"] == ["last"]
    lines = told.splitlines()
    assert lines[1].endswith(f" (luma), {stated['drop']:.3f} dB below sesr-m3_x2")
    assert len(lines) == 4


def test_commands_take_it(released, tmp_path):
    pictures, _ = released
    rows = json.loads(leansr("models", "--json"))["models"]
    (row,) = [r for r in rows if (r["variant"], r["scale"]) == ("sesr-m3-int8", 2)]
    card = release_of("sesr-m3-int8", 2).card
    assert (row["has_weights"], row["inputs"]) == (True, ["clean"])
    assert row["set5_psnr_y"] == card["quality"][0]["psnr_y"]
    of = ["sesr-m3-int8", "--scale", 2, "--data", pictures, "--json"]
    found = json.loads(leansr("evaluate", *of))
    assert found["psnr_y"] == pytest.approx(card["quality"][0]["psnr_y"], abs=1e-4)
    target = tmp_path / "large.png"
    leansr("upscale", pictures / "0.png", "-o", target, "--model", "sesr-m3-int8")
    lr = np.asarray(Image.open(pictures / "0.png"))
    assert np.array_equal(np.asarray(Image.open(target)), Upscaler("sesr-m3-int8", 2)(lr))
    other = Upscaler("sesr-m3", 2, backend="onnxruntime")(lr)
    assert 0 < np.abs(np.asarray(Image.open(target)).astype(float) - other).mean() < 1.5


def test_fronts_show_it_where_the_cost_is_time(released):
    names = {point.name for point in released_points(2, "Set5", "multi_adds")}
    assert names == {"sesr-m3"}
    timed = released_points(2, "Set5", "measured_ms", {"sesr-m3": 9.0, "sesr-m3-int8": 8.0})
    assert {point.name: point.cost for point in timed} == {"sesr-m3": 9.0, "sesr-m3-int8": 8.0}


def test_tiles_leave_no_seam_to_speak_of(released, photo):
    """What is rounded within may go to the next level where sums are added in another order."""
    whole, tiled = (Upscaler("sesr-m3-int8", 2, tile=tile)(photo[:90, :70]) for tile in ("off", 32))
    apart = np.abs(whole.astype(int) - tiled)
    assert (apart > 1).mean() <= 1e-3


@pytest.mark.slow
def test_its_speed_is_told_as_that_of_integers(released):
    given = ["--lr-size", "32x24", "--threads", 1, "--warmup", 1, "--runs", 1, "--json"]
    names = ["sesr-m3", "sesr-m3-int8"]
    value = json.loads(leansr("bench", *names, "--backend", "onnxruntime,torch", *given))
    told = {(row["variant"], row["backend"]): row for row in value["rows"]}
    dtypes = {key: row["dtype"] for key, row in told.items()}
    assert dtypes == {
        ("sesr-m3", "onnxruntime"): "float32",
        ("sesr-m3", "torch"): "float32",
        ("sesr-m3-int8", "onnxruntime"): "int8",
        ("sesr-m3-int8", "torch"): "float32",
    }
    assert told["sesr-m3-int8", "onnxruntime"]["weights"] == "released"
