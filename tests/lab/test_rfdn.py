import pytest
import torch
from torch import nn

from leansr import zoo
from leansr.lab.nets import build
from leansr.lab.nets.rfdn import ERFDN

ROWS = [(v.name, s) for v in zoo.VARIANTS.values() if v.family == "rfdn" for s in v.scales]

# rfdn: printed 534, 541, 550 K. rfdn-bsconvs: printed 122 K, with no ratio beside it.
PARAMETERS = {
    ("rfdn", 2): 534_036,
    ("rfdn", 3): 540_531,
    ("rfdn", 4): 549_624,
    ("e-rfdn", 4): 433_448,
    ("rfdn-dsconv", 4): 123_274,
    ("rfdn-bsconvs", 4): 125_200,
    ("rfdn-bsconvu", 4): 123_736,
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


@pytest.mark.parametrize(("name", "adds_input"), [("rfdn", True), ("e-rfdn", False)])
def test_residuals_of_a_block(name, adds_input):
    """An SRB adds its input before the activation; only the paper's block adds its own."""
    variant = zoo.find(name, 4)
    block = build(variant, 4).blocks[0]
    zero(block.refine[0])
    zero(block.condense)
    seen = []
    block.distill[1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = torch.randn(1, variant.arguments["channels"], 15, 15)
    torch.testing.assert_close(block(x), x if adds_input else torch.zeros_like(x))
    torch.testing.assert_close(seen[0], nn.functional.leaky_relu(x, 0.05))


@pytest.mark.parametrize("convolution", ["dsconv", "bsconvs", "bsconvu"])
def test_every_dense_3x3_but_the_tail_is_replaced(convolution):
    network = build(zoo.find(f"rfdn-{convolution}", 4), 4)
    convs = {n: m for n, m in network.named_modules() if isinstance(m, nn.Conv2d)}
    dense = [n for n, m in convs.items() if m.kernel_size == (3, 3) and m.groups == 1]
    assert dense == ["upsample.0"]
    head = [m for n, m in convs.items() if n.startswith("shallow.")]
    kinds = ["depth-wise" if m.groups > 1 else "point-wise" for m in head]
    assert (
        kinds
        == {
            "dsconv": ["depth-wise", "point-wise"],
            "bsconvs": ["point-wise", "point-wise", "depth-wise"],
            "bsconvu": ["point-wise", "depth-wise"],
        }[convolution]
    )


def test_unknown_convolution_is_refused():
    with pytest.raises(ValueError, match="not 'ghost'"):
        build(zoo.find("e-rfdn", 4), 4, convolution="ghost")


def test_published_values_take_the_network_from_0_255_to_0_1():
    theirs = build(zoo.find("e-rfdn", 4), 4)
    ours = build(zoo.find("e-rfdn", 4), 4)
    ours.load_state_dict(ERFDN.published[0].values(theirs.state_dict()))
    lr = torch.rand(1, 3, 16, 19)
    with torch.no_grad():
        torch.testing.assert_close(ours(lr), theirs(lr * 255) / 255)
