"""Power by frequency: known spectra, a plain-loop reference, and what networks are asked for."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from leansr import zoo
from leansr.errors import MeasureError, UsageError
from leansr.lab.measure.blocks import attention_kinds, blocks_of, passages
from leansr.lab.measure.spectrum import spectra, spectrum
from leansr.lab.nets import build, network_class
from leansr.lab.plot.inputs import as_input, network_of
from leansr.lab.plot.pictures import hr_and_lr
from leansr.lab.published import import_published


def shares(plane):
    """The same by plain loops, from the definition."""
    height, width = plane.shape
    power = np.abs(np.fft.fft2(plane)) ** 2
    shorter = min(height, width)
    circles = [[] for _ in range(shorter // 2 + 1)]
    for row in range(height):
        for column in range(width):
            # Above the middle the frequencies are negative.
            y, x = (i - n * (2 * i >= n) for i, n in ((row, height), (column, width)))
            circle = round(math.hypot(y / height, x / width) * shorter)
            if circle < len(circles):
                circles[circle].append(power[row, column])
    means = np.array([np.mean(circle) for circle in circles])
    return means / means.sum()


@pytest.mark.parametrize("shape", [(12, 12), (9, 9), (8, 21), (17, 10), (2, 2)])
def test_shares_are_those_of_the_definition(shape):
    plane = np.random.default_rng(0).normal(size=shape)
    found = spectrum(torch.from_numpy(plane))
    np.testing.assert_allclose(found.whole.share, shares(plane), atol=1e-12)
    assert float(found.whole.share.sum()) == pytest.approx(1)
    assert float(found.detail.share.sum()) == pytest.approx(1)


@given(st.integers(0, 15), st.integers(1, 15), st.sampled_from([32, 40, 64]), st.floats(-9, 9))
def test_a_wave_lies_on_its_circle(down, across, side, mean):
    """And nowhere else, at any angle; a mean beside it is of frequency 0 alone."""
    y, x = torch.meshgrid(*[torch.arange(side, dtype=torch.float64)] * 2, indexing="ij")
    wave = torch.sin(2 * math.pi * (down * y + across * x) / side) + mean
    circle = round(math.hypot(down, across))
    assume(circle <= side // 2)
    found = spectrum(wave)
    assert int(found.detail.share.argmax()) + 1 == circle
    assert float(found.detail.share[circle - 1]) == pytest.approx(1)
    assert float(found.whole.frequency[circle]) == pytest.approx(circle / side)
    assert found.detail.high == pytest.approx(float(circle / side > 0.25))


def test_noise_is_as_high_as_it_is_low():
    noise = torch.randn(256, 256, generator=torch.Generator().manual_seed(0))
    assert spectrum(noise).detail.high == pytest.approx(0.5, abs=0.02)
    smooth = nn.functional.avg_pool2d(noise[None], 5, 1, 2)[0]
    assert spectrum(smooth).detail.high < 0.1


# All its power is beyond the last circle.
BOARD = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).tile(4, 4)


@pytest.mark.parametrize(
    "plane", [torch.zeros(8, 8), torch.full((8, 9), 0.3), BOARD, torch.ones(1, 8)]
)
def test_no_spectrum(plane):
    with pytest.raises(ValueError, match=r"no detail|2 pixels or more"):
        spectrum(plane)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("fmen-s", ["HFAB"]),
        ("bsrn", ["ESA", "CCA"]),
        ("mdrn-s", ["SpatialGate", "CCA"]),
        ("e-rfdn", ["ESA"]),
        ("rfdn", ["CCA"]),
        ("rcan-bl", ["ChannelAttention"]),
        ("pan", ["PixelAttentionConv", "PixelAttention"]),
        ("latticenet", ["Combination"]),
        ("rlfn", ["ESA"]),
        ("span", ["SPAB"]),
        ("sesr-m5", []),
        ("carn", []),
    ],
)
def test_what_attends_is_found_in_both_forms(name, kinds):
    network = build(zoo.VARIANTS[name], 4)
    for form in (network, network.deploy()):
        assert attention_kinds(form) == kinds
        if kinds:
            assert {type(b).__name__ for b in blocks_of(form).values()} == {kinds[0]}


def test_every_network_has_blocks_that_attend_or_says_what_it_has():
    for variant in {v.network: v for v in zoo.VARIANTS.values()}.values():
        network = build(variant, variant.scales[-1])
        if attention_kinds(network):
            assert blocks_of(network)
            continue
        with pytest.raises(UsageError, match=network_class(variant).__name__):
            blocks_of(network)


def test_a_class_that_is_not_there():
    with pytest.raises(UsageError, match=r"HFAB: the network has none; of its .*Conv2d, .*SESR"):
        blocks_of(build(zoo.VARIANTS["sesr-m3"], 2), "HFAB")


def test_passages_are_what_the_blocks_compute():
    torch.manual_seed(0)
    network = build(zoo.VARIANTS["fmen-s"], 4).deploy()
    found = spectra(network, torch.rand(1, 3, 20, 24))
    assert [s.name for s in found] == ["warmup.1", *(f"attentions.{i}" for i in range(4))]
    blocks = blocks_of(network)
    for passage in passages(network, blocks, torch.rand(1, 3, 20, 24)):
        with torch.no_grad():
            expected = blocks[passage.name](passage.before[None])[0]
        torch.testing.assert_close(passage.after, expected)
    assert not any(m._forward_hooks for m in network.modules())


def test_a_block_that_runs_twice_or_gives_two():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = nn.Conv2d(1, 1, 3, padding=1)

        def forward(self, x):
            return self.block(self.block(x))

    network = Twice()
    first, second = passages(network, blocks_of(network, "Conv2d"), torch.rand(1, 1, 8, 8))
    torch.testing.assert_close(first.after, second.before)
    span = build(zoo.VARIANTS["span-s"], 2)
    assert len(spectra(span, torch.rand(1, 3, 16, 16))) == 6


def test_blocks_without_a_feature_to_look_at():
    lattice = build(zoo.VARIANTS["latticenet"], 4)
    with pytest.raises(MeasureError, match="does not go from a feature"):
        spectra(lattice, torch.rand(1, 3, 16, 16), "BackwardFusion")
    study = build(zoo.VARIANTS["rcan-bl"], 4)
    with pytest.raises(MeasureError, match=r"has no spectrum \(a plane is \(H, W\) of 2 pixels"):
        spectra(study, torch.rand(1, 3, 16, 16), "AdaptiveAvgPool2d")


@pytest.mark.shared_data
def test_the_last_block_of_published_fmen_s_lifts_high_frequencies(shared_data, tmp_path, photo):
    """As FMEN says of its HFABs; of those before it two do the contrary (docs/plots.md)."""
    weights = tmp_path / "w.safetensors"
    import_published(shared_data.parent / "checkpoints" / "team03_fmen.pth", "fmen-s", 4, weights)
    _, lr = hr_and_lr(photo, 4)
    network = network_of("fmen-s", 4, weights)
    found = spectra(network, as_input(lr, zoo.VARIANTS["fmen-s"]))
    high = [(100 * s.before.detail.high, 100 * s.after.detail.high) for s in found]
    expected = [(1.3, 4.7), (16.6, 8.5), (16.0, 20.3), (6.0, 2.5), (12.6, 39.0)]
    np.testing.assert_allclose(high, expected, atol=0.06)
    for s in found:
        np.testing.assert_allclose(
            s.before.whole.share, shares(s.before.plane.double().numpy()), atol=1e-9
        )
