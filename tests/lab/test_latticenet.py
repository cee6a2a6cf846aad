import pytest
import torch

from leansr import zoo
from leansr.lab.nets import build
from leansr.lab.nets.latticenet import BackwardFusion, Combination

# MDRN's Table 5 prints 756, 765 and 777 K.
COUNTS = {2: 756_172, 3: 764_827, 4: 776_944}


@pytest.mark.parametrize("scale", COUNTS)
def test_any_size(scale):
    network = build(zoo.find("latticenet", scale), scale)
    assert sum(p.numel() for p in network.parameters()) == COUNTS[scale]
    for height, width in ((1, 1), (5, 8)):
        sr = network(torch.rand(2, 3, height, width))
        assert sr.shape == (2, 3, height * scale, width * scale)
        assert sr.isfinite().all()


def test_coefficient_is_the_mean_of_two_branches():
    torch.manual_seed(0)
    combination = Combination(32, reduction=16)
    x = torch.randn(2, 32, 5, 7)
    by_mean = combination.by_mean(x.mean(dim=(2, 3), keepdim=True))
    by_deviation = combination.by_deviation(x.std(dim=(2, 3), correction=0, keepdim=True))
    torch.testing.assert_close(combination(x), x * (by_mean + by_deviation) / 2)


def test_butterflies():
    torch.manual_seed(0)
    block = build(zoo.find("latticenet", 2), 2).blocks[0]
    seen = []
    block.fuse.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = torch.randn(1, 64, 6, 5)
    block(x)
    h = block.first(x)
    p, q = x + block.first_to_upper(h), h + block.upper_to_lower(x)
    g = block.second(p)
    torch.testing.assert_close(seen[0][:, :64], g + block.lower_to_upper(q))
    torch.testing.assert_close(seen[0][:, 64:], q + block.second_to_lower(g))


def test_fusion_goes_backward():
    """Halving by taking the first half: the last feature and the first are what is left."""
    fusion = BackwardFusion(4, blocks=4)
    with torch.no_grad():
        for p in fusion.parameters():
            p.zero_()
            if p.ndim == 4:
                p[[0, 1], [0, 1]] = 1
    features = list(torch.rand(4, 1, 4, 3, 3))
    expected = torch.cat([features[3][:, :2], features[0][:, :2]], dim=1)
    torch.testing.assert_close(fusion(features), expected)


def test_mean_is_taken_and_given_back():
    network = build(zoo.find("latticenet", 3), 3)
    seen = []
    network.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        for p in network.parameters():
            p.zero_()
        sr = network(torch.full((1, 3, 3, 3), 0.5))
    mean = torch.tensor([0.4488, 0.4371, 0.4040])
    torch.testing.assert_close(seen[0][0, :, 1, 1], 0.5 - mean)
    torch.testing.assert_close(sr[0, :, 2, 3], mean)
