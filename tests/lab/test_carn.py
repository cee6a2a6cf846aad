import pytest
import torch
from torch import nn

from leansr import zoo
from leansr.lab.nets import build

# Of the network with its own upsampler alone, at x2, x3, x4.
COUNTS = {"carn": (964_163, 1_148_803, 1_111_875), "carn-m": (257_027, 303_427, 294_147)}
ROWS = [(name, scale) for name in COUNTS for scale in (2, 3, 4)]


def caught(module, index=0):
    """What `module` is given, each time."""
    seen = []
    module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[index]))
    return seen


@pytest.mark.parametrize(("name", "scale"), ROWS)
def test_any_size(name, scale):
    network = build(zoo.find(name, scale), scale)
    assert sum(p.numel() for p in network.parameters()) == COUNTS[name][scale - 2]
    for height, width in ((1, 1), (5, 8)):
        sr = network(torch.rand(2, 3, height, width))
        assert sr.shape == (2, 3, height * scale, width * scale)
        assert sr.isfinite().all()


@pytest.mark.parametrize(("name", "biases", "printed"), [("carn", 1, 1592), ("carn-m", 0, 412)])
def test_printed_is_one_network_of_all_scales(name, biases, printed):
    """What is printed holds three upsamplers; CARN-M's figure leaves out the biases."""

    def count(module):
        return sum(p.numel() for p in module.parameters() if biases or p.ndim > 1)

    networks = [build(zoo.find(name, scale), scale) for scale in (2, 3, 4)]
    shared = count(networks[0]) - count(networks[0].upsampler)
    assert round((shared + sum(count(n.upsampler) for n in networks)) / 1000) == printed


@pytest.mark.parametrize("name", COUNTS)
def test_cascade_joins_every_output_before(name):
    network = build(zoo.find(name, 2), 2)
    block = network.body.stages[1]
    stages = [block.stages[turn % len(block.stages)] for turn in range(3)]
    seen = [caught(fusion) for fusion in block.fusions]
    x = torch.rand(1, 64, 6, 7)
    block(x)
    joined, stage_input = x, x
    for stage, fusion, (found,) in zip(stages, block.fusions, seen, strict=True):
        joined = torch.cat([joined, stage(stage_input)], dim=1)
        torch.testing.assert_close(found, joined)
        stage_input = fusion(joined)


def test_mobile_shares_weights_within_a_block_alone():
    network = build(zoo.find("carn-m", 2), 2)
    residuals = [block.stages[0] for block in network.body.stages]
    assert len({id(residual) for residual in residuals}) == 3
    seen = [caught(residual) for residual in residuals]
    network(torch.rand(1, 3, 4, 4))
    assert [len(s) for s in seen] == [3, 3, 3]


def test_mobile_groups():
    def groups(network):
        convs = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
        return {m.groups for m in convs if m.kernel_size == (3, 3) and 3 not in m.weight.shape[:2]}

    assert groups(build(zoo.find("carn", 3), 3)) == {1}
    assert groups(build(zoo.find("carn-m", 3), 3)) == {4}


def test_mean_is_taken_and_given_back():
    network = build(zoo.find("carn", 2), 2)
    seen = caught(network.head)
    with torch.no_grad():
        for p in network.parameters():
            p.zero_()
        sr = network(torch.full((1, 3, 3, 3), 0.5))
    mean = torch.tensor([0.4488, 0.4371, 0.4040])
    torch.testing.assert_close(seen[0][0, :, 1, 1], 0.5 - mean)
    torch.testing.assert_close(sr[0, :, 2, 3], mean)


def test_x4_shuffles_twice_by_two():
    network = build(zoo.find("carn", 4), 4)
    shuffles = [m for m in network.upsampler if isinstance(m, nn.PixelShuffle)]
    assert [m.upscale_factor for m in shuffles] == [2, 2]


def test_other_scales_are_refused():
    with pytest.raises(ValueError, match="x2, x3 and x4"):
        build(zoo.find("carn", 2), 8)
