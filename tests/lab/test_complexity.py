"""Counts against torch's own counter and against arithmetic; test_reproduce has the papers'."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from leansr import zoo
from leansr.errors import MeasureError
from leansr.lab.measure.complexity import CONVENTIONS, complexity, lr_size
from leansr.lab.measure.costs import cost
from leansr.lab.nets import as_drawn, build
from leansr.zoo.costs import costs

ONE_EACH = ["sesr-m5", "bsrn", "bsrn-s", "fmen-s", "mdrn", "rcan-bls1-r2-g4-rg", "fsrcnn", "carn-m"]


@pytest.mark.parametrize("name", ONE_EACH)
def test_multi_adds_are_half_of_torch_s_flops(name):
    variant = zoo.VARIANTS[name]
    scale = variant.scales[-1]
    shape = (1, variant.channels, 34, 28)
    for network in (as_drawn(variant, scale).eval(), build(variant, scale).deploy()):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.zeros(shape))
        assert 2 * complexity(network, shape).multi_adds == counter.get_total_flops()


@pytest.mark.parametrize("name", ONE_EACH)
def test_layers_add_up(name):
    variant = zoo.VARIANTS[name]
    network = as_drawn(variant, variant.scales[-1]).eval()
    for convention in CONVENTIONS:
        whole = complexity(network, (1, variant.channels, 32, 32), convention)
        for what in ("params", "multi_adds", "activations"):
            assert sum(getattr(layer, what) for layer in whole.layers) == getattr(whole, what)


def test_each_convention_by_hand():
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.LeakyReLU(0.1),
        nn.Conv2d(8, 4, 3, padding=1, groups=4, bias=False),
        nn.GELU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Conv2d(4, 2, 1),
        nn.ReLU(),
    )
    pixels = 10 * 12
    products = pixels * (3 * 8 * 9 + 8 * 9) + 4 * 2
    expected = {
        "pure": products,
        "thop": products + pixels * 8 + 2 + pixels * 4,
        "challenge": products + pixels * 8 + 2,
    }
    for convention in CONVENTIONS:
        counted = complexity(network, (1, 3, 10, 12), convention)
        assert counted.multi_adds == expected[convention]
        assert counted.activations == pixels * 12 + 2
        assert counted.convs == 3
        assert counted.params == 3 * 8 * 9 + 8 + 8 * 9 + 4 * 2 + 2
        assert counted.conv_weights == 3 * 8 * 9 + 8 * 9 + 4 * 2


def test_shared_layers_are_held_once_and_run_twice():
    conv = nn.Conv2d(2, 2, 3, padding=1, bias=False)
    counted = complexity(nn.Sequential(conv, conv), (1, 2, 5, 5))
    assert (counted.params, counted.convs, counted.multi_adds) == (36, 2, 2 * 36 * 25)


def test_a_transposed_convolution_costs_what_its_inputs_do():
    layer = nn.ConvTranspose2d(6, 3, 9, stride=2, padding=4, output_padding=1)
    assert complexity(layer, (1, 6, 7, 5)).multi_adds == 35 * 6 * 3 * 81


def test_a_functional_convolution_is_counted():
    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.kernel = nn.Parameter(torch.zeros(4, 1, 3, 3))

        def forward(self, x):
            return nn.functional.conv2d(x, self.kernel)

    assert complexity(Bare(), (1, 1, 5, 5)).multi_adds == 9 * 36


def test_an_unknown_operation_is_an_error_that_names_it():
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Softmax(dim=1))
    with pytest.raises(MeasureError, match=r"aten\._softmax in 1: what it costs is not known"):
        complexity(network, (1, 1, 4, 4))


def test_sizes_are_cut_to_integers():
    assert [lr_size(scale) for scale in (2, 3, 4)] == [(360, 640), (240, 426), (180, 320)]


@pytest.mark.parametrize(("turn", "name"), list(enumerate(zoo.VARIANTS)))
def test_the_table_of_costs_is_what_is_counted(turn, name):
    """One scale of each, in turn; `python -m leansr.lab.measure.costs` writes the table again."""
    variant = zoo.VARIANTS[name]
    scale = variant.scales[turn % len(variant.scales)]
    assert costs()[name, scale] == cost(variant, scale)


def test_the_table_of_costs_has_every_row_and_no_other():
    assert set(costs()) == {(v.name, scale) for v in zoo.VARIANTS.values() for scale in v.scales}
