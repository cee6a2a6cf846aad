"""The algebra of kernels, and that every network's two forms are one function."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from leansr import zoo
from leansr.lab.measure.certificate import certificate, relative_difference, with_nothing_zero
from leansr.lab.nets import as_drawn, build, network_class
from leansr.lab.nets.collapse import Kernel, is_deployed, kernel_of, replaced

channels = st.integers(1, 6)
sides = st.integers(1, 11)


def random_conv(inputs, outputs, size, bias=True):
    conv = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=bias).double()
    return conv.requires_grad_(False)


@given(channels, channels, channels, st.sampled_from([1, 3, 5]), sides, sides, st.booleans())
def test_a_kernel_then_a_point(inputs, inner, outputs, size, height, width, bias):
    first, last = random_conv(inputs, inner, size, bias), random_conv(inner, outputs, 1, bias)
    x = torch.randn(1, inputs, height, width, dtype=torch.float64)
    one = kernel_of(first).then(kernel_of(last)).convolution()
    torch.testing.assert_close(one(x), last(first(x)))


@given(channels, channels, channels, st.sampled_from([3, 5]), sides, sides)
def test_a_point_then_a_kernel_that_pads_by_its_bias(inputs, inner, outputs, size, height, width):
    first, last = random_conv(inputs, inner, 1), random_conv(inner, outputs, size)
    x = torch.randn(1, inputs, height, width, dtype=torch.float64)
    pads = [size // 2] * 4
    # What the first makes of zero: where the zeros of the one kernel's padding went through it.
    padded = first(F.pad(x, pads))
    expected = F.conv2d(padded, last.weight, last.bias)
    one = kernel_of(first).then(kernel_of(last)).convolution()
    torch.testing.assert_close(one(x), expected)
    if height > size and width > size:
        centre = slice(size // 2, -(size // 2))
        zeros_instead = last(first(x))[..., centre, centre]
        torch.testing.assert_close(one(x)[..., centre, centre], zeros_instead)


@given(channels, st.sampled_from([1, 3, 5]), sides, sides)
def test_plus_its_input(count, size, height, width):
    conv = random_conv(count, count, size)
    x = torch.randn(1, count, height, width, dtype=torch.float64)
    torch.testing.assert_close(kernel_of(conv).plus_identity().convolution()(x), conv(x) + x)


@given(channels, channels, sides, sides)
def test_batch_normalisation_on_either_side(inputs, outputs, height, width):
    before, after = (nn.BatchNorm2d(n).double().eval() for n in (inputs, outputs))
    for norm in (before, after):
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            nn.init.normal_(tensor)
        nn.init.uniform_(norm.running_var, 0.1, 3)
    conv = random_conv(inputs, outputs, 3)
    x = torch.randn(1, inputs, height, width, dtype=torch.float64)
    # Of a picture with zeros around: the normalisation sees them, as it does in the one kernel.
    expected = after(F.conv2d(before(F.pad(x, [1] * 4)), conv.weight, conv.bias))
    one = kernel_of(before).then(kernel_of(conv)).then(kernel_of(after)).convolution()
    torch.testing.assert_close(one(x), expected)


def test_a_linear_layer_is_a_point():
    layer = nn.Linear(3, 5)
    x = torch.randn(1, 3, 4, 6)
    expected = layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(kernel_of(layer).convolution()(x), expected)


@pytest.mark.parametrize("options", [{"stride": 2}, {"dilation": 2}, {"groups": 2}])
def test_no_kernel_is_made_of_other_convolutions(options):
    with pytest.raises(ValueError, match="strided, dilated or grouped"):
        kernel_of(nn.Conv2d(4, 4, 3, **options))


def test_what_does_not_chain_is_refused():
    def kernel(inputs, outputs, size):
        return Kernel(torch.zeros(outputs, inputs, size, size), torch.zeros(outputs))

    for first, last in [(kernel(1, 4, 3), kernel(4, 2, 3)), (kernel(1, 4, 3), kernel(5, 2, 1))]:
        with pytest.raises(ValueError, match="one of them 1 x 1"):
            first.then(last)


# One row of each class and each set of arguments that decides what is collapsed.
COLLAPSIBLE = [
    ("sesr-m3", 2),
    ("sesr-xl", 4),
    ("sesr-m11-no-short-residual", 2),
    ("sesr-m11-no-linear-block", 2),
    ("fmen", 2),
    ("fmen-s", 4),
    ("fmen-pb", 3),
    ("fmen-rb", 4),
    ("fmen-15erb", 4),
    ("edsr-baseline-erb", 2),
    ("memnet-erb", 2),
    ("bsrn-s", 4),
]


@pytest.mark.parametrize(("name", "scale"), COLLAPSIBLE)
def test_both_forms_are_one_function(name, scale):
    variant = zoo.find(name, scale)
    network = with_nothing_zero(as_drawn(variant, scale))
    before = {n: t.clone() for n, t in network.state_dict().items()}
    proof = certificate(network, variant, scale, shapes=4)
    assert proof.holds, proof.difference
    assert proof.difference > 0 or network_class(variant).spaces == ()
    assert is_deployed(network.deploy())
    for n, t in network.state_dict().items():
        torch.testing.assert_close(t, before[n], rtol=0, atol=0)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["sesr-m3", "fmen-s", "bsrn-s"])
def test_both_forms_are_one_function_over_random_weights(name, seed):
    variant = zoo.find(name, 4)
    torch.manual_seed(seed)
    network = with_nothing_zero(as_drawn(variant, 4), seed)
    assert certificate(network, variant, 4, shapes=3, seed=seed).holds


@settings(max_examples=20)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 1000))
def test_fmen_at_any_size(height, width, seed):
    torch.manual_seed(seed)
    network = with_nothing_zero(build(zoo.find("fmen-s", 2), 2), seed).eval()
    lr = torch.rand(1, 3, height, width)
    with torch.no_grad():
        assert relative_difference(network.deploy()(lr), network(lr)) <= 1e-5


def test_what_differs_is_seen():
    """The certificate itself: a fold that forgets a bias, at the border alone, does not hold."""
    variant = zoo.find("fmen-s", 4)

    class Forgetful(network_class(variant)):
        def deploy(self):
            deployed = super().deploy()
            with torch.no_grad():
                deployed.head.bias[0] += 0.01
            return deployed

    network = with_nothing_zero(Forgetful(**variant.arguments, scale=4))
    assert not certificate(network, variant, 4, shapes=2).holds


def test_the_rest_of_a_network_is_kept():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Sequential(nn.ReLU()))
    other = replaced(network, lambda m: nn.Sigmoid() if isinstance(m, nn.ReLU) else None)
    assert [type(m) for m in (other[0], other[1], other[2][0])] == [
        nn.Conv2d,
        nn.Sigmoid,
        nn.Sigmoid,
    ]
    assert isinstance(network[1], nn.ReLU)
    torch.testing.assert_close(other[0].weight, network[0].weight)
    whole = replaced(network, lambda m: nn.Identity() if isinstance(m, nn.Sequential) else None)
    assert isinstance(whole, nn.Sequential | nn.Identity)
