import math

import numpy as np
import pytest
import torch

from leansr.image.quality import psnr
from leansr.lab.train.loss import loss_of, spectral
from leansr.lab.train.objective import can_compile
from leansr.lab.train.recipe import Loss


@pytest.fixture
def pair():
    torch.manual_seed(0)
    return torch.rand(3, 2, 12, 10), torch.rand(3, 2, 12, 10)


@pytest.mark.parametrize(
    ("settings", "of_difference"),
    [
        (Loss(), abs),
        (Loss(name="l2"), lambda d: d * d),
        (Loss(name="charbonnier", epsilon=0.1), lambda d: math.sqrt(d * d + 0.01)),
        (
            Loss(name="huber", epsilon=0.2),
            lambda d: d * d / 0.4 if abs(d) < 0.2 else abs(d) - 0.1,
        ),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_losses_by_hand(pair, settings, of_difference):
    sr, hr = pair
    differences = (sr - hr).flatten().tolist()
    expected = sum(of_difference(d) for d in differences) / len(differences)
    assert float(loss_of(settings)(sr, hr)) == pytest.approx(expected, rel=1e-5)


def test_psnr_is_that_of_crops_by_our_measure(pair):
    sr, hr = pair
    pairs = zip(sr, hr, strict=True)
    expected = [psnr(*(255 * crop.double().numpy() for crop in one)) for one in pairs]
    loss = loss_of(Loss(name="psnr", epsilon=1e-6))(sr, hr)
    assert float(loss) == pytest.approx(-sum(expected) / len(expected), rel=1e-5)


@pytest.mark.parametrize("name", Loss.__annotations__["name"].__args__)
def test_no_difference_costs_next_to_nothing(pair, name):
    hr = pair[1]
    sr = hr.clone().requires_grad_()
    loss = loss_of(Loss(name=name, fft=1.0))(sr, hr)
    # Nothing is better than 60 dB to a difference of 1e-3 in all pixels.
    least = -60.0 if name == "psnr" else 0.0
    assert least <= loss.item() <= least + 1.001 * Loss().epsilon
    loss.backward()
    assert torch.equal(sr.grad, torch.zeros_like(hr))


@pytest.mark.parametrize(("height", "width"), [(12, 10), (7, 9), (1, 4)])
def test_spectra_by_numpy(pair, height, width):
    sr, hr = (picture[..., :height, :width] for picture in pair)
    half = np.fft.rfft2((sr - hr).numpy()) / math.sqrt(height * width)
    expected = (np.abs(half.real).mean() + np.abs(half.imag).mean()) / 2
    assert float(spectral(sr, hr)) == pytest.approx(expected, rel=1e-4)
    together = loss_of(Loss(name="l2", fft=0.3))(sr, hr)
    alone = float((sr - hr).square().mean())
    assert float(together) == pytest.approx(alone + 0.3 * expected, rel=1e-4)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(
    not can_compile(torch.device("cpu")), reason="torch.compile needs a C++ compiler"
)
def test_compiled_in_one_piece(pair):
    """Without a word of torch.compile, which warns of what it cannot take."""
    sr, hr = pair
    loss = loss_of(Loss(name="charbonnier", fft=0.5))
    torch._dynamo.reset()
    compiled = torch.compile(loss, fullgraph=True)
    torch.testing.assert_close(compiled(sr, hr), loss(sr, hr))


def test_spectra_cost_the_same_for_every_size_of_crop():
    """Of noise, whose spectrum is flat: the transform neither adds nor removes."""
    torch.manual_seed(0)
    small, large = (float(spectral(torch.randn(8, 1, n, n), torch.zeros(1))) for n in (16, 96))
    assert small == pytest.approx(large, rel=0.1)
