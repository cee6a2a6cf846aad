"""The model of hardware: what moves, what is multiplied and how long it takes, by hand."""

from dataclasses import replace

import pytest
from torch import nn
from traffic_by_hand import (
    FSRCNN_BYTES,
    FSRCNN_WEIGHTS,
    M5_BYTES,
    M5_WEIGHTS,
    M5_X4_BYTES,
    M5_X4_WEIGHTS,
    PIXELS,
    TILE_BYTES,
)

from leansr import zoo
from leansr.lab.measure.complexity import complexity
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
