import pytest
import torch
import torch.nn.functional as F
from torch import nn

from leansr import zoo
from leansr.lab.nets import build
from leansr.lab.nets.bicubic import Bicubic
from leansr.lab.nets.collapse import is_deployed
from leansr.lab.nets.lapar import dictionary

# Weight normalisation's gains included. BSRN's Table 5 prints 548, 544 and 659 K; 544 is 594.
COUNTS = {2: 547_866, 3: 594_266, 4: 659_226}


def randomize(network):
    torch.manual_seed(0)
    with torch.no_grad():
        for p in network.parameters():
            p.mul_(1 + 0.2 * torch.rand_like(p))
    return network.eval()


@pytest.mark.parametrize("scale", COUNTS)
def test_deploy_is_equal_and_plain(scale):
    network = randomize(build(zoo.find("lapar-a", scale), scale))
    assert sum(p.numel() for p in network.parameters()) == COUNTS[scale]
    deployed = network.deploy()
    assert is_deployed(deployed)
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    gains = sum(m.out_channels for m in convs)
    assert sum(p.numel() for p in deployed.parameters()) == COUNTS[scale] - gains
    assert {type(m) for m in deployed.modules() if isinstance(m, nn.Conv2d)} == {nn.Conv2d}
    for height, width in ((2, 2), (2, 5), (7, 5)):
        lr = torch.rand(2, 3, height, width)
        with torch.no_grad():
            sr, expected = deployed(lr), network(lr)
        assert sr.shape == (2, 3, height * scale, width * scale)
        assert sr.isfinite().all()
        assert (sr - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_weight_normalisation_is_torchs():
    network = build(zoo.find("lapar-a", 2), 2)
    conv = network.tail.large
    before = nn.Conv2d(32, 32, 5, padding=2)
    before.load_state_dict({"weight": conv.weight, "bias": conv.bias})
    x = torch.rand(1, 32, 6, 6)
    torch.testing.assert_close(conv(x), before(x))
    theirs = nn.utils.parametrizations.weight_norm(before)
    with torch.no_grad():
        conv.weight *= 3
        conv.gain *= 0.5
        theirs.parametrizations.weight.original0 *= 0.5
    torch.testing.assert_close(conv(x), theirs(x))


def test_dictionary_spans_all_symmetric_filters():
    filters = dictionary().double()
    assert filters.shape == (72, 5, 5)
    sums = torch.tensor([1.0] * 24 + [0.0] * 48, dtype=torch.float64)
    torch.testing.assert_close(filters.sum(dim=(1, 2)), sums, atol=1e-6, rtol=0)
    torch.testing.assert_close(filters, filters.flip(1, 2), atol=1e-7, rtol=0)
    singular = torch.linalg.svdvals(filters.flatten(1))
    assert singular[12] > 0.02 * singular[0]
    assert singular[13] < 1e-6 * singular[0]


@pytest.mark.parametrize("scale", COUNTS)
def test_each_pixel_weighs_the_filtered_bicubic(scale):
    """In the other order: the picture filtered by the whole dictionary, then weighed."""
    torch.manual_seed(0)
    network = build(zoo.find("lapar-a", scale), scale)
    lr = torch.rand(1, 3, 6, 5)
    seen = []
    network.tail.register_forward_hook(lambda *parts: seen.append(parts[-1]))
    sr = network(lr)
    padded = F.pad(Bicubic(scale=scale)(lr), (2, 2, 2, 2), mode="reflect")
    filtered = F.conv2d(padded.transpose(0, 1), dictionary()[:, None])
    torch.testing.assert_close(sr, (filtered * seen[0]).sum(dim=1)[None], atol=1e-6, rtol=1e-4)


def test_mean_is_taken_from_what_the_coefficients_see_alone():
    network = build(zoo.find("lapar-a", 2), 2)
    seen, enlarged = [], []
    network.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network.bicubic.register_forward_pre_hook(lambda _, inputs: enlarged.append(inputs[0]))
    lr = torch.rand(1, 3, 4, 4)
    network(lr)
    mean = torch.tensor([0.4488, 0.4371, 0.4040])[:, None, None]
    torch.testing.assert_close(seen[0], lr - mean)
    torch.testing.assert_close(enlarged[0], lr)
