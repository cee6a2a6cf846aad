"""Counts against torch's own counter, against arithmetic, and against what the papers print."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from leansr import zoo
from leansr.errors import MeasureError
from leansr.lab import papers
from leansr.lab.measure.complexity import CONVENTIONS, complexity, lr_size
from leansr.lab.measure.costs import cost
from leansr.lab.nets import as_drawn, build
from leansr.lab.papers.costs import cells
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


@pytest.fixture(scope="module")
def printed():
    """Every printed cost beside ours."""
    return cells()


def test_the_papers_own_costs_are_ours(printed):
    own = [cell for cell in printed if cell.is_own]
    assert len(own) > 150
    assert {cell.paper for cell in own} == {cell.paper for cell in printed}
    # The ten that are not, each with its reason in misfits.csv.
    assert sum(not cell.fits for cell in own) == 10


def test_every_misfit_has_its_reason_and_every_reason_its_misfit(printed):
    misfits = [cell for cell in printed if not cell.fits]
    assert [cell for cell in misfits if not cell.why] == []
    assert {row["why"] for row in papers.rows("misfits")} == {cell.why for cell in misfits}


@pytest.mark.parametrize(("turn", "name"), list(enumerate(zoo.VARIANTS)))
def test_the_table_of_costs_is_what_is_counted(turn, name):
    """One scale of each, in turn; `python -m leansr.lab.measure.costs` writes the table again."""
    variant = zoo.VARIANTS[name]
    scale = variant.scales[turn % len(variant.scales)]
    assert costs()[name, scale] == cost(variant, scale)


def test_the_table_of_costs_has_every_row_and_no_other():
    assert set(costs()) == {(v.name, scale) for v in zoo.VARIANTS.values() for scale in v.scales}
