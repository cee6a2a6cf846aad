from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from leansr import zoo
from leansr.lab.nets import build
from leansr.lab.nets.collapse import is_deployed
from leansr.lab.nets.fmen import FMEN
from leansr.lab.nets.fmen_attention import CCA, ESA, AttentionStudy
from leansr.lab.nets.fmen_blocks import (
    ERB,
    PB,
    RB,
    RRRB,
    CollapsedRRRB,
    ExpandedRRRB,
    NormedConv,
    direct_rrrb,
    padded,
)
from leansr.lab.published import published_name

ROWS = [(v.name, s) for v in zoo.VARIANTS.values() if v.family == "fmen" for s in v.scales]
SMALL = {"channels": 6, "attention_channels": (3, 4, 4), "attention_blocks": (2, 1, 1), "scale": 2}
# Every row in its default space, and all spaces on small networks.
FORMS = {name: (lambda name=name: build(zoo.find(name, 4), 4)) for name in dict(ROWS)}
for space in FMEN.spaces:
    FORMS[f"small-{space}"] = partial(FMEN, **SMALL, space=space)
    FORMS[f"small-study-{space}"] = partial(
        AttentionStudy, channels=8, groups=2, attention="cca", scale=3, space=space
    )


def randomize(network, seed=0):
    """Biases and BN's statistics too: zeros hide a wrong border."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(torch.randn_like(p) * (0.2 if p.ndim == 1 else 0.02))
        for m in network.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.running_mean.normal_(0, 0.3)
                m.running_var.uniform_(0.5, 1.5)
    return network.eval()


def count(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("form", FORMS)
def test_deploy_is_equal_and_plain(form):
    network = randomize(FORMS[form]())
    deployed = network.deploy()
    assert is_deployed(deployed)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in deployed.modules())
    n = zoo.VARIANTS[form].smallest if form in zoo.VARIANTS else 1
    for shape in ((n, n), (n + 10, n + 3)):
        lr = torch.rand(1, 3, *shape)
        with torch.no_grad():
            sr, expected = deployed(lr), network(lr)
        assert (sr - expected).abs().max() <= 1e-5 * expected.abs().max()


# Deploy form: facts of the published checkpoints for FMEN-S x4, else Tables 2 and 3, which cut.
DEPLOYED = {
    ("fmen", 2): 748_656,
    ("fmen", 3): 757_311,
    ("fmen", 4): 769_428,
    ("fmen-s", 4): 341_066,
    ("fmen-15erb", 4): 779_996,
    ("fmen-15erb-cca", 4): 782_356,
    # The paper prints 784 K, which no ESA meets.
    ("fmen-15erb-esa", 4): 818_671,
}
DEPLOYED |= {(f"fmen-{b}", s): DEPLOYED["fmen", s] for b in ("pb", "rb") for s in (2, 3, 4)}
DEPLOYED |= {("fmen-s", s): 341_066 - 3 * (16 - s**2) * 451 for s in (2, 3)}


@pytest.mark.parametrize(("name", "scale"), ROWS)
def test_parameters(name, scale):
    with torch.device("meta"):
        network = build(zoo.find(name, scale), scale)
        lr = torch.rand(2, 3, 15, 17)
    deployed = network.deploy()
    assert count(deployed) == DEPLOYED[name, scale]
    assert deployed(lr).shape == (2, 3, 15 * scale, 17 * scale)
    if (name, scale) == ("fmen-s", 4):
        assert sum(isinstance(m, nn.Conv2d) for m in deployed.modules()) == 34
        assert count(network) == 1_045_866
    if (name, scale) == ("fmen", 4):
        assert count(network) == 2_445_324


def test_collapsed_space_is_expanded_space_in_training():
    """The same outputs, gradients and running statistics, at the border too."""
    expanded = randomize(FMEN(**SMALL, space="expanded")).double().train()
    collapsed = FMEN(**SMALL, space="collapsed").double().train()
    collapsed.load_state_dict(expanded.state_dict())
    lr = torch.rand(2, 3, 6, 5, dtype=torch.float64)
    outputs = []
    for network in (expanded, collapsed):
        outputs.append(network(lr))
        outputs[-1].square().sum().backward()
    torch.testing.assert_close(*outputs)
    for (name, a), (_, b) in zip(
        expanded.named_parameters(), collapsed.named_parameters(), strict=True
    ):
        torch.testing.assert_close(a.grad, b.grad, msg=lambda m, name=name: f"{name}: {m}")
    for name, buffer in expanded.named_buffers():
        torch.testing.assert_close(buffer, collapsed.get_buffer(name))


def test_direct_starts_as_a_collapsed_block():
    torch.manual_seed(3)
    expected = ExpandedRRRB(7).collapse()
    torch.manual_seed(3)
    direct = direct_rrrb(7)
    torch.testing.assert_close(direct.weight, expected.weight, rtol=0, atol=0)
    torch.testing.assert_close(direct.bias, expected.bias, rtol=0, atol=0)
    assert direct.weight.requires_grad
    # Its mean is the identity.
    mean = torch.stack([direct_rrrb(7).weight for _ in range(64)]).mean(dim=0)
    assert (mean - F.pad(torch.eye(7)[..., None, None], (1, 1, 1, 1))).abs().max() < 0.1


def test_direct_takes_the_deploy_form_but_for_bn():
    network = randomize(FMEN(**SMALL))
    direct = randomize(FMEN(**SMALL, space="direct"))
    assert {type(m) for m in direct.modules()} & {ExpandedRRRB, CollapsedRRRB} == set()
    deployed = network.deploy()
    twin = direct.deploy()
    twin.load_state_dict(deployed.state_dict())
    lr = torch.rand(1, 3, 5, 9)
    torch.testing.assert_close(twin(lr), deployed(lr), rtol=0, atol=0)


def test_padding_is_by_channel_and_differentiable():
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    value = torch.randn(3, dtype=torch.float64, requires_grad=True)
    expected = np.stack(
        [
            [np.pad(x[n, c].detach(), 1, constant_values=value[c].item()) for c in range(3)]
            for n in range(2)
        ]
    )
    np.testing.assert_array_equal(padded(x, value).detach(), expected)
    assert torch.autograd.gradcheck(padded, (x, value))


def test_rrrb_is_its_figure():
    block = randomize(ExpandedRRRB(4))
    x = torch.rand(1, 4, 6, 7)
    wide = F.conv2d(x, block.expand.weight, block.expand.bias)
    around = block.expand.bias.view(1, 8, 1, 1).repeat(1, 1, 8, 9)
    around[..., 1:-1, 1:-1] = wide
    inner = F.conv2d(around, block.conv.weight, block.conv.bias) + wide
    expected = F.conv2d(inner, block.reduce.weight, block.reduce.bias) + x
    torch.testing.assert_close(block(x), expected)
    # With zeros around, it would not be one convolution.
    zeros = F.conv2d(wide, block.conv.weight, block.conv.bias, padding=1) + wide
    wrong = F.conv2d(zeros, block.reduce.weight, block.reduce.bias) + x
    assert (wrong - expected)[..., 1:-1, 1:-1].abs().max() < 1e-5
    assert (wrong - expected).abs().max() > 1e-3


def test_bn_pads_by_its_running_statistics_while_training():
    layer = randomize(NormedConv(3, 5)).train()
    norm = layer.norm
    x = torch.randn(4, 3, 5, 6) * 2 + 1
    before = norm.running_mean.clone()
    y = layer(x)
    assert not torch.equal(before, norm.running_mean)
    mean, var = x.mean(dim=(0, 2, 3)), x.var(dim=(0, 2, 3), correction=0)

    def normed(values, mean, var):
        mean, var = mean[:, None, None], var[:, None, None]
        scaled = (values - mean) / (var + norm.eps).sqrt()
        return scaled * norm.weight[:, None, None] + norm.bias[:, None, None]

    around = normed(torch.zeros(4, 3, 7, 8), norm.running_mean, norm.running_var)
    around[..., 1:-1, 1:-1] = normed(x, mean, var)
    expected = F.conv2d(around, layer.conv.weight, layer.conv.bias)
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-5)


def test_deployed_network_is_the_figure():
    """Order and activations, from the weights alone."""
    network = randomize(FMEN(**SMALL)).deploy()
    w = network.state_dict()

    def conv(name, x):
        return F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], padding=1)

    def act(x):
        return torch.where(x > 0, x, 0.1 * x)

    def block(name, x):
        return conv(f"{name}.second", act(conv(f"{name}.first", x)))

    def attention(name, blocks, x):
        y = act(conv(f"{name}.squeeze", x))
        for i in range(blocks):
            y = block(f"{name}.blocks.{i}", y)
        return x / (1 + torch.exp(-conv(f"{name}.excite", act(y))))

    lr = torch.rand(1, 3, 7, 6)
    shallow = conv("head", lr)
    deep = attention("warmup.1", 2, conv("warmup.0", shallow))
    for i in range(2):
        deep = attention(f"attentions.{i}", 1, block(f"blocks.{i}", deep))
    expected = F.pixel_shuffle(conv("tail", conv("merge", deep) + shallow), 2)
    torch.testing.assert_close(network(lr), expected)


def test_blocks_that_erb_is_compared_with():
    skipped, plain = randomize(RB(5)), PB(5)
    plain.load_state_dict(skipped.state_dict())
    x = torch.randn(1, 5, 6, 6)
    torch.testing.assert_close(skipped(x) - plain(x), x)
    hidden = F.conv2d(x, plain.first.weight, plain.first.bias, padding=1).clamp(min=0)
    expected = F.conv2d(hidden, plain.second.weight, plain.second.bias, padding=1)
    torch.testing.assert_close(plain(x), expected)
    for name, kind in (("fmen-rb", RB), ("fmen-pb", PB), ("fmen", ERB)):
        network = build(zoo.find(name, 4), 4)
        kinds = {type(m) for m in network.modules()} & {RB, PB, ERB}
        assert kinds == {kind}
        # 4 in the trunk, 3 + 4 x 2 in attention.
        assert sum(isinstance(m, kind) for m in network.modules()) == 15


@pytest.mark.parametrize(
    ("name", "kind"), [("", nn.Identity), ("-cca", CCA), ("-esa", ESA)], ids=["none", "cca", "esa"]
)
def test_attention_follows_every_third_erb(name, kind):
    variant = zoo.find(f"fmen-15erb{name}", 4)
    body = build(variant, 4).body
    assert [type(m) for m in body] == [ERB, ERB, ERB, kind] * 5 + [nn.Conv2d]
    assert variant.is_global == (kind is not nn.Identity)


def test_contrast_is_deviation_plus_mean():
    attention = randomize(CCA(6))
    x = torch.rand(2, 6, 5, 4)
    contrast = x.std(dim=(2, 3), correction=0, keepdim=True) + x.mean(dim=(2, 3), keepdim=True)
    gate = attention.excite(torch.relu(attention.squeeze(contrast))).sigmoid()
    torch.testing.assert_close(attention(x), x * gate)


def test_smallest_of_esa():
    network = build(zoo.find("fmen-15erb-esa", 4), 4, space="direct")
    smallest = zoo.VARIANTS["fmen-15erb-esa"].smallest
    with pytest.raises(RuntimeError, match="too small"):
        network(torch.rand(1, 3, smallest - 1, smallest))


def test_sizes_of_attention_must_agree():
    with pytest.raises(ValueError, match="each HFAB"):
        FMEN(**SMALL | {"attention_blocks": (1, 1)})


@pytest.mark.parametrize(("blocks", "attentions"), [("basic_blocks", "hfabs"), ("ERBs", "HFABs")])
def test_published_layouts(blocks, attentions):
    expected = {"head", "warmup.0", "lr_conv", "tail.0"}
    for attention, depth in [("warmup.1", 2)] + [(f"{attentions}.{i}", 1) for i in range(4)]:
        expected |= {f"{attention}.squeeze", f"{attention}.excitate"}
        erbs = [f"{attention}.convs.{i}" for i in range(depth)]
        expected |= {f"{erb}.conv{i}.rep_conv" for erb in erbs for i in (1, 2)}
    expected |= {f"{blocks}.{i}.conv{j}.rep_conv" for i in range(4) for j in (1, 2)}
    layout = FMEN.published[("basic_blocks", "ERBs").index(blocks)]
    names = build(zoo.find("fmen-s", 4), 4).deploy().state_dict()
    theirs = {published_name(layout, name) for name in names}
    assert theirs == {f"{n}.{t}" for n in expected for t in ("weight", "bias")}


def test_spaces_are_those_of_the_blocks():
    assert tuple(RRRB) == FMEN.spaces
