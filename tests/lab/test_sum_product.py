"""Sum-product convolutions, against plain ones and by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from leansr.errors import ExportError, WeightsError
from leansr.lab.quantize.decomposition import decomposed
from leansr.lab.quantize.sum_product import (
    StraightThroughConv2d,
    SumProductConv2d,
    TernaryConv2d,
    ternary,
)


def layer(space="ternary", seed=0, **arguments):
    torch.manual_seed(seed)
    return SumProductConv2d(
        **{"inputs": 8, "outputs": 6, "kernel_size": 3, "rank": 2} | arguments, space=space
    )


def test_ternary_by_hand():
    """The mean magnitude is 0.375, and 0.7 of it 0.2625: two are left, whose mean is 0.95."""
    values, scale = ternary(torch.tensor([[0.1, -0.2, 0.9], [-1.0, 0.05, 0.0]]))
    assert values.tolist() == [[0, 0, 1], [-1, 0, 0]]
    assert scale.item() == pytest.approx(0.95)


def test_what_lies_at_the_threshold_is_zero():
    """Of 0.7 and three more of 1.1 the mean is 1: 0.7 of that is no less."""
    values, _ = ternary(torch.tensor([0.7, 1.1, -1.1, 1.1], dtype=torch.float64))
    assert values.tolist() == [0, 1, -1, 1]


@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=50))
def test_ternary_values_stay_as_they_are(weights):
    values, scale = ternary(torch.tensor(weights))
    assert values.tolist() == weights
    assert scale == (1 if any(weights) else 0)


def test_the_same_weights_are_zero_however_they_lie():
    weight = torch.randn(64, 64, 3, 3)
    moved = weight.to(memory_format=torch.channels_last)
    for one, other in zip(ternary(weight), ternary(moved), strict=True):
        assert torch.equal(one, other)


def test_gradients_go_straight_through():
    """Weights have the gradient of the ternary ones, and none of their scale's own."""
    torch.manual_seed(0)
    conv = StraightThroughConv2d(3, 5, 3, padding=1)
    x = torch.randn(2, 3, 6, 7)
    values, scale = ternary(conv.weight.detach())
    applied = (values * scale).requires_grad_()
    expected = F.conv2d(x, applied, conv.bias.detach(), padding=1)
    found = conv(x)
    assert torch.equal(found, expected)
    towards = torch.randn_like(found)
    (gradient,) = torch.autograd.grad((expected * towards).sum(), applied)
    (found * towards).sum().backward()
    assert torch.equal(conv.weight.grad, gradient)
    assert (conv.weight.grad[values == 0] != 0).any()


@pytest.mark.parametrize(
    "arguments", [{}, {"groups": 2}, {"rank": 3, "kernel_size": 1, "bias": False}]
)
@pytest.mark.parametrize("space", ["ternary", "fixed"])
def test_scales_are_absorbed(space, arguments):
    training = layer(space, **arguments)
    with torch.no_grad():
        training.vector.uniform_(-2, 2)
    deployed = training.collapse()
    x = torch.randn(2, 8, 5, 7)
    torch.testing.assert_close(deployed(x), training(x))
    for conv in (deployed.features, deployed.mix):
        assert conv.weight.dtype == torch.int8
        assert set(conv.weight.unique().tolist()) <= {-1, 0, 1}
    assert deployed.features.groups == arguments.get("groups", 1)
    assert (deployed.mix.bias is None) == (arguments.get("bias") is False)


def test_fixed_is_what_ternary_was_and_trains_its_vector_alone():
    before, after = layer("ternary", 1), layer("fixed", 2)
    x = torch.randn(2, 8, 5, 7)
    after.load_state_dict(before.state_dict())
    torch.testing.assert_close(after(x), before(x))
    assert set(after.features.weight.unique().tolist()) == {-1, 0, 1}
    trained = {name for name, p in after.named_parameters() if p.requires_grad}
    assert trained == {"vector", "mix.bias"}
    # What is fixed already is loaded as it is: runs go on from it.
    kept = {name: tensor.clone() for name, tensor in after.state_dict().items()}
    after.load_state_dict(kept)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in after.state_dict().items())


def test_float_is_one_convolution_and_has_no_ternary_form():
    training = layer("float")
    kernel = torch.einsum(
        "or,r,rihw->oihw",
        training.mix.weight[:, :, 0, 0],
        training.vector.flatten(),
        training.features.weight,
    )
    x = torch.randn(2, 8, 5, 7)
    expected = F.conv2d(x, kernel, training.mix.bias, padding=1)
    torch.testing.assert_close(training(x), expected, atol=1e-5, rtol=1e-4)
    with pytest.raises(ExportError, match="start a run in the space ternary"):
        training.collapse()


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("rank", [1, 6])
def test_it_starts_as_loud_as_a_plain_convolution(rank, groups):
    torch.manual_seed(0)
    x = torch.randn(4, 64, 16, 16)
    plain = nn.Conv2d(64, 64, 3, padding=1)
    for space, low in (("float", 0.9), ("ternary", 0.7)):
        made = SumProductConv2d(64, 64, 3, rank=rank, groups=groups, space=space)
        ratio = (made(x).std() / plain(x).std()).item()
        assert low < ratio < 1.15


def test_packed_state_goes_and_comes_back():
    one, other = layer(seed=0).collapse(), layer(seed=1).collapse()
    state = one.state_dict()
    # 12 * 8 * 9 and 6 * 12 values, four to a byte.
    assert state["features.weight"].shape == (216,)
    assert state["mix.weight"].shape == (18,)
    assert state["features.weight"].dtype == torch.uint8
    other.load_state_dict(state)
    assert torch.equal(other.features.weight, one.features.weight)
    x = torch.randn(1, 8, 4, 4)
    assert torch.equal(other(x), one(x))
    state["mix.weight"] |= 0b10
    with pytest.raises(WeightsError, match="damaged"):
        other.load_state_dict(state)
    del state["mix.weight"]
    with pytest.raises(RuntimeError, match=r"Missing key.*mix\.weight"):
        other.load_state_dict(state)


def test_ternary_weights_are_no_parameters_to_train():
    conv = TernaryConv2d(torch.ones(2, 3, 1, 1, dtype=torch.int8), None, 1)
    assert not any(p.requires_grad for p in conv.parameters())
    assert conv(torch.ones(1, 3, 2, 2)).tolist() == [[[[3.0, 3.0], [3.0, 3.0]]] * 2]


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_a_decomposed_kernel_is_the_kernel(rank):
    torch.manual_seed(0)
    kernel = torch.randn(4, 3, 3, 3)
    kernel[1] = 0
    features, vector, mix = decomposed(kernel, rank)
    assert features.shape == (4 * rank, 3, 3, 3)
    assert vector.shape == (4 * rank, 1, 1)
    found = torch.einsum("or,rihw->oihw", mix[:, :, 0, 0], features * vector[..., None])
    torch.testing.assert_close(found, kernel)
    ternary_maps = features[: 4 * (rank - 1)]
    assert set(ternary_maps.unique().tolist()) <= {-1, 0, 1}


def test_more_maps_leave_less():
    """The more maps are ternary already, the less is left for the last one, which is not."""
    torch.manual_seed(0)
    kernel = torch.randn(16, 16, 3, 3)
    lost = []
    for rank in range(2, 7):
        features, vector, _ = decomposed(kernel, rank)
        last = (features * vector[..., None])[-16:]
        lost.append((last.norm() / kernel.norm()).item())
    assert lost == sorted(lost, reverse=True)
    assert lost[-1] < 0.15
