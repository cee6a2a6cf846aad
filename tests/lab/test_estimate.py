"""`leansr estimate`: what it prints, what it takes, what it refuses."""

import json
import re

import pytest
import safetensors.torch
import torch
from commands import leansr
from test_int8 import started
from traffic_by_hand import FSRCNN_BYTES, FSRCNN_WEIGHTS, M5_BYTES, M5_WEIGHTS, PIXELS

from leansr import zoo
from leansr.errors import UsageError, WeightsError
from leansr.lab.measure import peaks, vela
from leansr.lab.measure.forecast import forecast
from leansr.lab.measure.hardware import ETHOS_N78
from leansr.lab.nets import build
from leansr.zoo.costs import costs


def test_estimate_as_json():
    done = leansr("estimate", "sesr-m5-hw", "fsrcnn", "--json")
    assert done.exit_code == 0, done.output
    value = json.loads(done.stdout)
    assert set(value) == {"schema", "scale", "lr_size", "tile", "hardware", "estimates"}
    assert value["hardware"]["macs_per_s"] == 2e12
    assert set(value["hardware"]["sources"]) < set(value["hardware"])
    sesr, fsrcnn = value["estimates"]
    assert (sesr["variant"], fsrcnn["variant"]) == ("sesr-m5-hw", "fsrcnn")
    assert sesr["multi_adds"] == sesr["multi_adds_hr"] == PIXELS * 13_520
    assert sesr["dram_bytes"] == PIXELS * M5_BYTES + M5_WEIGHTS
    assert fsrcnn["dram_bytes"] == PIXELS * FSRCNN_BYTES + FSRCNN_WEIGHTS
    assert sesr["runtime_ms"] == pytest.approx(26.543, abs=5e-4)
    assert sesr["fps"] == pytest.approx(37.675, abs=5e-4)
    first, *_, shuffle = sesr["layers"]
    assert first["dram_bytes"] == PIXELS * 9 + 25 * 16 + 16
    assert (first["array_macs"], first["multi_adds"]) == (PIXELS * 4096, PIXELS * 400)
    assert (shuffle["dram_bytes"], shuffle["multi_adds"]) == (PIXELS * 8, 0)


def test_estimate_prints_tiles_and_layers():
    done = leansr("estimate", "sesr-m3", "--tile", "400x300", "--halo", "--layers")
    assert done.exit_code == 0, done.output
    assert "in 20 tiles of 400 x 300, a halo of 7" in done.stdout
    assert "compressed: the driver stack" in done.stdout
    assert done.stdout.count("(convolution)") == 5


@pytest.mark.parametrize("halo", [[], ["--halo"]])
def test_a_tile_is_cut_to_the_picture(halo):
    arguments = "estimate", "sesr-m3", "--lr-size", "64x48"
    whole = json.loads(leansr(*arguments, "--json").stdout)["estimates"][0]
    cut = json.loads(leansr(*arguments, "--tile", "999x999", *halo, "--json").stdout)
    assert cut["tile"] == [48, 64]
    assert cut["estimates"][0]["tiles"] == 1
    assert cut["estimates"][0]["dram_bytes"] == whole["dram_bytes"]
    one_side = leansr(*arguments, "--tile", "32x999", *halo)
    assert "in 2 tiles of 32 x 48" in one_side.stdout


@pytest.mark.parametrize(
    ("network", "side"), sorted({(v.network, v.smallest) for v in zoo.VARIANTS.values()})
)
def test_the_smallest_picture_is_estimated_and_no_smaller(network, side):
    """Of each class of networks, and each size that it takes, the row of the fewest parameters."""
    rows = [v for v in zoo.VARIANTS.values() if (v.network, v.smallest) == (network, side)]
    variant = min(rows, key=lambda row: costs()[row.name, row.scales[0]].params)
    scale = variant.scales[0]
    assert forecast(variant, scale, (side, side), ETHOS_N78).estimate.fps > 0
    if side > 1:
        with pytest.raises(UsageError, match=f"takes {side} pixels a side or more"):
            forecast(variant, scale, (side, side - 1), ETHOS_N78)


@pytest.mark.parametrize("family", sorted({v.family for v in zoo.VARIANTS.values()}))
def test_every_network_takes_its_smallest_picture(family):
    for variant in (v for v in zoo.VARIANTS.values() if v.family == family):
        scale, side = variant.scales[0], variant.smallest
        with torch.no_grad():
            deployed = build(variant, scale).deploy().eval()
            sr = deployed(torch.rand(1, variant.channels, side, side))
        assert sr.shape == (1, variant.channels, scale * side, scale * side), variant.name


@pytest.mark.parametrize("size", ["1x1", "1920x1080", "99999x99999"])
def test_columns_never_touch(size):
    done = leansr("estimate", "sesr-m3-hw", "fsrcnn", "--lr-size", size, "--layers")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("x2, "))
    head, *totals = (re.split(r" {2,}", line.strip()) for line in lines[start + 1 : start + 4])
    assert [len(row) for row in totals] == [1 + len(head)] * 2
    passes = [line for line in lines if line.endswith(")") and line.startswith("  ")]
    rows = [re.split(r" {2,}", line.strip()) for line in passes if "(convolution)" in line]
    assert rows
    assert {len(row) for row in rows} == {4}


def test_this_cpu_is_measured():
    done = leansr(
        *("estimate", "sesr-m3-hw", "--lr-size", "64x48", "--hardware", "cpu", "--threads", 1),
        *("--measure", "--json"),
    )
    assert done.exit_code == 0, done.output
    value = json.loads(done.stdout)
    assert value["hardware"]["sources"]["macs_per_s"].startswith("measured now")
    assert value["hardware"]["dram_bytes_per_s"] > 0
    assert value["estimates"][0]["measured_ms"] > 0
    assert value["estimates"][0]["vela"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sesr-m6"], "sesr-m6: no such variant"),
        (["sesr-m5", "--scale", "3"], "it has x2 and x4"),
        (["sesr-m5", "--hardware", "tpu"], "'tpu' is not one of"),
        (["sesr-m5", "--halo"], "say how large they are with --tile"),
        (["sesr-m5", "--measure"], "use --hardware cpu"),
        (["sesr-m5", "--tile", "9x9", "--vela", "ethos-u65-512"], "leave out --tile"),
        (["bsrn", "--tile", "99x99", "--halo"], "looks at the whole picture, and no tile is exact"),
        (["sesr-m5", "--vela", "ethos-n78"], "Vela knows no such NPU; one of ethos-u55-32"),
        (["bsrn", "--scale", 4, "--lr-size", "1x1"], "takes 15 pixels a side or more"),
        (["bsrn", "--scale", 4, "--tile", "99x14"], "would get 99x14; give a larger --tile"),
        (["lapar-a", "--tile", "9x1"], "lapar-a: takes 2 pixels a side or more"),
        (["sesr-m5", "--weights", "w"], "--weights: are what Vela is given of one network"),
        (["sesr-m5", "--weights", "w", "--vela", "ethos-u65-512"], "and sesr-m5 is in floats"),
        (["sesr-m5-int8", "--hardware", "cpu", "--threads", "1"], "are those of float32; estimate"),
    ],
)
def test_what_a_user_can_do_wrong(arguments, words):
    done = leansr("estimate", *arguments)
    assert words in (done.output if done.exit_code == 2 else str(done.exception))
    assert done.exit_code == 2 or isinstance(done.exception, UsageError)


def test_eight_bits_are_what_the_hardware_computes_in():
    given = ["sesr-m3", "sesr-m3-int8", "--json"]
    in_floats, in_integers = json.loads(leansr("estimate", *given).stdout)["estimates"]
    assert {**in_integers, "variant": "sesr-m3"} == in_floats


def test_vela_is_given_weights(tmp_path):
    pytest.importorskip("ethosu")
    pytest.importorskip("ai_edge_litert")
    network = started("sesr-m3").deploy()
    path = tmp_path / "w.safetensors"
    header = {"variant": "sesr-m3-int8", "scale": "2", "colour": "y"}
    safetensors.torch.save_file(network.state_dict(), path, header)
    given = ["--vela", "ethos-u65-512", "--weights", path, "--lr-size", "80x45"]
    done = leansr("estimate", "sesr-m3-int8", *given)
    assert done.exit_code == 0, done.output
    told = vela.compiled(network, (1, 1, 45, 80), "ethos-u65-512")
    line = f"weights: {told.weight_bytes} bytes, {told.packed_bytes} with biases and scales as Vela"
    assert line in done.stdout
    done = leansr("estimate", "sesr-m5-int8", *given)
    assert isinstance(done.exception, WeightsError)
    assert "is sesr-m3-int8 x2, not sesr-m5-int8 x2" in str(done.exception)


def test_caches_as_linux_lays_them_out(tmp_path):
    for index, (level, kind, size) in enumerate(
        [
            (1, "Data", "48K"),
            (1, "Instruction", "64K"),
            (2, "Unified", "2048K"),
            (3, "Unified", "32M"),
        ]
    ):
        folder = tmp_path / f"index{index}"
        folder.mkdir()
        for name, value in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(f"{value}\n")
    assert peaks.last_cache(tmp_path) == 32 * 2**20
    assert peaks.last_cache(tmp_path / "none") == 0
