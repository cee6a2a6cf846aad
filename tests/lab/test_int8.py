"""Networks of eight bits: what they hold, what they simulate, and the files that run so."""

from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from leansr import zoo
from leansr.errors import DataError, UsageError, WeightsError
from leansr.lab.export import agreement as agreements
from leansr.lab.export.agreement import agreement
from leansr.lab.export.onnx_graph import to_onnx, traced
from leansr.lab.export.whole_prelu import WholePReLU
from leansr.lab.nets import as_drawn, build, changed
from leansr.lab.nets.collapse import is_deployed
from leansr.lab.quantize import calibration
from leansr.lab.quantize.calibration import calibrate, in_floats
from leansr.lab.quantize.fake import fake
from leansr.lab.quantize.int8 import Int8
from leansr.lab.train.pictures import load
from leansr.lab.weights import load_strictly, read_tensors
from leansr.zoo import int8
from leansr.zoo.costs import costs
from leansr.zoo.release import release_of

SLOW = pytest.mark.slow
METHODS = ("minmax", "percentile", "mse")
# Small ones of every family, as rows of the same networks: all of their operations, once.
TINY = {
    "rcan-bl": {"groups": 1, "blocks": 1, "channels": 8, "reduction": 4},
    "fmen": {"channels": 8, "attention_channels": (4, 4), "attention_blocks": (1, 1)},
    "bsrn": {"channels": 16, "blocks": 1},
    "mdrn": {"channels": 16, "blocks": 1},
}


def started(of, scale=2, seed=0, channels=1, method="minmax", **arguments):
    """A network of random weights, none of them zero, calibrated on noise."""
    torch.manual_seed(seed)
    network = Int8(of=of, **{"scheme": "sesr", "scale": scale, **arguments})
    with torch.no_grad():
        for name, p in network.named_parameters():
            if not name.startswith("ranges."):
                p.add_(torch.randn_like(p) * 0.05)
    calibrate(network, [torch.rand(2, channels, 24, 20)], method)
    return network


def tiny(monkeypatch, of, **arguments):
    own = zoo.VARIANTS[of]
    scale = own.scales[-1]
    # The same row with less of everything.
    row = replace(own, name="tiny", arguments=TINY[of])
    monkeypatch.setitem(zoo.VARIANTS, "tiny", row)
    return started("tiny", scale, channels=3, **arguments), row, scale


@pytest.mark.parametrize("row", int8.ROWS, ids=lambda row: row.name)
def test_rows_cost_what_their_networks_in_floats_do(row):
    of = zoo.VARIANTS[row.arguments["of"]]
    assert (row.scales, row.colour, row.smallest) == (of.scales, of.colour, of.smallest)
    for scale in row.scales:
        ours, own = (costs()[name, scale] for name in (row.name, of.name))
        assert (ours.params, ours.conv_weights) == (own.params, own.conv_weights)
        assert ours.multi_adds == own.multi_adds


@pytest.mark.parametrize("of", ["sesr-m3", "rcan-bl", "fmen-s", "bsrn-s", "mdrn-s"])
def test_tensors_are_those_of_the_network_and_ranges(of):
    row = zoo.VARIANTS[of]
    own = build(row, row.scales[-1]).deploy().state_dict()
    network = build(zoo.VARIANTS[f"{of}-int8"], row.scales[-1])
    load_strictly(network, network.adopted(own), of)
    found = network.state_dict()
    assert {name for name in found if not name.startswith("ranges.")} == set(own)
    assert all(torch.equal(found[name], tensor) for name, tensor in own.items())
    # Of its own, nothing is added.
    assert network.adopted(found).keys() == found.keys()


@pytest.mark.parametrize("of", ["sesr-m3", "bsrn-s", "fmen-s"])
def test_weights_of_the_training_form_are_collapsed(of):
    row = zoo.VARIANTS[of]
    torch.manual_seed(0)
    drawn = as_drawn(row, 4)
    network = build(zoo.VARIANTS[f"{of}-int8"], 4)
    load_strictly(network, network.adopted(drawn.state_dict()), of)
    found = network.state_dict()
    for name, tensor in drawn.deploy().state_dict().items():
        assert torch.equal(found[name], tensor)


@pytest.mark.parametrize("scheme", ["study", "sesr"])
@pytest.mark.parametrize("space", ["direct", "collapsed"])
def test_the_simulation_is_the_integer_form_to_the_bit(scheme, space):
    network = started("sesr-m3", scheme=scheme, space=space).eval()
    before = {name: t.clone() for name, t in network.state_dict().items()}
    deployed = network.deploy()
    assert is_deployed(deployed)
    assert not is_deployed(network)
    lr = torch.rand(2, 1, 17, 30)
    # The collapsed kernels themselves are computed in another order.
    assert (network(lr) - deployed(lr)).abs().max() <= (0 if space == "direct" else 0.02)
    assert torch.equal(deployed.deploy()(lr), deployed(lr))
    assert all(torch.equal(t, before[name]) for name, t in network.state_dict().items())
    whole = [m.weight.dtype for m in deployed.modules() if isinstance(m, torch.nn.Conv2d)]
    assert set(whole) == {torch.uint8 if scheme == "study" else torch.int8}
    # And it is not the network in floats.
    with in_floats(network):
        assert not torch.equal(network(lr), deployed(lr))


def test_in_floats_it_is_the_network_itself():
    of = build(zoo.VARIANTS["sesr-m3"], 2).deploy()
    network = Int8(of="sesr-m3", scheme="sesr", scale=2).eval()
    load_strictly(network, network.adopted(of.state_dict()), "sesr-m3")
    lr = torch.rand(1, 1, 20, 21)
    with in_floats(network):
        assert torch.equal(network(lr), of(lr))
    assert not torch.equal(network(lr), of(lr))


def test_gradients_reach_expanded_weights_and_ranges():
    """The kernels' fake quantisers sit after the collapse."""
    network = started("sesr-m3", space="collapsed")
    lr, hr = torch.rand(2, 1, 12, 12), torch.rand(2, 1, 24, 24)
    (network(lr) - hr).abs().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert network.first.expand.weight.grad.abs().sum() > 0
    assert network.range("add").high.grad != 0


def test_ranges_start_from_the_first_batch_once():
    network = Int8(of="sesr-m3", scheme="sesr", scale=2)
    lr = torch.rand(2, 1, 12, 12)
    network.prepare(lr)
    ends = network.range("lr").low, network.range("lr").high
    first = [end.item() for end in ends]
    assert first == pytest.approx([0, float(lr.max())], abs=0.02)
    network.prepare(2 * lr)
    assert [end.item() for end in ends] == first


@pytest.mark.parametrize("scheme", ["study", "sesr"])
def test_training_goes_through_it(scheme):
    network = started("sesr-m3", scheme=scheme)
    lr = torch.rand(8, 1, 12, 12)
    hr = torch.nn.functional.interpolate(lr, scale_factor=2, mode="bilinear")
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    losses = []
    for _ in range(30):
        loss = (network(lr) - hr).abs().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    network.eval()
    assert torch.equal(network.deploy()(lr), network(lr))


def test_layers_that_are_kept_stay_in_floats():
    network = started("sesr-m3", keep=("body.0", "add_1"), space="collapsed")
    deployed = network.deploy()
    assert is_deployed(deployed)
    assert deployed.body[0].weight.dtype == torch.float32
    assert deployed.last.weight.dtype == torch.int8
    assert "add_1" not in network.ranges
    assert network.layers["body.0"] == ()
    lr = torch.rand(1, 1, 20, 20)
    assert (network.eval()(lr) - deployed(lr)).abs().max() < 0.02


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"of": "sesr-m3", "keep": ("body.9",)}, "body.9: no layer of that name; there are first,"),
        ({"of": "sesr-m3-int8"}, "sesr-m3-int8: is of eight bits already"),
        ({"of": "fsrcnn"}, r"upscale \(ConvTranspose2d\): has no form of eight bits"),
        ({"of": "rcan-bl-e"}, r"is applied more than once, .* in floats, by --keep "),
        ({"of": "rcan-bl", "space": "collapsed"}, "rcan-bl: there is no space collapsed"),
        ({"of": "sesr-m4"}, "no such variant"),
    ],
)
def test_what_has_no_form_of_eight_bits(arguments, told):
    with pytest.raises(UsageError, match=told):
        Int8(**{"scheme": "sesr", "scale": 2, **arguments})


def test_a_layer_that_is_applied_twice_can_stay_in_floats():
    given = {"of": "rcan-bl-e", "scheme": "sesr", "scale": 2}
    keep = []
    while True:
        try:
            network = Int8(**given, keep=keep).eval()
            break
        except UsageError as told:
            keep.append(str(told).partition(":")[0])
    assert all(network.layers[name] == () for name in keep)
    assert len(network.sources) > 0
    calibrate(network, [torch.rand(1, 3, 16, 16)], "minmax")
    lr = torch.rand(1, 3, 12, 12)
    assert torch.equal(network.deploy()(lr), network(lr))


def test_rows_take_their_arguments():
    row = zoo.VARIANTS["sesr-m3-int8"]
    with pytest.raises(UsageError, match="scheme is one of study, sesr"):
        changed(row, {"scheme": "other"})
    assert build(changed(row, {"scheme": "study"}), 2).scheme.is_per_channel is False


def opened(model, fused=None):
    """A session of a graph; what ONNX Runtime makes of it is written to `fused`."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns that what it writes is of this machine
    if fused is not None:
        options.optimized_model_filepath = str(fused)
    content = model.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def operations(model, path):
    """The operations that ONNX Runtime makes of a graph."""
    opened(model, path)
    return Counter(node.op_type for node in onnx.load(path).graph.node)


def without_moves(counts):
    return {name: n for name, n in counts.items() if name not in ("Transpose", "DepthToSpace")}


def test_a_file_that_runs_in_integers(exported, tmp_path):
    _, model = exported
    facts = {p.key: p.value for p in model.metadata_props}
    assert facts["leansr.variant"] == "sesr-m3-int8"
    # That of the network in floats.
    assert facts["leansr.halo"] == "7"
    # In at the front, out at the end; the shift of the input is in floats.
    assert without_moves(operations(model, tmp_path / "fused.onnx")) == {
        **{"Sub": 1, "QuantizeLinear": 2, "DequantizeLinear": 1},
        # Of each PReLU x and slope * x, and the larger of them.
        **{"QLinearConv": 5 + 3 * 2, "Max": 3, "QLinearAdd": 2},
    }
    types = Counter(tensor.data_type for tensor in model.graph.initializer)
    assert types[onnx.TensorProto.INT8] >= 5


@pytest.mark.parametrize("scheme", ["study", "sesr"])
def test_prelu_in_whole_numbers_is_prelu(scheme):
    """All that a grid's 256 levels can be, by slopes of either sign, and by none above 1 else."""
    torch.manual_seed(0)
    slopes = torch.cat([torch.randn(29).clamp(max=1), torch.tensor([0.0, 1.0, -1.0])])
    network = started("sesr-m3", scheme=scheme).deploy()
    source, grid = network.ranges["body_0"], network.ranges["body_1"]
    x = (torch.arange(256) - source.zero.float()) * source.scale
    x = x.view(1, 1, 16, 16).expand(1, 32, 16, 16)
    wanted = grid(torch.nn.functional.prelu(x, slopes))
    apart = ((WholePReLU(slopes, grid)(x) - wanted) / grid.scale).abs().round()
    # Factors are told in 127 parts of themselves, to 7 digits: halves may go either way.
    assert apart.max() <= 1
    assert apart.count_nonzero() <= 2e-3 * apart.numel()


def test_slopes_above_one_stay_prelu(tmp_path):
    network = started("sesr-m3").deploy()
    with torch.no_grad():
        network.body[1].weight[3] = 1.25
    found = operations(to_onnx(network, zoo.VARIANTS["sesr-m3-int8"], 2), tmp_path / "fused.onnx")
    assert (found["Max"], found["Abs"]) == (2, 1)


@pytest.mark.parametrize("scheme", ["study", "sesr"])
def test_without_prelu_all_of_it_is_whole_numbers(tmp_path, scheme):
    network = started("sesr-m3-hw", scheme=scheme).deploy()
    model = to_onnx(network, replace(zoo.VARIANTS["sesr-m3-int8"], name="hw"), 2)
    assert without_moves(operations(model, tmp_path / "fused.onnx")) == {
        **{"Sub": 1, "QuantizeLinear": 1, "DequantizeLinear": 1},
        **{"QLinearConv": 5, "QLinearAdd": 1},
    }


@pytest.mark.parametrize(
    "of", [name if name in ("rcan-bl", "fmen") else pytest.param(name, marks=SLOW) for name in TINY]
)
def test_every_family_runs_as_it_is_simulated(tmp_path, monkeypatch, of):
    network, row, scale = tiny(monkeypatch, of)
    deployed = network.eval().deploy()
    model = to_onnx(deployed, replace(row, name="tiny-int8"), scale)
    found = operations(model, tmp_path / "fused.onnx")
    assert found["QLinearConv"] == len(network.sources)
    # The colours' mean, where it is added at the end.
    assert (found["Conv"], found["Add"]) == (0, 1 if of in ("rcan-bl", "mdrn") else 0)
    lr = torch.rand(1, 3, 21, 19)
    assert torch.equal(network(lr), deployed(lr))


@pytest.fixture(scope="module")
def exported():
    """SESR-M3 x2 in its integer form, and its graph; not to be changed."""
    network = started("sesr-m3").deploy()
    return network, to_onnx(network, zoo.VARIANTS["sesr-m3-int8"], 2)


def test_an_export_of_other_levels_is_not_equal(exported):
    _, model = exported
    other = started("sesr-m3").deploy()
    with torch.no_grad():
        other.ranges["body_2"].scale *= 1.02
    found = agreement(model, other, 1)
    assert not found.holds
    assert f"rounds {found.on_other} of {found.rounded} values otherwise" in found.told


def test_the_file_itself_is_held_to_what_was_compared(exported, monkeypatch):
    """As it is written, in a session of its own: here one of another network."""
    network, model = exported
    assert agreement(model, network, 1).shipped == 0
    wrong, true = traced(started("sesr-m3", seed=1).deploy(), 1), agreements._session
    monkeypatch.setattr(
        agreements, "_session", lambda one: true(one if len(one.graph.output) > 1 else wrong)
    )
    found = agreement(model, network, 1)
    assert not found.holds
    assert "the file is more than a level from what it rounds, step by step, on " in found.told


def ranged(x, method):
    """The ends for values that the network sees as its input."""
    network = Int8(of="sesr-m3", scheme="sesr", scale=2)
    calibrate(network, [x, x[:, :, :32]], method)
    found = network.range("lr")
    return found.low.detach(), found.high.detach()


def test_ranges_of_the_three_methods():
    torch.manual_seed(0)
    x = torch.randn(1, 1, 512, 512) ** 3  # outliers, and most values near zero
    ends = {method: ranged(x, method) for method in METHODS}
    assert ends["minmax"] == (x.min(), x.max())
    beyond = {m: (x < low).sum() + (x > high).sum() for m, (low, high) in ends.items()}
    assert beyond["minmax"] == 0
    # 1e-5 of the values on either side, to a bin of the histogram.
    assert 0 < beyond["percentile"] <= 3e-5 * x.numel()
    assert beyond["mse"] > beyond["percentile"]
    # From the values themselves, not from their histogram.
    lost = {m: (fake(x, low, high) - x).square().mean() for m, (low, high) in ends.items()}
    assert lost["mse"] <= min(lost["percentile"], 0.9 * lost["minmax"])
    low, high = ends["mse"]
    for other in ((low * 1.4, high), (low * 0.6, high), (low, high * 1.4), (low, high * 0.6)):
        assert lost["mse"] < (fake(x, *other) - x).square().mean()


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_picture_gives_ranges(method):
    network = Int8(of="sesr-m3", scheme="sesr", scale=2)
    grey = torch.full((1, 1, 16, 16), 0.5)
    calibrate(network, [grey], method)
    # What is zero throughout, lr - 0.5, has a grid too.
    assert network.eval()(grey).isfinite().all()
    assert torch.equal(network.deploy()(grey), network(grey))


@pytest.mark.parametrize("name", ["body.2.weight", "ranges.add.high"])
def test_what_is_not_finite_has_no_integer_form(name):
    network = started("sesr-m3")
    with torch.no_grad():
        network.state_dict()[name].fill_(float("nan"))
    with pytest.raises(WeightsError, match=f"{name}: has weights that are not finite"):
        network.deploy()


def test_what_ranges_cannot_be_taken_from():
    network = Int8(of="sesr-m3", scheme="sesr", scale=2)
    with pytest.raises(DataError, match="no pictures"):
        calibrate(network, [torch.zeros(0, 1, 4, 4)], "mse")
    with pytest.raises(DataError, match="no pictures"):
        calibrate(network, [], "mse")
    with torch.no_grad():
        network.body[2].weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(WeightsError, match="body_2: what the network computes there is not finite"):
        calibrate(network, [torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8)], "minmax")


def test_ranges_by_a_histogram_of_few_bins(monkeypatch):
    monkeypatch.setattr(calibration, "_BINS", 16)
    network = Int8(of="sesr-m3", scheme="sesr", scale=2)
    batches = [torch.rand(1, 1, 8, 8) for _ in range(3)]
    calibrate(network, batches, "percentile")
    assert float(network.range("lr").high.detach()) > 0.9


@pytest.mark.shared_data
@pytest.mark.parametrize("of", ["sesr-m5", "sesr-m11"])
def test_files_are_the_simulation_on_whole_pictures(shared_data, of):
    """Within a level of 255 on 999 pixels of a thousand, as they leave the network."""
    network = Int8(of=of, scheme="sesr", scale=2)
    tensors = read_tensors(release_of(of, 2).tensors)
    load_strictly(network, network.adopted(tensors), of)
    pairs = load(shared_data / "benchmarks" / "Set5" / "x2", 2, "y").pairs
    lrs = [
        torch.from_numpy(p.lrs[0].astype(np.float32) / 65535).movedim(-1, 0)[None] for p in pairs
    ]
    calibrate(network, lrs, "mse")
    network.eval()
    session = opened(to_onnx(network.deploy(), zoo.VARIANTS[f"{of}-int8"], 2))
    for lr in lrs:
        (ours,) = session.run(["sr"], {"lr": lr.numpy()})
        apart = np.abs(ours - network(lr).detach().numpy()) * 255
        assert (apart > 1).mean() <= 1e-3
