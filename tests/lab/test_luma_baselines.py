from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from leansr.image.resize import resize
from leansr.lab.nets import build
from leansr.lab.nets.bicubic import Bicubic
from leansr.lab.nets.drcn import DRCN
from leansr.lab.nets.drrn import DRRN
from leansr.lab.nets.fsrcnn import FSRCNN
from leansr.lab.nets.lapsrn import LapSRN
from leansr.lab.nets.srcnn import SRCNN
from leansr.lab.nets.vdsr import VDSR
from leansr.zoo import luma_baselines

# MemNet has a file of its own.
ROWS = [row for row in luma_baselines.ROWS if not row.name.startswith("memnet")]
CASES = [pytest.param(row, s, id=f"{row.name}_x{s}") for row in ROWS for s in row.scales]

# Parameters in thousands, as they are printed, and what they are counted of: the kernels of the
# convolutions, these and their biases, or all that is learnt.
PRINTED = [
    ("srcnn", 2, 8, "kernels"),
    ("srcnn", 2, 8, "all"),
    ("fsrcnn", 2, 12.46, "kernels"),
    ("fsrcnn", 4, 12.46, "kernels"),
    ("fsrcnn", 3, 13, "all"),
    ("vdsr", 2, 665, "kernels"),
    ("vdsr", 4, 666, "all"),
    ("drcn", 2, 1774, "kernels"),
    ("drrn", 2, 297, "kernels"),
    ("drrn", 4, 298, "convolutions"),
    ("lapsrn", 4, 813, "kernels"),
]


def randomize(network, seed=0):
    """Biases and statistics too: what starts at zero hides where it stands."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(torch.randn_like(p) * 0.05)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(std=0.2)
                module.running_var.uniform_(0.5, 2)
    return network.eval()


def silence(conv, bias=0.0):
    nn.init.zeros_(conv.weight)
    nn.init.constant_(conv.bias, bias)


@torch.no_grad()
def runs(network, lr):
    """How often each convolution runs."""
    counts = Counter()
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda *_, name=name: counts.update([name]))
    network(lr)
    return counts


@pytest.mark.parametrize(("row", "scale"), CASES)
@torch.no_grad()
def test_every_row_takes_any_size(row, scale):
    channels = 3 if row.colour == "rgb" else 1
    network = randomize(build(row, scale))
    for shape in ((row.smallest, row.smallest), (3, 2)):
        sr = network(torch.rand(1, channels, *shape))
        assert sr.shape == (1, channels, shape[0] * scale, shape[1] * scale)
        assert sr.isfinite().all()


@pytest.mark.parametrize(("name", "scale", "printed", "of"), PRINTED)
def test_parameters_are_those_printed(name, scale, printed, of):
    row = next(row for row in ROWS if row.name == name)
    network = build(row, scale)
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    counted = {
        "kernels": [m.weight for m in convs],
        "convolutions": [p for m in convs for p in m.parameters()],
        "all": list(network.parameters()),
    }
    count = sum(p.numel() for p in counted[of]) / 1000
    assert round(count, 2 if isinstance(printed, float) else 0) == printed


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (2, 3), (5, 1), (9, 14)])
def test_bicubic_is_the_reference(scale, shape):
    lr = torch.rand(2, 3, *shape, dtype=torch.float64)
    sr = Bicubic(scale=scale)(lr.float())
    for ours, picture in zip(sr, lr, strict=True):
        expected = resize(picture.permute(1, 2, 0).numpy(), scale)
        np.testing.assert_allclose(ours.permute(1, 2, 0), expected, atol=1e-6)


def test_bicubic_keeps_nothing():
    network = Bicubic(scale=2)
    assert not network.state_dict()
    assert not list(network.parameters())


@pytest.mark.parametrize("scale", [0, -2])
def test_bicubic_refuses_to_shrink(scale):
    with pytest.raises(ValueError, match="1 or more"):
        Bicubic(scale=scale)


@torch.no_grad()
def test_srcnn_repeats_the_edge():
    sr = randomize(SRCNN(scale=2))(torch.full((1, 1, 6, 7), 0.3))
    torch.testing.assert_close(sr, sr[..., 6:7, 6:7].expand_as(sr))


@torch.no_grad()
def test_fsrcnn_puts_the_kernel_on_the_first_pixel():
    for scale in (2, 3, 4):
        network = FSRCNN(channels=1, shrunk=1, mappings=1, scale=scale)
        silence(network.upscale)
        network.upscale.weight[0, 0, 4, 4] = 1
        features = torch.rand(1, 1, 4, 5)
        sr = network.upscale(features)
        torch.testing.assert_close(sr[..., ::scale, ::scale], features)
        assert sr.sum().item() == pytest.approx(features.sum().item())


@torch.no_grad()
def test_fsrcnn_has_an_activation_after_each_stage_but_the_last():
    network = build(next(row for row in ROWS if row.name == "fsrcnn"), 2)
    kinds = [type(m) for m in network.modules() if not list(m.children())]
    assert kinds == [nn.Conv2d, nn.PReLU] * 7 + [nn.ConvTranspose2d]
    for module in network.modules():
        if isinstance(module, nn.PReLU):
            module.weight.fill_(1)
    lr = torch.rand(1, 1, 5, 6)
    twice = network(2 * lr) - network(0 * lr)
    torch.testing.assert_close(twice, 2 * (network(lr) - network(0 * lr)))


@pytest.mark.parametrize(
    ("network", "last"),
    [
        (VDSR(channels=4, layers=5, scale=3), "last"),
        (DRCN(channels=4, recursions=3, scale=3), "reconstruct.2"),
        (DRRN(channels=4, units=3, scale=3), "tail.1"),
    ],
)
@torch.no_grad()
def test_the_rest_is_added_to_the_bicubic_picture(network, last):
    silence(network.get_submodule(last))
    lr = torch.rand(1, 1, 5, 7)
    torch.testing.assert_close(network.eval()(lr), Bicubic(scale=3)(lr))


def test_vdsr_has_all_its_layers():
    counts = runs(VDSR(channels=2, layers=20, scale=2), torch.rand(1, 1, 2, 2))
    assert counts.total() == 20


def test_drcn_shares_its_weights():
    counts = runs(DRCN(channels=2, recursions=16, scale=2), torch.rand(1, 1, 2, 2))
    assert counts == {
        "embed.0": 1,
        "embed.2": 1,
        "infer.0": 16,
        "reconstruct.0": 16,
        "reconstruct.2": 16,
        "average": 1,
    }


@torch.no_grad()
def test_drcn_averages_the_predictions_of_all_recursions():
    deep = randomize(DRCN(channels=4, recursions=3, scale=2))
    lr = torch.rand(1, 1, 5, 6)
    expected = torch.zeros(1, 1, 10, 12)
    for depth in (1, 2, 3):
        shallow = DRCN(channels=4, recursions=depth, scale=2)
        state = deep.state_dict() | {"average.weight": torch.eye(depth)[-1].view(1, -1, 1, 1)}
        shallow.load_state_dict(state)
        expected += deep.average.weight[0, depth - 1] * shallow(lr)
    torch.testing.assert_close(deep(lr), expected)


@torch.no_grad()
def test_drcn_starts_as_if_it_did_not_recur():
    torch.manual_seed(0)
    deep = DRCN(channels=8, recursions=16, scale=2)
    features = deep.embed(torch.rand(1, 1, 5, 6))
    torch.testing.assert_close(deep.infer(features), features)


def test_drrn_shares_its_convolutions_and_nothing_else():
    network = DRRN(channels=2, units=25, scale=2).eval()
    counts = runs(network, torch.rand(1, 1, 2, 2))
    assert counts == {"head.1": 1, "first": 25, "second": 25, "tail.1": 1}
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 2 * 25 + 2


@torch.no_grad()
def test_drrn_adds_the_first_features_to_each_unit():
    network = randomize(DRRN(channels=4, units=3, scale=2))
    silence(network.second, bias=0.5)
    lr = torch.rand(1, 1, 4, 5)
    x = network.upscale(lr)
    # The units' output would be 1.5 more if each added its own input.
    torch.testing.assert_close(network(lr), network.tail(network.head(x) + 0.5) + x)


@torch.no_grad()
def test_drrn_activates_before_its_convolutions():
    network = DRRN(channels=4, units=2, scale=2).eval()
    # Nothing that the ReLUs let through: of the picture only the bicubic one is left.
    lr = -0.5 - 0.1 * torch.rand(1, 1, 4, 5)
    torch.testing.assert_close(network(lr), network.upscale(lr))


@pytest.mark.parametrize("scale", [2, 4])
@torch.no_grad()
def test_lapsrn_starts_from_bilinear_doublings(scale):
    network = LapSRN(channels=4, depth=2, scale=scale)
    for level in network.levels:
        silence(level.residual)
    lr = torch.rand(1, 1, 8, 9)
    expected = lr
    for _ in network.levels:
        expected = F.interpolate(expected, scale_factor=2, mode="bilinear", align_corners=False)
    inner = (..., slice(scale, -scale), slice(scale, -scale))
    torch.testing.assert_close(network(lr)[inner], expected[inner])


@torch.no_grad()
def test_lapsrn_adds_a_residual_at_each_level():
    network = randomize(LapSRN(channels=4, depth=2, scale=4))
    first, second = network.levels
    lr = torch.rand(1, 1, 4, 5)
    before = network(lr)
    silence(first.residual)
    silence(second.residual)
    plain = network(lr)
    assert (before - plain).abs().max() > 1e-3
    # A constant added at the first level reaches sr through the second's interpolation.
    silence(first.residual, bias=1.0)
    raised = second.upscale_picture(torch.ones(1, 1, 8, 10))
    torch.testing.assert_close(network(lr) - plain, raised)


def test_lapsrn_has_no_x3():
    with pytest.raises(ValueError, match="x2 and x4"):
        LapSRN(channels=4, depth=2, scale=3)
