import pytest
import torch
import torch.nn.functional as F
from torch import nn

from leansr import zoo
from leansr.lab.nets import build
from leansr.lab.nets.bicubic import Bicubic
from leansr.lab.nets.collapse import is_deployed
from leansr.lab.nets.fmen_blocks import ExpandedRRRB
from leansr.lab.nets.memnet import MemNet, MemNetWithERB

ROWS = [(name, s) for name in ("memnet", "memnet-erb") for s in zoo.VARIANTS[name].scales]
SMALL = {"channels": 4, "memories": 3, "recursions": 2, "scale": 2}


def randomize(network, seed=0):
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(torch.randn_like(p) * (0.2 if p.ndim == 1 else 0.01))
        for m in network.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.running_mean.normal_(0, 0.3)
                m.running_var.uniform_(0.5, 1.5)
    return network.eval()


@pytest.mark.parametrize(("name", "scale"), ROWS)
def test_parameters(name, scale):
    """677 K are the weights of convolutions, 678 K with biases; BN and w come on top."""
    with torch.device("meta"):
        network = build(zoo.find(name, scale), scale)
    deployed = network.deploy()
    convs = [m for n, m in deployed.named_modules() if isinstance(m, nn.Conv2d) and n != "weigh"]
    assert len(convs) == 1 + 6 * 3 + 1
    weights = sum(m.weight.numel() for m in convs)
    assert weights == 676_992
    biased = weights + sum(m.bias.numel() for m in convs)
    assert biased == 678_209
    norms = [m for m in deployed.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 1 + 6 * (2 * 6 + 1) + 6
    total = biased + sum(2 * m.num_features for m in norms) + 6
    assert sum(p.numel() for p in deployed.parameters()) == total


@pytest.mark.parametrize(("name", "scale"), ROWS)
def test_deploy_is_equal(name, scale):
    network = randomize(build(zoo.find(name, scale), scale))
    deployed = network.deploy()
    assert is_deployed(deployed)
    for shape in ((1, 1), (3, 5)):
        lr = torch.rand(1, 1, *shape)
        with torch.no_grad():
            sr, expected = deployed(lr), network(lr)
        assert sr.shape == (1, 1, shape[0] * scale, shape[1] * scale)
        assert (sr - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_spaces_collapse_alike():
    networks = {space: MemNetWithERB(**SMALL, space=space) for space in MemNetWithERB.spaces}
    randomize(networks["expanded"])
    networks["collapsed"].load_state_dict(networks["expanded"].state_dict())
    networks["direct"].load_state_dict(networks["expanded"].deploy().state_dict())
    lr = torch.rand(1, 1, 4, 5)
    expected = networks.pop("expanded")(lr)
    for network in networks.values():
        torch.testing.assert_close(network.eval()(lr), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kind", "slope"), [(MemNet, 0.0), (MemNetWithERB, 0.1)])
def test_network_is_the_figure(kind, slope):
    """Shared convolutions, BN of its own everywhere, the order of it all, from the weights."""
    network = randomize(kind(**SMALL)).deploy()
    w = network.state_dict()

    def normed(name, x, slope=0.0):
        parts = [w[f"{name}.0.{p}"][:, None, None] for p in ("running_mean", "running_var")]
        x = (x - parts[0]) / (parts[1] + 1e-5).sqrt()
        x = x * w[f"{name}.0.weight"][:, None, None] + w[f"{name}.0.bias"][:, None, None]
        return torch.where(x > 0, x, slope * x)

    def conv(name, x):
        weight = w[f"{name}.weight"]
        return F.conv2d(x, weight, w[f"{name}.bias"], padding=weight.shape[-1] // 2)

    lr = torch.rand(1, 1, 5, 4)
    bicubic = Bicubic(scale=2)(lr)
    memories = [conv("extract.1", normed("extract.0", bicubic))]
    expected = 0
    for m in range(3):
        state, states = memories[-1], []
        for r in range(2):
            half = conv(f"blocks.{m}.first", normed(f"blocks.{m}.before.{r}", state, slope))
            full = conv(f"blocks.{m}.second", normed(f"blocks.{m}.between.{r}", half, slope))
            state = full + state if kind is MemNet else full
            states.append(state)
        features = torch.cat(states + memories, dim=1)
        memories.append(conv(f"blocks.{m}.gate.1", normed(f"blocks.{m}.gate.0", features)))
        sr = conv("reconstruct", normed(f"before.{m}", memories[-1])) + bicubic
        expected = expected + w["weigh.weight"][0, m] * sr
    torch.testing.assert_close(network(lr), expected)


def test_predictions_start_with_equal_weights():
    network = MemNet(**SMALL).eval()
    lr = torch.rand(2, 1, 3, 4)
    predictions = network.predictions(lr)
    assert predictions.shape == (2, 3, 6, 8)
    torch.testing.assert_close(network(lr), predictions.mean(dim=1, keepdim=True))


def test_recursions_share_their_blocks():
    network = MemNetWithERB(**SMALL)
    assert sum(isinstance(m, ExpandedRRRB) for m in network.modules()) == 2 * 3
    block = network.blocks[0]
    calls = []
    block.first.register_forward_hook(lambda *_: calls.append("first"))
    network(torch.rand(2, 1, 3, 3))
    assert calls == ["first"] * 2
