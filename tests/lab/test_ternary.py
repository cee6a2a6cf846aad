"""Networks of ternary weights: what is in them, their two forms, and the files they are kept in."""

import onnx
import pytest
import safetensors.torch
import torch
from onnxruntime import InferenceSession
from ternary_networks import SMALL, on_meta, small
from torch import nn

from leansr import zoo
from leansr.errors import UsageError, WeightsError
from leansr.lab.export.onnx_graph import to_onnx
from leansr.lab.measure.certificate import certificate, with_nothing_zero
from leansr.lab.nets import build
from leansr.lab.nets.collapse import is_deployed
from leansr.lab.nets.rcan import ChannelAttention
from leansr.lab.quantize.sum_product import SumProductConv2d, TernaryConv2d
from leansr.lab.quantize.ternary import Ternary
from leansr.lab.weights import open_network

ROWS = [(v.name, s) for v in zoo.VARIANTS.values() if v.family == "ternary" for s in v.scales]


@pytest.mark.parametrize(("name", "scale"), ROWS)
def test_what_is_ternary_in_a_row(name, scale):
    """Every convolution but attention's, at the row's rank; what else there is stays."""
    variant = zoo.find(name, scale)
    network, of = on_meta(name, scale), on_meta(variant.arguments["of"], scale)
    attention = [m for m in of.modules() if isinstance(m, ChannelAttention)]
    kept = {m for one in attention for m in one.modules()}
    expected = [
        (m.in_channels, m.out_channels, m.kernel_size[0])
        for m in of.deploy().modules()
        if isinstance(m, nn.Conv2d)
    ]
    made = [m for m in network.modules() if isinstance(m, SumProductConv2d)]
    assert len(made) == len(expected) - sum(isinstance(m, nn.Conv2d) for m in kept)
    for layer in made:
        shape = layer.features.in_channels, layer.mix.out_channels, layer.features.kernel_size[0]
        assert shape in expected
        assert layer.vector.numel() == variant.arguments["rank"] * layer.mix.out_channels
    deployed = network.deploy()
    assert is_deployed(deployed)
    assert not is_deployed(network)
    assert sum(isinstance(m, TernaryConv2d) for m in deployed.modules()) == 2 * len(made)
    assert sum(isinstance(m, ChannelAttention) for m in deployed.modules()) == len(attention)


@pytest.mark.parametrize("of", ["rcan-bl", "sesr-m5"])
@pytest.mark.parametrize("space", ["ternary", "fixed"])
@pytest.mark.parametrize("groups", [1, 4])
def test_the_two_forms_are_equal(of, space, groups):
    changes = SMALL if of == "rcan-bl" else {"blocks": 2}
    network = with_nothing_zero(small(space, of=of, groups=groups, changes=changes))
    assert certificate(network, zoo.find(of, 2), 2).holds


def test_groups_are_where_channels_can_be_shared_out():
    layers = [m for m in small(groups=4).modules() if isinstance(m, SumProductConv2d)]
    found = [layer.features.groups for layer in layers]
    # Not the first with its three colours, nor the last with six maps for three.
    assert (found[0], found[-1]) == (1, 1)
    assert set(found[1:-1]) == {4}
    assert {layer.mix.groups for layer in layers} == {1}


@pytest.mark.parametrize("of", ["bsrn", "fsrcnn", "sesr-m5-ternary-r1"])
def test_what_has_no_sum_product_form(of):
    with pytest.raises(ValueError, match="has no sum-product form"):
        Ternary(of=of, rank=1, scale=2)


def test_what_is_wrong_with_changes():
    with pytest.raises(UsageError, match="did you mean channels"):
        small(changes={"chanels": 8})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["network.head.features.weight", "network.tail.vector"])
def test_weights_that_are_not_finite_are_named(name, value):
    network = small()
    with torch.no_grad():
        network.get_parameter(name).view(-1)[3] = value
    with pytest.raises(WeightsError, match=f"^{name}: has weights that are not finite"):
        network.deploy()


def test_the_graph_holds_integers_and_runs_equal():
    variant = zoo.find("rcan-bl-ternary-r2", 2)
    # The exporter makes floats of what is smaller.
    changes = SMALL | {"channels": 32}
    network = with_nothing_zero(small(changes=changes)).deploy()
    model = to_onnx(network, variant, 2)
    session = InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    lr = torch.rand(1, 3, 13, 22)
    (found,) = session.run(["sr"], {"lr": lr.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(found), network(lr), rtol=1e-4, atol=1e-4)
    kinds = {tensor.data_type for tensor in model.graph.initializer if len(tensor.dims) == 4}
    assert onnx.TensorProto.INT8 in kinds


@pytest.mark.parametrize("name", ["rcan-bl-ternary-r1", "sesr-m5-ternary-r2"])
def test_a_file_of_the_deploy_form_is_two_bits_a_weight(tmp_path, name):
    variant = zoo.find(name, 2)
    torch.manual_seed(0)
    deployed = build(variant, 2).deploy()
    path = tmp_path / "ternary.safetensors"
    state = deployed.state_dict()
    safetensors.torch.save_file(state, path, {"variant": name, "scale": "2"})
    network, _, _ = open_network(path)
    lr = torch.rand(1, variant.channels, 9, 7)
    with torch.no_grad():
        assert torch.equal(network(lr), deployed(lr))
    count = sum(m.weight.numel() for m in deployed.modules() if isinstance(m, TernaryConv2d))
    packed = sum(t.nbytes for t in state.values() if t.dtype == torch.uint8)
    assert count / 4 <= packed < count / 4 + 2 * len(state)
    damaged = state | {next(n for n, t in state.items() if t.dtype == torch.uint8): torch.zeros(3)}
    safetensors.torch.save_file(damaged, path, {"variant": name, "scale": "2"})
    with pytest.raises(WeightsError, match=r"is \(3,\), not"):
        open_network(path)
