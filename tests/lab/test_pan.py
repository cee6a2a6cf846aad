import pytest
import torch
from torch import nn

from leansr import zoo
from leansr.lab.nets import build
from leansr.lab.nets.pan import PAN, SCPA

PRINTED = {2: 261, 3: 261, 4: 272}


@pytest.mark.parametrize("scale", PRINTED)
def test_shapes_and_parameters(scale):
    variant = zoo.find("pan", scale)
    network = build(variant, scale)
    assert variant.scales == tuple(PRINTED)
    assert sum(p.numel() for p in network.parameters()) // 1000 == PRINTED[scale]
    with torch.no_grad():
        for height, width in ((1, 1), (9, 14)):
            sr = network(torch.rand(2, 3, height, width))
            assert sr.shape == (2, 3, height * scale, width * scale)
            assert sr.isfinite().all()


@pytest.mark.parametrize("scale", PRINTED)
def test_input_is_added_bilinearly(scale):
    network = build(zoo.find("pan", scale), scale)
    lr = torch.rand(1, 3, 7, 5)
    bilinear = nn.Upsample(scale_factor=scale, mode="bilinear", align_corners=False)
    with torch.no_grad():
        for p in network.tail.parameters():
            p.zero_()
        torch.testing.assert_close(network(lr), bilinear(lr))


def test_block_weighs_one_half_of_its_features_by_pixel():
    block, x = SCPA(8), torch.rand(1, 8, 6, 6)
    with torch.no_grad():
        whole = block(x)
        block.attentive[2].weigh.bias.fill_(-100)
        plain = torch.cat([block.plain(x), torch.zeros(1, 4, 6, 6)], dim=1)
        torch.testing.assert_close(block(x), block.fuse(plain) + x)
    assert (whole - block(x)).abs().max() > 1e-4


def test_biases_are_where_the_counts_ask_for_them():
    block = SCPA(8)
    assert [name for name, _ in block.named_parameters() if "bias" in name] == [
        "attentive.2.weigh.bias"
    ]


def test_x4_is_two_steps_of_two():
    factors = [m.scale_factor for m in build(zoo.find("pan", 4), 4).modules() if _is_nearest(m)]
    assert factors == [2, 2]
    assert [m.scale_factor for m in build(zoo.find("pan", 3), 3).modules() if _is_nearest(m)] == [3]


def _is_nearest(module):
    return isinstance(module, nn.Upsample) and module.mode == "nearest"


def test_other_scales_are_refused():
    with pytest.raises(ValueError, match="x2, x3 and x4"):
        PAN(channels=8, upsampling_channels=8, blocks=1, scale=8)
