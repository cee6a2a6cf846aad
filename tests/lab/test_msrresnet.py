import pytest
import torch
from torch import nn

from leansr import zoo
from leansr.lab.nets import build


def network():
    return build(zoo.find("msrresnet", 4), 4)


def test_any_size():
    net = network()
    assert sum(p.numel() for p in net.parameters()) == 1_517_571
    for height, width in ((1, 1), (5, 8)):
        sr = net(torch.rand(2, 3, height, width))
        assert sr.shape == (2, 3, height * 4, width * 4)
        assert sr.isfinite().all()


def test_learns_what_bilinear_lacks():
    """A ramp, which bilinear upscaling about pixel centres goes on with."""
    net = network()
    with torch.no_grad():
        for p in net.parameters():
            p.zero_()
    sr = net((torch.arange(6.0) / 10).expand(1, 3, 4, 6))
    expected = ((torch.arange(24.0) + 0.5) / 4 - 0.5).clamp(0, 5) / 10
    torch.testing.assert_close(sr, expected.expand(1, 3, 16, 24))


def test_activations_follow_the_shuffles():
    net = network()
    kinds = [type(m) for m in net.upsampler]
    assert kinds == [nn.Conv2d, nn.PixelShuffle, nn.LeakyReLU] * 2
    slopes = [m.negative_slope for m in net.modules() if isinstance(m, nn.LeakyReLU)]
    assert slopes == [0.1] * 4
    assert sum(isinstance(m, nn.ReLU) for m in net.body.modules()) == 16


def test_nothing_is_done_to_a_sum():
    """The residual branch is added bare: with its last convolution zero, a block is its input."""
    block = network().body[3]
    with torch.no_grad():
        for p in block.body[2].parameters():
            p.zero_()
    x = torch.randn(1, 64, 4, 4)
    torch.testing.assert_close(block(x), x)


def test_other_scales_are_refused():
    with pytest.raises(ValueError, match="x4, not x2"):
        build(zoo.find("msrresnet", 4), 2)
