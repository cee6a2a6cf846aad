"""What ternary networks cost, counted again by hooks and by the study's words alone."""

import functools
import json

import pytest
import torch
from click.testing import CliRunner
from ternary_networks import on_meta
from torch import nn

from leansr import cli, zoo
from leansr.lab import papers
from leansr.lab.measure.complexity import lr_size
from leansr.lab.measure.ternary import mean_shifts, operations
from leansr.lab.measure.trace import trace
from leansr.lab.nets import build
from leansr.lab.nets.rcan import ChannelAttention
from leansr.lab.quantize.ternary import Ternary
from leansr.zoo.costs import costs

ROWS = [(v.name, s) for v in zoo.VARIANTS.values() if v.family == "ternary" for s in v.scales]
TABLE_5 = [row for row in papers.rows("study") if row["table"] == "5" and row["rank"]]


@functools.cache
def convolutions(name, scale):
    """Of every k x k convolution for 1280 x 720: inputs, outputs, k and pixels."""
    found = []

    def note(conv, given, output):
        if min(output.shape[-2:]) > 1:
            pixels = output.shape[-2:].numel()
            found.append((conv.in_channels, conv.out_channels, conv.kernel_size[0], pixels))

    network = on_meta(name, scale)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(note)
    network(torch.empty(1, 3, *lr_size(scale), device="meta"))
    return found


def by_formula(name, scale, rank, groups=1):
    """Section 5.2: r products; k^2 c_in - 1 additions for each of r maps, r - 1 for each output."""
    multiplications = additions = 0
    for inputs, outputs, k, pixels in convolutions(name, scale):
        r = rank * outputs
        window = k**2 * inputs
        if inputs % groups == r % groups == 0:
            window //= groups
        multiplications += r * pixels
        additions += ((window - 1) * r + (r - 1) * outputs) * pixels
    return multiplications, additions


def attention_products(name):
    """Of its two 1 x 1 convolutions on one pixel: once each as multiplications and additions."""
    attention = [m for m in on_meta(name, 2).modules() if isinstance(m, ChannelAttention)]
    kernels = [c.weight for m in attention for c in m.modules() if isinstance(c, nn.Conv2d)]
    return sum(kernel.numel() for kernel in kernels)


@pytest.mark.parametrize("row", TABLE_5, ids=lambda r: f"{r['variant']}_x{r['scale']}")
def test_table_5_is_what_the_built_network_costs(row):
    name, scale, rank = row["variant"], int(row["scale"]), int(row["rank"])
    shape = (1, 3, *lr_size(scale))
    deployed = on_meta(name, scale).deploy()
    run = trace(deployed, shape)
    found = operations(run)
    multiplications, additions = by_formula("rcan-bl", scale, rank)
    attention = attention_products("rcan-bl")
    assert found.multiplications == multiplications + attention
    assert found.additions == additions + attention
    # EDSR's mean shifts: 9 at each LR and each HR pixel.
    shifts = 9 * shape[2] * shape[3] * (1 + scale**2)
    assert mean_shifts(shape, run) == shifts
    base = shifts + attention
    base += sum(i * o * k**2 * pixels for i, o, k, pixels in convolutions("rcan-bl", scale))
    for column, count in (("mult", found.multiplications), ("add", found.additions)):
        printed = row[f"{column}_reduction_pct"]
        digits = len(printed.partition(".")[2])
        assert round(100 * (1 - (count + shifts) / base), digits) == float(printed)


def test_all_of_table_5_is_in_the_zoo():
    printed = {(row["variant"], int(row["scale"])) for row in TABLE_5}
    assert printed == {row for row in ROWS if row[0].startswith("rcan")}
    assert len(printed) == 12


@pytest.mark.parametrize("groups", [2, 8])
def test_groups_save_additions_alone(groups):
    with torch.device("meta"):
        network = Ternary(of="rcan-bl", rank=2, scale=2, groups=groups)
    shape, attention = (1, 3, *lr_size(2)), attention_products("rcan-bl")
    found = operations(trace(network.deploy(), shape))
    multiplications, additions = by_formula("rcan-bl", 2, 2, groups)
    assert found.multiplications == multiplications + attention
    assert found.additions == additions + attention
    whole = by_formula("rcan-bl", 2, 2)
    assert (multiplications, additions < whole[1]) == (whole[0], True)


@pytest.mark.parametrize("of", ["rcan-bl", "sesr-m5", "fsrcnn"])
def test_a_float_network_adds_as_often_as_it_multiplies(of):
    variant = zoo.find(of, 2)
    found = operations(trace(build(variant, 2).deploy(), (1, variant.channels, *lr_size(2))))
    assert found.multiplications == found.additions == costs()[of, 2].multi_adds


def test_profile_tells_products_from_sums():
    done = CliRunner().invoke(cli.cli, ["profile", "rcan-bl-ternary-r1", "--json"])
    assert done.exit_code == 0, done.output
    form = json.loads(done.stdout)["deploy"]
    multiplications, additions = by_formula("rcan-bl", 2, 1)
    assert form["multiplications"] == multiplications + 5120
    assert form["additions"] == additions + 5120
    # Two bits for each ternary weight, whole bytes for each layer, and four bytes for the rest.
    shapes = [(i, o, k) for i, o, k, _ in convolutions("rcan-bl", 2)]
    ternary = sum(-(-i * k * k * o // 4) + -(-o * o // 4) for i, o, k in shapes)
    floats = sum(2 * o for _, o, _ in shapes) + 10 * (2 * 64 * 4 + 64 + 4)
    assert form["stored"] == ternary + 4 * floats
    for name, is_told in (("rcan-bl-ternary-r1", True), ("rcan-bl", False)):
        text = CliRunner().invoke(cli.cli, ["profile", name, "--size", "64x64"]).stdout
        assert ("multiplications" in text) == is_told
