import pytest
import torch
from torch import nn

from leansr import zoo
from leansr.lab.nets import build
from leansr.lab.nets.imdn import CCA, IMDB

# imdn: printed 694, 703, 715 K; imdn-ntire: that of the challenge's checkpoint.
PARAMETERS = {
    ("imdn", 2): 694_404,
    ("imdn", 3): 703_059,
    ("imdn", 4): 715_176,
    ("imdn-ntire", 4): 893_936,
}


@pytest.mark.parametrize(("name", "scale"), PARAMETERS)
def test_shapes_and_parameters(name, scale):
    variant = zoo.find(name, scale)
    network = build(variant, scale)
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[name, scale]
    with torch.no_grad():
        for height, width in ((1, 1), (9, 14)):
            sr = network(torch.rand(2, 3, height, width))
            assert sr.shape == (2, 3, height * scale, width * scale)
            assert sr.isfinite().all()


def test_cca_weighs_by_mean_and_biased_deviation():
    attention = CCA(4, reduction=1)
    eye = torch.eye(4)[..., None, None]
    with torch.no_grad():
        for conv in (attention.weigh[0], attention.weigh[2]):
            conv.weight.copy_(eye)
            conv.bias.zero_()
        x = torch.rand(2, 4, 3, 5)
        statistic = x.mean(dim=(2, 3)) + x.std(dim=(2, 3), correction=0)
        expected = x * statistic.sigmoid()[..., None, None]
        torch.testing.assert_close(attention(x), expected)


def test_block_keeps_the_first_quarter_and_leaves_the_last_one_linear():
    """Convolutions that pass on or shift channels show where each quarter of the output is from."""
    block = IMDB(8, nn.Identity())
    with torch.no_grad():
        for p in block.parameters():
            p.zero_()
        block.refine[0].weight[range(8), range(8), 1, 1] = 1
        block.refine[1].bias[:2] = -1
        block.refine[1].weight[range(2, 8), range(6), 1, 1] = 1
        block.refine[2].weight[range(2), range(2), 1, 1] = 1
        block.last.bias[:] = -1
        block.condense.weight[range(8), range(8), 0, 0] = 1
        x = torch.rand(1, 8, 3, 3)
        quarters = [x[:, :2], torch.full((1, 2, 3, 3), -0.05), x[:, 2:4], -torch.ones(1, 2, 3, 3)]
        torch.testing.assert_close(block(x), torch.cat(quarters, dim=1) + x)


def test_ntire_adds_only_the_head():
    """Without its blocks' fusion, a deep part of zeros leaves the head's output to the tail."""
    network = build(zoo.find("imdn-ntire", 4), 4)
    lr = torch.rand(1, 3, 6, 7)
    with torch.no_grad():
        for p in network.deep[-1].parameters():
            p.zero_()
        torch.testing.assert_close(network(lr), network.upsample(network.shallow(lr)))
