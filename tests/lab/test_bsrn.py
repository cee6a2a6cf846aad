import pytest
import torch
from torch import nn

from leansr import zoo
from leansr.lab.nets import build
from leansr.lab.nets.bsrn import ACTIVATIONS
from leansr.lab.nets.bsrn_s import ChannelWeight
from leansr.lab.nets.collapse import is_deployed

ROWS = [(v.name, s) for v in zoo.VARIANTS.values() if v.family == "bsrn" for s in v.scales]

# Those of the authors' checkpoints; the ablations' are printed in thousands, and these round so.
PARAMETERS = {
    ("bsrn", 2): 331_628,
    ("bsrn", 3): 340_283,
    ("bsrn", 4): 352_400,
    ("bsrn-s", 4): 156_288,
    ("bsrn-1", 4): 208_632,
    ("bsrn-2", 4): 437_624,
    ("bsrn-no-esa", 4): 319_888,
    ("bsrn-no-cca", 4): 347_760,
    ("bsrn-relu", 4): 352_400,
    ("bsrn-leakyrelu", 4): 352_400,
    ("bsrn-hswish", 4): 352_400,
}


def zero(module):
    for p in module.parameters():
        nn.init.zeros_(p)


@pytest.mark.parametrize(("name", "scale"), ROWS)
def test_shapes_and_parameters(name, scale):
    variant = zoo.find(name, scale)
    network = build(variant, scale)
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[name, scale]
    least = variant.smallest
    with torch.no_grad():
        for height, width in ((least, least), (least + 8, least + 3)):
            sr = network(torch.rand(2, 3, height, width))
            assert sr.shape == (2, 3, height * scale, width * scale)
            assert sr.isfinite().all()
        with pytest.raises(RuntimeError):
            network(torch.rand(1, 3, least - 1, least))


def test_rgb_is_repeated_as_a_whole():
    """The 12 channels are RGBRGBRGBRGB, so that the weights of whole copies may change places."""
    network = build(zoo.find("bsrn-1", 4), 4)
    lr = torch.rand(1, 3, 15, 15)
    weight = network.shallow.pointwise.weight
    with torch.no_grad():
        expected = network(lr)
        weight.copy_(weight.roll(3, dims=1))
        torch.testing.assert_close(network(lr), expected)
        weight.copy_(weight.roll(1, dims=1))
        assert (network(lr) - expected).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["bsrn", "bsrn-s"])
def test_residuals_of_a_block(name):
    """A BSRB adds its input before the activation, and the block its own input at the end."""
    block = build(zoo.find(name, 4), 4).blocks[0]
    zero(block.refine[0])
    seen = []
    block.distill[1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    zero(block.channel_attention.mix if name == "bsrn-s" else block.condense)
    x = torch.randn(1, 64 if name == "bsrn" else 48, 15, 15)
    torch.testing.assert_close(block(x), x)
    torch.testing.assert_close(seen[0], nn.functional.gelu(x))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activation_is_replaced_everywhere_but_in_cca(activation):
    name = "bsrn" if activation == "gelu" else f"bsrn-{activation}"
    network = build(zoo.find(name, 4), 4)
    expected = type(ACTIVATIONS[activation]())
    kinds = {type(m) for m in network.modules() if type(m).__module__.endswith(".activation")}
    assert kinds == {expected, nn.ReLU, nn.Sigmoid}
    assert type(network.blocks[0].channel_attention.weigh[1]) is nn.ReLU
    assert type(network.blocks[0].spatial_attention.group[1]) is expected


def test_unknown_activation_is_refused():
    with pytest.raises(ValueError, match="not 'swish'"):
        build(zoo.find("bsrn", 4), 4, activation="swish")


def test_deploy_of_bsrn_s():
    torch.manual_seed(0)
    network = build(zoo.find("bsrn-s", 4), 4)
    deployed = network.deploy()
    assert is_deployed(deployed)
    assert not any(isinstance(m, nn.Linear | ChannelWeight) for m in deployed.modules())
    # 5 x 48 channel weights fewer.
    assert sum(p.numel() for p in deployed.parameters()) == 156_048
    for shape in ((15, 15), (17, 26), (31, 20)):
        lr = torch.rand(1, 3, *shape)
        with torch.no_grad():
            expected = network(lr)
            assert (deployed(lr) - expected).abs().max() <= 1e-5 * expected.abs().max()
