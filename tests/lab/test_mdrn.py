import pytest
import torch
from torch import nn

from leansr import zoo
from leansr.lab.nets import build
from leansr.lab.nets.mdrn_attention import BSConvU, LocalVariance, cca_lr, depthwise, ecca

ROWS = [(v.name, s) for v in zoo.VARIANTS.values() if v.family == "mdrn" for s in v.scales]

# Recomputed from the printed figures and, of MDRN and MDRN-S at x4, the authors' checkpoints.
PARAMETERS = {
    ("mdrn", 2): 303_724,
    ("mdrn", 3): 311_299,
    ("mdrn", 4): 321_904,
    ("mdrn-s", 4): 95_396,
    ("mdrn-esa-cca", 4): 287_296,
    ("mdrn-no-esa", 4): 280_240,
    ("mdrn-esa", 4): 317_312,
    ("mdrn-esa-d7", 4): 303_088,
    ("mdrn-esa-d7-d5", 4): 311_152,
    ("mdrn-esa-d7-d5-d3", 4): 319_216,
    ("mdrn-no-cca", 4): 288_728,
    ("mdrn-cca", 4): 291_888,
    ("mdrn-cca-lr", 4): 321_904,
    ("mdrn-no-dispersion", 4): 295_024,
    ("mdrn-no-refine", 4): 320_224,
}


@pytest.mark.parametrize(("name", "scale"), ROWS)
def test_shapes(name, scale):
    variant = zoo.find(name, scale)
    network = build(variant, scale).eval()
    least = variant.smallest
    with torch.no_grad():
        for height, width in ((least, least), (least + 4, least + 7)):
            sr = network(torch.rand(1, 3, height, width))
            assert sr.shape == (1, 3, height * scale, width * scale)
            assert sr.isfinite().all()
        if scale == 4:
            with pytest.raises(RuntimeError):
                network(torch.rand(1, 3, least - 1, least))


@pytest.mark.parametrize(("name", "scale"), PARAMETERS)
def test_parameters(name, scale):
    network = build(zoo.find(name, scale), scale)
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[name, scale]


def test_local_variance_is_unbiased():
    x = torch.rand(2, 3, 13, 16, dtype=torch.float64) + 2
    windows = nn.functional.pad(x, (1, 1, 1, 1), mode="reflect").unfold(2, 7, 3).unfold(3, 7, 3)
    torch.testing.assert_close(LocalVariance()(x), windows.var(dim=(-2, -1), correction=1))


def test_padding():
    """A constant stays one under BSConvU's reflection, and does not under ECCA's zeros."""
    constant = torch.ones(1, 4, 6, 6)
    blueprint = BSConvU(4, 4)
    spread = (blueprint(constant) - blueprint(constant)[..., 2:3, 2:3]).abs().max()
    assert spread < 1e-6
    zeros = depthwise(4)(constant)
    assert (zeros[..., 0, 0] - zeros[..., 2, 2]).abs().min() > 1e-4


def test_order_of_channel_attention():
    """ECCA weighs between its convolutions, +LR after its block, whose input it does not weigh."""
    x = torch.rand(1, 16, 8, 8)
    for block in (ecca(16), cca_lr(16)):
        with torch.no_grad():
            block[2].excite.bias.fill_(-100)
        shut = block(x) - x
        expected = block[3].bias[None, :, None, None] if len(block) == 4 else torch.zeros(1)
        torch.testing.assert_close(shut, expected.expand_as(shut))


def test_attention_adds_its_input_back():
    """But for ESA, which the tables compare with."""
    x = torch.rand(1, 56, 21, 21)
    for name, factor in (("mdrn", 1), ("mdrn-esa-d7", 1), ("mdrn-esa", 0)):
        spatial = build(zoo.find(name, 4), 4).blocks[0].spatial
        gate = spatial if name == "mdrn-esa" else spatial[0]
        with torch.no_grad():
            gate.expand.bias.fill_(-100)
        torch.testing.assert_close(spatial(x), x * factor)


def test_mean_is_outside():
    """With a tail of zeros the picture is the mean, and the mean leaves a biasless head at zero."""
    network = build(zoo.find("mdrn-s", 2), 2)
    mean = torch.tensor([0.4488, 0.4371, 0.4040]).view(1, 3, 1, 1)
    lr = mean.expand(1, 3, 15, 15)
    seen = []
    network.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        for p in network.tail.parameters():
            p.zero_()
        torch.testing.assert_close(network(lr), mean.expand(1, 3, 30, 30))
    assert seen[0].abs().max() == 0
