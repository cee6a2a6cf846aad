"""Integer grids, simulated and real, by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from leansr.lab.quantize.fake import FakeConvolution, LearnedRange, MovingRange, fake
from leansr.lab.quantize.grid import FINEST, INT8, UINT8, affine, levels, straight_through, values
from leansr.lab.quantize.integer import Geometry, IntegerConvolution, Quantiser
from leansr.lab.quantize.operations import dequantize, quantize
from leansr.lab.quantize.scheme import SCHEMES

ENDS = st.floats(-1e4, 1e4, width=32)


def scalar(value):
    return torch.tensor(float(value))


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero"),
    [
        (0, 255, 1, 0),
        (-1, 1.55, 0.01, 100),
        # Widened to hold zero.
        (0.5, 2.55, 0.01, 0),
        (-2.55, -0.5, 0.01, 255),
        # Half a level is none: to the even one.
        (-0.5, 254.5, 1, 0),
        # Constant, and empty.
        (5.1, 5.1, 0.02, 0),
        (0, 0, FINEST, 0),
        (3, -3, FINEST, 0),
    ],
)
def test_grid_of_a_range(low, high, scale, zero):
    found = affine(scalar(low), scalar(high))
    assert [float(x) for x in found] == pytest.approx([scale, zero])


@given(ENDS, ENDS, st.lists(ENDS, min_size=1, max_size=8))
def test_zero_is_a_level_and_nothing_within_is_off_by_more_than_half_of_one(low, high, xs):
    scale, zero = affine(scalar(low), scalar(high))
    assert zero == zero.round()
    assert 0 <= zero <= 255
    assert values(levels(scalar(0), scale, zero, UINT8), scale, zero) == 0
    first, last = values(torch.tensor([0.0, 255.0]), scale, zero)
    x = torch.tensor(xs).clamp(first, last)
    there = values(levels(x, scale, zero, UINT8), scale, zero)
    assert ((there - x).abs() <= scale * 0.5001).all()
    # What is on the grid stays where it is.
    assert torch.equal(values(levels(there, scale, zero, UINT8), scale, zero), there)


def test_a_range_that_is_not_finite_does_not_become_one():
    assert affine(scalar("nan"), scalar(1))[0].isnan()
    assert affine(scalar(0), scalar("inf"))[0].isinf()


def test_levels_are_those_of_numpy():
    """The other source: whole numbers of numpy, by the formula of ONNX's QuantizeLinear."""
    x = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    scale, zero = np.float32(0.013), 101
    wanted = np.clip(np.rint(x / scale) + zero, 0, 255).astype(np.uint8)
    ours = quantize(torch.from_numpy(x), torch.tensor(scale), torch.tensor(zero, dtype=torch.uint8))
    assert np.array_equal(ours.numpy(), wanted)
    back = dequantize(ours, torch.tensor(scale), torch.tensor(zero, dtype=torch.uint8))
    assert np.array_equal(back.numpy(), (wanted.astype(np.float32) - zero) * scale)


def test_rounding_is_exact_and_passes_gradients_on():
    x = torch.linspace(-300, 300, 4001, requires_grad=True)
    rounded = straight_through(x)
    assert torch.equal(rounded, x.round())
    rounded.sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))


def test_gradients_of_a_range_by_hand():
    """Levels of 0.5 from -1 on: zero is level 2."""
    low, high = (torch.tensor(end, requires_grad=True) for end in (-1.0, 126.5))
    x = torch.tensor([-9.0, 0.2, 0.3, 200.0], requires_grad=True)
    y = fake(x, low, high)
    assert y.tolist() == [-1.0, 0.0, 0.5, 126.5]
    y.sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 0]
    # scale = (high - low) / 255. Inside, y = round(x / scale) scale moves with it by what rounding
    # added, in levels; outside y is an end: (0 - zero) scale and (255 - zero) scale, where
    # zero = -low / scale goes on as it is.
    inside = (0 - 0.4) + (1 - 0.6)
    below, above = (0 - 2), (255 - 2)
    by_scale = below + inside + above
    zero_by_low, zero_by_scale = -1 / 0.5, 1 / 0.5 * -(2 * 0.5) / 0.5
    by_zero = -0.5 * 2  # of the two that are cut off
    want_high = (by_scale + by_zero * zero_by_scale) / 255
    want_low = -want_high + by_zero * zero_by_low
    assert float(high.grad) == pytest.approx(want_high, abs=1e-5)
    assert float(low.grad) == pytest.approx(want_low, abs=1e-5)


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_a_convolution_by_hand_in_integers(scheme):
    random = np.random.default_rng(1)
    weight = torch.from_numpy(random.normal(size=(3, 2, 3, 3)).astype(np.float32))
    weight[1] = 0  # a channel that does nothing has a grid all the same
    bias = torch.tensor([0.3, -0.2, 0.0])
    quantiser = Quantiser(*affine(scalar(-0.7), scalar(1.3)))
    x = quantiser(torch.from_numpy(random.uniform(-1, 1.5, (1, 2, 5, 6)).astype(np.float32)))
    geometry = Geometry(padding=(1, 1))
    ours = IntegerConvolution(weight, bias, geometry, scheme, quantiser.scale)
    simulated = FakeConvolution(scheme, geometry)(x, (weight, bias), quantiser.scale)
    assert torch.equal(ours(x), simulated)
    assert ours.weight.dtype == scheme.grid.dtype
    assert ours.bias.dtype == torch.int32
    # In whole numbers from here on; what pads is the level of zero.
    level = quantize(x, quantiser.scale, quantiser.zero).numpy().astype(np.int64)
    level = np.pad(level - int(quantiser.zero), ((0, 0), (0, 0), (1, 1), (1, 1)))
    kernel = ours.weight.numpy().astype(np.int64)
    kernel = kernel - np.reshape(ours.weight_zero.numpy().astype(np.int64), (-1, 1, 1, 1))
    windows = np.lib.stride_tricks.sliding_window_view(level, (3, 3), axis=(2, 3))
    total = np.einsum("nihwyx,oiyx->nohw", windows, kernel)
    total += ours.bias.numpy().astype(np.int64)[:, None, None]
    values_of = total * np.reshape(ours.bias_scale.numpy().astype(np.float64), (-1, 1, 1))
    np.testing.assert_allclose(ours(x).numpy(), values_of, atol=1e-6)
    assert torch.equal(ours.bias_scale, quantiser.scale * ours.weight_scale)


def test_kernels_of_the_two_schemes():
    weight = torch.tensor([[1.0, -0.5], [0.25, 0.0]]).view(2, 2, 1, 1)
    study = SCHEMES["study"].whole(weight, None, scalar(1))
    assert float(study.scale) == pytest.approx(1.5 / 255)
    assert study.weight.flatten().tolist() == [255, 0, 127, 85]
    assert study.zero == 85
    sesr = SCHEMES["sesr"].whole(weight, None, scalar(1))
    assert sesr.scale.tolist() == pytest.approx([1 / 127, 0.25 / 127])
    assert sesr.weight.flatten().tolist() == [127, -64, 127, 0]
    assert INT8.lowest == -INT8.highest == -127


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)
def test_a_bias_that_dwarfs_its_kernel_fits_all_the_same(scheme):
    weight = torch.full((1, 1, 1, 1), 1e-9)
    found = scheme.whole(weight, torch.tensor([1e3]), scalar(1e-5))
    assert found.bias.abs().max() <= 2**30
    assert float(found.in_floats()[1]) == pytest.approx(1e3)


def test_ranges_that_move_do_so_in_training_alone():
    moving = MovingRange()
    x = torch.tensor([-1.0, 3.0])
    moving.eval()(x)
    assert (float(moving.low), float(moving.high)) == (0, 1)
    moving.train()(x)
    assert (float(moving.low), float(moving.high)) == pytest.approx((-0.001, 1.002))
    assert not list(moving.parameters())
    assert {name for name, _ in LearnedRange().named_parameters()} == {"low", "high"}
