import json
import re
from dataclasses import replace
from importlib.util import find_spec

import click.testing
import pytest
from torch import nn

from leansr import cli, zoo
from leansr.errors import LeanSRError, UsageError
from leansr.lab.measure import peaks, vela
from leansr.lab.measure.complexity import complexity
from leansr.lab.measure.forecast import forecast
from leansr.lab.measure.hardware import ETHOS_N78, Hardware
from leansr.lab.measure.passes import passes
from leansr.lab.measure.roofline import array_macs, estimate
from leansr.lab.nets import build
from leansr.lab.papers import rows
from leansr.lab.reproduce.cell import CLAIM
from leansr.lab.reproduce.hardware import FULL_HD, TILE, by_model, cells

# A byte a value, a value a cell, nothing kept on chip: traffic is what the features hold.
PLAIN = Hardware("plain", 1e9, 1e9, buffer_bytes=0, bytes_per_value=1)


def two_convolutions():
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 5, padding=2))


def deployed(name, scale):
    return build(zoo.find(name, scale), scale).deploy().eval()


def test_traffic_of_two_convolutions_by_hand():
    run = estimate(two_convolutions(), (1, 3, 10, 12), PLAIN)
    assert [layer.dram_bytes for layer in run.layers] == [
        3 * 120 + (3 * 8 * 9 + 8) + 8 * 120,
        8 * 120 + (8 * 3 * 25 + 3) + 3 * 120,
    ]
    assert run.multi_adds == 120 * (3 * 8 * 9 + 8 * 3 * 25)
    kept = estimate(two_convolutions(), (1, 3, 10, 12), replace(PLAIN, buffer_bytes=11 * 120))
    assert kept.dram_bytes == run.dram_bytes - 2 * 8 * 120
    almost = estimate(two_convolutions(), (1, 3, 10, 12), replace(PLAIN, buffer_bytes=11 * 120 - 1))
    assert almost.dram_bytes == run.dram_bytes


@pytest.mark.parametrize("buffered", [1, 2])
def test_stripes_pass_a_feature_on_if_they_fit(buffered):
    # Two more of the picture and of the feature, for the rows around. And all weights.
    stripes = (buffered + 2) * 3 + (1 + 2) * 8 + buffered * 3
    held = 8 * 16 * stripes + (3 * 8 * 9 + 8) + (8 * 3 * 25 + 3)
    whole = estimate(two_convolutions(), (1, 3, 40, 16), PLAIN).dram_bytes
    for buffer, saved in ((held, 2 * 8 * 40 * 16), (held - 1, 0)):
        hardware = replace(PLAIN, buffer_bytes=buffer, stripe=8, buffered=buffered)
        assert estimate(two_convolutions(), (1, 3, 40, 16), hardware).dram_bytes == whole - saved


def test_a_feature_that_is_read_twice_goes_to_memory():
    class Skip(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x):
            shallow = self.first(x - 0.5).relu()
            return self.second(shallow).relu() + shallow

    run = passes(Skip(), (1, 1, 8, 8))
    assert [one.operation for one in run] == ["aten.convolution"] * 2 + ["aten.add"]
    hardware = replace(PLAIN, buffer_bytes=10**6, stripe=8)
    moved = [layer.dram_bytes for layer in estimate(Skip(), (1, 1, 8, 8), hardware).layers]
    # The second convolution's result alone is passed on.
    assert moved == [64 + 40 + 256, 256 + 148, 256 + 256]


def test_cells_and_compression():
    network = nn.Sequential(nn.Conv2d(1, 16, 1, bias=False), nn.Conv2d(16, 4, 1, bias=False))
    hardware = replace(PLAIN, cell=8, compressible=16, compressed=0.5)
    moved = [layer.dram_bytes for layer in estimate(network, (1, 1, 9, 20), hardware).layers]
    cells = 16 * 24
    assert moved == [cells + 16 + 8 * cells, 8 * cells + 64 + 4 * cells]


def test_lanes_and_winograd_by_hand():
    def macs(conv, size=(8, 6)):
        (one,) = passes(conv, (1, conv.in_channels, *size))
        return array_macs(one, ETHOS_N78)

    # 2 x 2 outputs of 3 x 3 take 16 products, 5 x 5 is four of them; 16 x 16 lanes at a time.
    assert macs(nn.Conv2d(16, 16, 3, padding=1)) == 12 * 16 * 256
    assert macs(nn.Conv2d(1, 16, 5, padding=2)) == 12 * 16 * 4 * 256
    assert macs(nn.Conv2d(16, 17, 1)) == 48 * 16 * 32
    assert macs(nn.Conv2d(16, 16, 3, padding=1, groups=16)) == 12 * 16 * 256
    # Four times the pixels: 6 x 6 upscales and convolves at once, 9 x 9 has zeros put in first.
    assert macs(nn.ConvTranspose2d(16, 1, 6, 2, 2)) == 192 * 36 * 256
    assert macs(nn.ConvTranspose2d(16, 1, 9, 2, 4, 1)) == 48 * 16 * 9 * 256
    (shuffle,) = passes(nn.PixelShuffle(2), (1, 4, 8, 6))
    assert array_macs(shuffle, ETHOS_N78) == 192 * 4 * 256
    assert array_macs(shuffle, PLAIN) == 0


def test_fsrcnn_deconvolution_takes_the_cycles_that_arms_formula_gives():
    """64 channels in x 9 parts x 16 products for each 2 x 2 of 3840 x 2160, on 16 x 8 a cycle."""
    cycles = 64 * (1920 * 1080) * 9 * 16 // (16 * 8)
    *_, upscale = by_model("fsrcnn", 2, FULL_HD).layers
    assert upscale.array_macs == cycles * 2048
    # The sixth of its time in which the array does what was asked for, and no more.
    run = by_model("fsrcnn", 2, FULL_HD)
    assert 0.1 < run.multi_adds_hr / (ETHOS_N78.macs_per_s * run.runtime_ms / 1000) < 0.17


# Worked out from the rules of docs/estimate.md, not by the model. Full HD is 1080 x 1920 pixels,
# whole cells of 8 x 8. SESR-M5 for hardware has 5 x 5 to 16 channels, five of 3 x 3, and 5 x 5 to
# 4 for x2 and 16 for x4: so many weights, each value a byte.
PIXELS = 2_073_600
M5_WEIGHTS = 13_520 + 6 * 16 + 4
M5_X4_WEIGHTS = 18_320 + 7 * 16
# Bytes a pixel where nothing stays on chip and 16 channels take 8. First: 1 read, 8 written. Five
# bodies of 8 and 8. The sum of first and last of them: 8 and 8, 8 written. Last: 8 and 4. The
# depth-to-space: 4 and 4.
M5_BYTES = 9 + 5 * 16 + 24 + 12 + 8
# 8 and 8, then 8 into 4 channels of four times the pixels, 16 of them, and those into 16.
M5_X4_BYTES = 9 + 5 * 16 + 24 + 16 + (8 + 16) + (16 + 16)
# 56 channels take 28, 12 take 12: extract, shrink, four maps, expand, upscale to 4 HR pixels.
FSRCNN_BYTES = (1 + 28) + (28 + 12) + 4 * (12 + 12) + (12 + 28) + (28 + 4)
FSRCNN_WEIGHTS = (56 * 26) + (12 * 57) + 4 * (12 * 109) + (56 * 13) + (56 * 81 + 1)
# The tile of 300 x 400, in cells 304 x 400. 8 rows of 16 channels are 51,200 bytes. The five bodies
# hold 4 of what comes in, 3 of each of four passed on and 2 that go out: 18, 921,600 bytes with
# 11,600 of weights beside, of 1,048,576. The sum would make them 21. So it reads two features, and
# is passed on to the last convolution, and that to the depth-to-space.
TILE_BYTES = 304 * 400 * (9 + (8 + 8) + (8 + 8)) + 600 * 800


def test_traffic_of_table_3_by_hand():
    for name, scale, size, expected in (
        ("sesr-m5-hw", 2, FULL_HD, PIXELS * M5_BYTES + M5_WEIGHTS),
        ("sesr-m5-hw", 4, FULL_HD, PIXELS * M5_X4_BYTES + M5_X4_WEIGHTS),
        ("fsrcnn", 2, FULL_HD, PIXELS * FSRCNN_BYTES + FSRCNN_WEIGHTS),
        ("sesr-m5-hw", 2, TILE, TILE_BYTES + M5_WEIGHTS),
    ):
        assert by_model(name, scale, size).dram_bytes == expected


def test_time_of_sesr_m5_by_hand():
    """By 2e12 products and 15.625e9 bytes a second."""
    run = by_model("sesr-m5-hw", 2, FULL_HD)
    # One body: 4 products a pixel by Winograd, on 16 x 16 lanes. 5 x 5 is four times that, and so
    # is the depth-to-space: 4 products for each of 4 HR pixels, one lane of 16 in use.
    body = PIXELS * 4 * 256 / 2e9
    assert body == pytest.approx(1.0616832)
    times = [layer.compute_ms for layer in run.layers]
    assert times == pytest.approx([4 * body] + [body] * 5 + [0, 4 * body, 4 * body])
    # Bodies and sum wait for memory, the others for the array.
    waiting = (PIXELS * (5 * 16 + 24) + 5 * (9 * 256 + 16)) / 15.625e6
    assert run.runtime_ms == pytest.approx(12 * body + waiting)
    assert round(run.runtime_ms, 3) == 26.543
    assert run.bound == "dram"


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("stripe", 4),
        ("stripe", 16),
        ("buffer_bytes", 512 * 1024),
        ("buffer_bytes", 1536 * 1024),
        ("compressible", 17),
        ("cell", 1),
    ],
)
def test_traffic_depends_on_what_the_docs_say_it_does(name, changed):
    network, shape = deployed("sesr-m5-hw", 2), (1, 1, *TILE)
    moved = estimate(network, shape, replace(ETHOS_N78, **{name: changed})).dram_bytes
    assert abs(moved / (TILE_BYTES + M5_WEIGHTS) - 1) > 0.01


@pytest.mark.parametrize("family", sorted({v.family for v in zoo.VARIANTS.values()}))
def test_passes_have_the_multi_adds_that_are_counted(family):
    variant = min((v for v in zoo.VARIANTS.values() if v.family == family), key=lambda v: v.name)
    scale = variant.scales[-1]
    network, shape = deployed(variant.name, scale).to("meta"), (1, variant.channels, 48, 56)
    run = estimate(network, shape, PLAIN)
    assert run.multi_adds == complexity(network, shape).multi_adds
    assert run.multi_adds == sum(layer.array_macs for layer in run.layers)
    npu = estimate(network, shape, ETHOS_N78)
    assert npu.multi_adds == run.multi_adds
    assert npu.runtime_ms > 0
    assert max(npu.compute_ms, npu.dram_ms) <= npu.runtime_ms <= npu.compute_ms + npu.dram_ms


def test_transposed_convolutions_at_either_end():
    run = by_model("fsrcnn", 2, FULL_HD)
    inside = 56 * 25 + 2 * 56 * 12 + 4 * 12 * 12 * 9
    assert run.multi_adds == 1920 * 1080 * (inside + 56 * 81)
    assert run.multi_adds_hr == 1920 * 1080 * (inside + 4 * 56 * 81)


def test_more_of_anything_is_never_slower():
    network, shape = deployed("sesr-m5-hw", 2), (1, 1, 270, 480)
    before = estimate(network, shape, ETHOS_N78)
    for changed in (
        replace(ETHOS_N78, dram_bytes_per_s=2 * ETHOS_N78.dram_bytes_per_s),
        replace(ETHOS_N78, macs_per_s=2 * ETHOS_N78.macs_per_s),
        replace(ETHOS_N78, buffer_bytes=4 * ETHOS_N78.buffer_bytes),
    ):
        after = estimate(network, shape, changed)
        assert after.runtime_ms < before.runtime_ms
        assert after.dram_bytes <= before.dram_bytes


def test_tiles():
    network, shape = deployed("sesr-m5-hw", 2), (1, 1, *FULL_HD)
    whole = by_model("sesr-m5-hw", 2, FULL_HD)
    printed = estimate(network, shape, ETHOS_N78, TILE)
    assert printed.tiles == pytest.approx(17.28)
    assert printed.multi_adds == pytest.approx(whole.multi_adds)
    assert printed.dram_bytes < whole.dram_bytes / 2
    assert printed.runtime_ms == pytest.approx(17.28 * by_model("sesr-m5-hw", 2, TILE).runtime_ms)
    # 5 x 4 nearly equal tiles, 9 pixels wider where another tile is.
    exact = estimate(network, shape, ETHOS_N78, TILE, halo=9)
    assert exact.tiles == 20
    assert exact.multi_adds == 13_520 * (2 * 393 + 3 * 402) * (2 * 279 + 2 * 288)
    assert exact.runtime_ms > printed.runtime_ms


@pytest.fixture(scope="module")
def printed():
    """Everything that SESR prints of its NPU, beside ours."""
    return list(cells("sesr"))


def test_every_figure_of_table_3_is_there_and_near(printed):
    found = {(c.model, c.scale, c.column): c for c in printed if c.table == "3"}
    for row in rows("sesr_hardware"):
        for column in ("macs_g", "dram_mb", "runtime_ms", "fps"):
            model = f"{row['model']}, {row['input']} in"
            assert found[model, int(row["scale"]), column].printed == row[column]
    assert len(found) == 20
    for (*_, column), cell in found.items():
        if column in ("dram_mb", "runtime_ms"):
            assert abs(cell.ours / float(cell.printed) - 1) <= 0.25
    assert all(cell.fits for cell in found.values() if cell.column == "macs_g")
    own = {c.printed for c in found.values() if c.column == "macs_g" and c.is_own}
    assert own == {"28", "1.62", "38", "2.19"}


def test_what_is_far_from_the_print_has_a_reason(printed):
    for cell in printed:
        if cell.fits is False or abs(cell.ours / float(cell.printed) - 1) > 0.1:
            is_the_fps = cell.model == "a picture in tiles (fps)"
            assert cell.why or is_the_fps, cell


def test_claims(printed):
    said = [cell for cell in printed if cell.column == CLAIM]
    best = {cell.variant: cell.ours for cell in said if cell.table == "Figure 1(b)"}
    # 2e12 over pixels times weights, which Table 1 prints
    assert best["sesr-m5-hw"] == pytest.approx(2e12 / (1920 * 1080 * 13_520))
    assert best["sesr-xl-hw"] == pytest.approx(2e12 / (1920 * 1080 * 105_376))
    assert len(best) == 6
    # Times by the model are held to nothing; they are near all the same.
    assert all(cell.fits for cell in said if cell.kind != "estimated")
    assert all(abs(cell.ours / float(cell.printed) - 1) <= 0.25 for cell in said)
    assert list(cells("bsrn")) == []


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


def leansr(*arguments):
    result = click.testing.CliRunner().invoke(cli.cli, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        assert isinstance(result.exception, LeanSRError)
    return result


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


@pytest.mark.parametrize("family", sorted({v.family for v in zoo.VARIANTS.values()}))
def test_the_smallest_picture_is_estimated_and_no_smaller(family):
    for variant in (v for v in zoo.VARIANTS.values() if v.family == family):
        scale, side = variant.scales[0], variant.smallest
        assert forecast(variant, scale, (side, side), ETHOS_N78).estimate.fps > 0
        if side > 1:
            with pytest.raises(UsageError, match=f"takes {side} pixels a side or more"):
                forecast(variant, scale, (side, side - 1), ETHOS_N78)


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
    ],
)
def test_what_a_user_can_do_wrong(arguments, words):
    done = leansr("estimate", *arguments)
    assert words in (done.output if done.exit_code == 2 else str(done.exception))
    assert done.exit_code == 2 or isinstance(done.exception, UsageError)


@pytest.mark.skipif(find_spec("ethosu") is not None, reason="Vela is installed")
def test_vela_says_how_to_install_it():
    with pytest.raises(UsageError, match=r"pip install 'leansr\[vela\]'"):
        vela.compiled(deployed("sesr-m3-hw", 2), (1, 1, 8, 8), "ethos-u65-512")


def test_what_vela_writes_is_read():
    summary = (
        "system_config,memory_mode,inferences_per_second,sram_total_bytes,dram_total_bytes,"
        "nn_macs,cycles_total\nServer,Sram,778.5,4305104,6359696,194688000,1284418.0\n"
    )
    log = "Warning (supported operators) operator: DEPTH_TO_SPACE, ofm: 'shuffle.0_36'\nReason: so"
    found = vela.read(summary, log, "ethos-u65-512")
    assert (found.cycles, found.macs, found.dram_bytes) == (1_284_418, 194_688_000, 6_359_696)
    assert found.on_cpu == (("DEPTH_TO_SPACE", "shuffle.0"),)


@pytest.mark.parametrize("name", ["sesr-m5", "sesr-m5-hw", "fsrcnn"])
def test_vela_counts_what_the_model_counts(name):
    pytest.importorskip("ethosu")
    pytest.importorskip("ai_edge_litert")
    shape = (1, 1, 45, 80)
    found = vela.compiled(deployed(name, 2), shape, "ethos-u65-512")
    # A deconvolution at its output pixels, as Table 3 has it.
    assert found.macs == estimate(deployed(name, 2), shape, ETHOS_N78).multi_adds_hr
    assert [kind for kind, _ in found.on_cpu] == (["DEPTH_TO_SPACE"] if "sesr" in name else [])


def test_vela_is_not_asked_of_what_is_not_mapped():
    pytest.importorskip("ethosu")
    pytest.importorskip("ai_edge_litert")
    with pytest.raises(UsageError, match=r"is not mapped to TensorFlow Lite, so Vela cannot"):
        vela.compiled(deployed("bsrn-s", 4), (1, 3, 64, 64), "ethos-u65-512")
