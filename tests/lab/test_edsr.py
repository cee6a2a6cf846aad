import pytest
import torch
from torch import nn

from leansr import zoo
from leansr.lab.nets import build
from leansr.lab.nets.collapse import is_deployed
from leansr.lab.nets.edsr import DIV2K_MEAN, EDSR, EDSRWithERB
from leansr.lab.nets.fmen_blocks import ERB, PB, RB

NAMES = {"edsr-baseline": RB, "edsr-baseline-pb": PB, "edsr-baseline-erb": ERB}
ROWS = [(name, s) for name in NAMES for s in zoo.VARIANTS[name].scales]
# Printed as 1370, 1554 or 1555, and 1518 K (FMEN and MDRN).
PARAMETERS = {2: 1_369_859, 3: 1_554_499, 4: 1_517_571}


def randomize(network, seed=0):
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(torch.randn_like(p) * (0.2 if p.ndim == 1 else 0.01))
    return network.eval()


@pytest.mark.parametrize(("name", "scale"), ROWS)
def test_parameters_and_shapes(name, scale):
    with torch.device("meta"):
        network = build(zoo.find(name, scale), scale)
        lr = torch.rand(2, 3, 5, 9)
    deployed = network.deploy()
    assert deployed(lr).shape == (2, 3, 5 * scale, 9 * scale)
    assert sum(p.numel() for p in deployed.parameters()) == PARAMETERS[scale]
    assert [type(m) for m in network.body] == [NAMES[name]] * 16 + [nn.Conv2d]
    # 1 + 32 + 1 + upsampling + 1
    convs = sum(isinstance(m, nn.Conv2d) for m in deployed.modules())
    assert convs == (37 if scale == 4 else 36)


@pytest.mark.parametrize("name", NAMES)
def test_deploy_is_equal(name):
    network = randomize(build(zoo.find(name, 4), 4))
    deployed = network.deploy()
    assert is_deployed(deployed)
    for shape in ((1, 1), (6, 11)):
        lr = torch.rand(1, 3, *shape)
        with torch.no_grad():
            sr, expected = deployed(lr), network(lr)
        assert (sr - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_spaces_collapse_alike():
    networks = {
        space: EDSRWithERB(channels=6, blocks=3, scale=3, space=space)
        for space in EDSRWithERB.spaces
    }
    randomize(networks["expanded"])
    networks["collapsed"].load_state_dict(networks["expanded"].state_dict())
    networks["direct"].load_state_dict(networks["expanded"].deploy().state_dict())
    lr = torch.rand(1, 3, 6, 5)
    expected = networks.pop("expanded")(lr)
    for network in networks.values():
        torch.testing.assert_close(network(lr), expected, rtol=1e-4, atol=1e-5)


def test_mean_is_taken_off_and_put_back():
    network = EDSR(block="rb", channels=4, blocks=1, scale=2)
    assert "mean" not in network.state_dict()
    mean = torch.tensor(DIV2K_MEAN).view(1, 3, 1, 1)
    nn.init.zeros_(network.tail.weight)
    nn.init.zeros_(network.tail.bias)
    torch.testing.assert_close(network(torch.rand(1, 3, 3, 3)), mean.expand(1, 3, 6, 6))
    seen = []
    network.head.register_forward_pre_hook(lambda _, args: seen.extend(args))
    network(mean.expand(1, 3, 4, 4))
    # So zero padding is the mean, not black.
    torch.testing.assert_close(seen[0], torch.zeros(1, 3, 4, 4))


def test_body_and_head_are_added():
    network = randomize(EDSR(block="pb", channels=4, blocks=2, scale=3))
    lr = torch.rand(1, 3, 5, 4)
    shallow = network.head(lr - network.mean)
    deep = shallow
    for layer in network.body:
        deep = layer(deep)
    expected = network.tail(nn.functional.pixel_shuffle(network.upsampler[0](deep + shallow), 3))
    torch.testing.assert_close(network(lr), expected + network.mean)


def test_x4_is_two_steps_of_two():
    network = EDSR(block="rb", channels=4, blocks=1, scale=4)
    assert [m.upscale_factor for m in network.upsampler if isinstance(m, nn.PixelShuffle)] == [2, 2]


def test_other_scales_are_refused():
    with pytest.raises(ValueError, match="x2, x3 and x4"):
        build(zoo.find("edsr-baseline", 2), 8)
