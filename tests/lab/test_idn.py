import pytest
import torch
from torch import nn

from leansr import zoo
from leansr.lab.nets import build
from leansr.lab.nets.bicubic import Bicubic

# FMEN's Table 3 prints 579, 588 and 600 K.
COUNTS = {2: 579_276, 3: 587_931, 4: 600_048}


@pytest.mark.parametrize("scale", COUNTS)
def test_any_size(scale):
    network = build(zoo.find("idn", scale), scale)
    assert sum(p.numel() for p in network.parameters()) == COUNTS[scale]
    for height, width in ((1, 1), (5, 8)):
        sr = network(torch.rand(2, 3, height, width))
        assert sr.shape == (2, 3, height * scale, width * scale)
        assert sr.isfinite().all()


def test_block_keeps_the_first_quarter_of_the_short_path():
    torch.manual_seed(0)
    block = build(zoo.find("idn", 2), 2).blocks[1]
    seen = []
    block.compress.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = torch.rand(1, 64, 5, 6)
    block(x)
    short = block.short(x)
    long = block.long(short[:, 16:])
    torch.testing.assert_close(seen[0][:, :64], x + long[:, :64])
    torch.testing.assert_close(seen[0][:, 64:], short[:, :16] + long[:, 64:])


def test_activations_everywhere_but_in_the_reconstruction():
    network = build(zoo.find("idn", 2), 2)
    slopes = [m.negative_slope for m in network.modules() if isinstance(m, nn.LeakyReLU)]
    assert slopes == [0.05] * 30
    assert not any(isinstance(m, nn.LeakyReLU) for m in network.reconstruct)


@pytest.mark.parametrize("scale", COUNTS)
def test_learns_what_bicubic_lacks(scale):
    network = build(zoo.find("idn", scale), scale)
    with torch.no_grad():
        for p in network.parameters():
            p.zero_()
    lr = torch.rand(1, 3, 7, 5)
    torch.testing.assert_close(network(lr), Bicubic(scale=scale)(lr))
