import pytest
import torch

from leansr import zoo
from leansr.lab.measure.certificate import certificate, with_nothing_zero
from leansr.lab.nets import build


@pytest.mark.parametrize(
    ("name", "scale", "printed_k"),
    [
        ("span", 2, 481),
        ("span", 4, 498),
        ("span-s", 2, 411),
        ("span-s", 4, 426),
        ("span-ntire", 4, 151),
    ],
)
def test_deploy_parameters_are_the_printed_ones(name, scale, printed_k):
    """Wan et al., 2024, and the challenge's report."""
    deployed = build(zoo.find(name, scale), scale).deploy()
    assert round(sum(p.numel() for p in deployed.parameters()) / 1000) == printed_k


@pytest.mark.parametrize("scale", zoo.VARIANTS["span"].scales)
def test_both_forms_are_one_function(scale):
    variant = zoo.find("span", scale)
    network = with_nothing_zero(build(variant, scale), seed=scale)
    assert certificate(network, variant, scale).holds


def test_attention_is_odd_and_free():
    """Where the block's features are zero, so is its attention."""
    block = build(zoo.find("span", 2), 2).blocks[0]
    with torch.no_grad():
        for parameter in block.third.parameters():
            parameter.zero_()
        x, _ = block(torch.rand(1, 52, 5, 7))
    assert not x.any()
