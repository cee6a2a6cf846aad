"""The branches of ESA and MDSA: together they are the module, alone they are its parts."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from leansr import zoo
from leansr.errors import UsageError
from leansr.lab.measure.attention import REFINEMENT, attentions, dispersed
from leansr.lab.measure.blocks import blocks_of, passages
from leansr.lab.measure.certificate import with_nothing_zero
from leansr.lab.nets import build

MDSA = {"D3", "D5", "D7 + L-var", REFINEMENT}
# variant: the class of its gates, how many, and their branches
GATES = {
    "bsrn": ("ESA", 8, {"D7", REFINEMENT}),
    "bsrn-s": ("ESA", 5, {"D7", REFINEMENT}),
    "e-rfdn": ("ESA", 4, {"D7", REFINEMENT}),
    "rlfn": ("ESA", 6, {"D7", REFINEMENT}),
    "fmen-15erb-esa": ("ESA", 5, {"D7", REFINEMENT}),
    "mdrn": ("SpatialGate", 8, MDSA),
    "mdrn-s": ("SpatialGate", 8, MDSA),
    "mdrn-esa": ("SpatialGate", 8, {"D7", REFINEMENT}),
    "mdrn-esa-d7": ("SpatialGate", 8, {"D7", REFINEMENT}),
    "mdrn-esa-d7-d5": ("SpatialGate", 8, {"D7", "D5", REFINEMENT}),
    "mdrn-esa-d7-d5-d3": ("SpatialGate", 8, {"D7", "D5", "D3", REFINEMENT}),
    "mdrn-no-refine": ("SpatialGate", 8, MDSA - {REFINEMENT}),
    "mdrn-no-dispersion": ("SpatialGate", 8, {REFINEMENT}),
}


def network_of(name, seed=0):
    torch.manual_seed(seed)
    return with_nothing_zero(build(zoo.VARIANTS[name], 4), seed).eval()


@pytest.mark.parametrize("form", ["training", "deploy"])
@pytest.mark.parametrize("name", GATES)
def test_all_branches_together_are_the_gate_s_own_map(name, form):
    kind, count, branches = GATES[name]
    network = network_of(name)
    network = network.deploy() if form == "deploy" else network
    lr = torch.rand(1, 3, 31, 26)
    found = attentions(network, lr)
    seen = passages(network, blocks_of(network, kind), lr)
    assert [a.name for a in found] == [p.name for p in seen]
    assert len(found) == count
    for attention, passage in zip(found, seen, strict=True):
        assert attention.branches.keys() == branches
        weight = attention.map(attention.branches)
        assert weight.shape == passage.before.shape
        torch.testing.assert_close(passage.before * weight, passage.after)
    assert not any(m._forward_hooks for m in network.modules())


def test_esa_s_dispersion_is_its_wide_branch():
    """What is left of the sum, against the branch's own layers in their order."""
    network = network_of("bsrn")
    lr = torch.rand(1, 3, 40, 33)
    seen = passages(network, blocks_of(network, "ESA"), lr)
    for attention, passage in zip(attentions(network, lr), seen, strict=True):
        gate = network.get_submodule(attention.name)
        x = passage.before[None]
        with torch.no_grad():
            wide = gate.group(gate.shrink(gate.squeeze(x)))
            wide = F.interpolate(wide, x.shape[-2:], mode="bilinear", align_corners=False)
            own = gate.excite(wide)[0]
        torch.testing.assert_close(attention.branches["D7"], wide[0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(attention.map(["D7"]), own, atol=1e-5, rtol=1e-4)


def test_a_map_of_one_branch_does_not_hear_of_the_others():
    network = network_of("mdrn-s")
    lr = torch.rand(1, 3, 32, 32)
    before = attentions(network, lr)[0]
    gate = network.get_submodule(before.name)
    with torch.no_grad():
        gate.branches[0].group[2].depthwise.bias.add_(1)
    after = attentions(network, lr)[0]
    for name in (REFINEMENT, "D5", "D7 + L-var"):
        torch.testing.assert_close(before.map([name]), after.map([name]), rtol=0, atol=0)
    assert not torch.equal(before.map(["D3"]), after.map(["D3"]))


def test_the_widest_pooling_comes_first():
    (first, *_) = attentions(network_of("mdrn"), torch.rand(1, 3, 24, 24))
    assert first.dispersion == ["D7 + L-var", "D5", "D3"]


@pytest.mark.parametrize("name", ["mdrn-no-esa", "fmen-s", "rfdn", "sesr-m5"])
def test_networks_without_branches(name):
    variant = zoo.VARIANTS[name]
    with pytest.raises(UsageError, match="neither ESA nor MDSA"):
        attentions(build(variant, 4), torch.rand(1, variant.channels, 24, 24))


@pytest.mark.parametrize(("name", "side", "padding"), [("D7", 7, 1), ("D5", 5, 0), ("D3", 3, 1)])
def test_dispersed_is_the_largest_of_each_window_spread_out(name, side, padding):
    """The poolings that networks.md has of the checkpoints: 7/3 and 3/3 pad 1, 5/3 does not."""
    picture = np.random.default_rng(0).random((3, 29, 35))
    padded = np.pad(picture, [(0, 0), *[(padding, padding)] * 2], constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(1, 2))
    largest = torch.from_numpy(windows[:, ::3, ::3].max(axis=(-2, -1)))
    expected = F.interpolate(largest[None], (29, 35), mode="bilinear", align_corners=False)[0]
    found = dispersed(torch.from_numpy(picture), [name])
    torch.testing.assert_close(found, expected)


def test_several_branches_are_their_mean():
    picture = torch.rand(3, 30, 30)
    parts = [dispersed(picture, [name]) for name in ("D7", "D5", "D3")]
    torch.testing.assert_close(dispersed(picture, ["D7", "D5", "D3"]), sum(parts) / 3)
    assert float((parts[0] - picture).mean()) > float((parts[2] - picture).mean()) > 0
