import pytest
import torch
from torch import nn

from leansr import zoo
from leansr.lab import papers
from leansr.lab.nets import build
from leansr.lab.nets.collapse import identity, is_deployed

ROWS = [(v.name, s) for v in zoo.VARIANTS.values() if v.family == "sesr" for s in v.scales]

PRINTED = [row for row in papers.rows("sesr") if row["variant"].startswith("sesr-")]


def randomize(network, seed=0):
    """Biases and slopes too: a network whose biases are zero hides a wrong border."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(torch.randn_like(p) * (0.2 if p.ndim == 1 else 0.02))
    return network


def gradients(network, lr):
    output = network(lr)
    output.square().sum().backward()
    return output.detach(), torch.cat([p.grad.flatten() for p in network.parameters()])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize(("name", "scale"), ROWS)
def test_collapsed_space_is_expanded_space(name, scale, dtype, tolerance):
    variant = zoo.find(name, scale)
    expanded = randomize(build(variant, scale, space="expanded", width=48)).to(dtype)
    collapsed = build(variant, scale, space="collapsed", width=48).to(dtype)
    collapsed.load_state_dict(expanded.state_dict())
    lr = torch.rand(2, 1, 11, 14, dtype=dtype)
    for a, b in zip(gradients(expanded, lr), gradients(collapsed, lr), strict=True):
        assert (a - b).norm() <= tolerance * a.norm()


@pytest.mark.parametrize("space", ["expanded", "collapsed", "direct"])
@pytest.mark.parametrize(("name", "scale"), ROWS)
def test_deploy_is_equal_and_plain(name, scale, space):
    variant = zoo.find(name, scale)
    network = randomize(build(variant, scale, space=space))
    before = {n: p.clone() for n, p in network.state_dict().items()}
    deployed = network.deploy()
    convs = [m for m in deployed.modules() if isinstance(m, nn.Conv2d)]
    assert len(convs) == variant.arguments["blocks"] + 2
    assert {type(m) for m in convs} == {nn.Conv2d}
    assert is_deployed(deployed)
    for shape in ((1, 1), (2, 9), (13, 5), (24, 31)):
        lr = torch.rand(1, 1, *shape)
        with torch.no_grad():
            sr, expected = deployed(lr), network(lr)
        assert sr.shape == (1, 1, shape[0] * scale, shape[1] * scale)
        assert (sr - expected).abs().max() <= 1e-5 * expected.abs().max()
    for n, p in network.state_dict().items():
        torch.testing.assert_close(p, before[n], rtol=0, atol=0)


@pytest.mark.parametrize("row", PRINTED, ids=lambda row: f"{row['variant']}_x{row['scale']}")
def test_cost_is_what_is_printed(row):
    """Weights of the convolutions alone, cut to the digits printed, and Multi-Adds at 720p."""
    scale = int(row["scale"])
    deployed = build(zoo.find(row["variant"], scale), scale).deploy()
    count = sum(m.weight.numel() for m in deployed.modules() if isinstance(m, nn.Conv2d))
    assert int(count / 10) / 100 == float(row["params_k"])
    multi_adds = count * 1280 * 720 / scale**2
    assert multi_adds / 1e9 == pytest.approx(float(row["macs_g"]), rel=0.005)


def test_direct_starts_with_the_collapsed_variance():
    torch.manual_seed(0)
    variant = zoo.find("sesr-xl", 4)
    direct = build(variant, 4).deploy().state_dict()
    collapsed = build(variant, 4, space="collapsed").deploy().state_dict()
    assert direct.keys() == collapsed.keys()
    for name, kernel in direct.items():
        if kernel.ndim == 4:
            off = identity(32, 3) if name.startswith("body") else torch.zeros_like(kernel)
            expected = (collapsed[name] - off).std().item()
            assert (kernel - off).std().item() == pytest.approx(expected, rel=0.12)


def test_direct_takes_the_deploy_form():
    network = randomize(build(zoo.find("sesr-m5", 2), 2, space="expanded")).deploy()
    direct = build(zoo.find("sesr-m5", 2), 2)
    direct.load_state_dict(network.state_dict())
    lr = torch.rand(1, 1, 9, 9)
    torch.testing.assert_close(direct(lr), network(lr))


def test_shift_is_not_foldable_into_a_bias():
    """Why the subtraction stays: with the bias in its place the border would be another."""
    network = randomize(build(zoo.find("sesr-m3", 2), 2)).deploy()
    lr = torch.full((1, 1, 9, 9), 0.5)
    folded = network.first.bias - 0.5 * network.first.weight.sum(dim=(1, 2, 3))
    shifted = network.first(lr - 0.5)
    unshifted = nn.functional.conv2d(lr, network.first.weight, folded, padding=2)
    torch.testing.assert_close(shifted[..., 4, 4], unshifted[..., 4, 4], atol=1e-5, rtol=1e-4)
    assert (shifted[..., 0, 0] - unshifted[..., 0, 0]).abs().max() > 1e-3


def test_x4_shuffles_twice_by_two():
    network = build(zoo.find("sesr-m3", 4), 4)
    features = torch.arange(16.0).view(1, 16, 1, 1)
    expected = nn.functional.pixel_shuffle(nn.functional.pixel_shuffle(features, 2), 2)
    torch.testing.assert_close(network.shuffle(features), expected)
    assert not torch.equal(expected, nn.functional.pixel_shuffle(features, 4))


def test_other_scales_are_refused():
    with pytest.raises(ValueError, match="x2 and x4"):
        build(zoo.find("sesr-m3", 2), 3)
