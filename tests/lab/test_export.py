import json
import re

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from run_folders import add_weights

from leansr import Upscaler, zoo
from leansr.errors import DataError, ExportError, PictureError, WeightsError
from leansr.lab import weights as weights_file
from leansr.lab.export import onnx_graph
from leansr.lab.export.agreement import agreement
from leansr.lab.export.graph import halo
from leansr.lab.export.onnx_graph import to_onnx
from leansr.lab.export.release import export
from leansr.lab.nets import build
from leansr.lab.train.trainer import Run
from leansr.lab.weights import open_network
from leansr.zoo.release import every_release, releases

SMALL = [("sesr-m3", 2), ("sesr-m3", 4), ("sesr-m5-hw", 2)]


def deployed(name, scale, seed=0):
    torch.manual_seed(seed)
    network = build(zoo.find(name, scale), scale)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(torch.randn_like(p) * 0.05)
    return network.deploy()


@pytest.mark.parametrize(("name", "scale"), SMALL)
def test_graph_is_small_and_says_its_geometry(name, scale):
    variant = zoo.find(name, scale)
    network = deployed(name, scale)
    model = to_onnx(network, variant, scale)
    operations = {node.op_type for node in model.graph.node}
    assert operations <= {"Sub", "Conv", "Mul", "Abs", "Add", "Relu", "DepthToSpace", "Constant"}
    facts = {p.key: p.value for p in model.metadata_props}
    blocks = variant.arguments["blocks"]
    assert facts["leansr.halo"] == str(2 + blocks + 2)


@pytest.mark.parametrize("name", ["sesr-m3", "fmen-s", "fsrcnn"])
def test_halo_is_the_reach_of_the_gradient(name):
    """From the other side: which input pixels move an output pixel."""
    variant = zoo.find(name, 2)
    network = deployed(name, 2).double()
    with torch.no_grad():
        for p in network.parameters():
            # Means, so that nothing is switched off, cancels, or saturates.
            p.copy_(torch.full_like(p, 0.1 if p.ndim == 1 else 1 / p[0].numel()))
    lr = torch.rand(1, variant.channels, 121, 121, dtype=torch.float64, requires_grad=True)
    network(lr)[0, 0, 120:122, 120:122].sum().backward()
    reached = lr.grad.abs().sum(dim=(0, 1)).nonzero()
    reach = halo(onnx_graph.traced(network.float(), variant.channels))
    assert reached.min() == 60 - reach
    assert reached.max() == 60 + reach


def graph_of(nodes, weights):
    lr = helper.make_tensor_value_info("lr", TensorProto.FLOAT, [1, 1, "h", "w"])
    sr = helper.make_tensor_value_info("sr", TensorProto.FLOAT, [1, 1, "H", "W"])
    tensors = [
        helper.make_tensor(name, TensorProto.FLOAT, shape, np.zeros(int(np.prod(shape))))
        for name, shape in weights.items()
    ]
    return helper.make_model(helper.make_graph(nodes, "test", [lr], [sr], tensors))


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        # One LR pixel, then three pixels at twice the resolution.
        (
            [
                helper.make_node("Conv", ["lr", "a"], ["x"], pads=[1] * 4),
                helper.make_node("DepthToSpace", ["x"], ["y"], blocksize=2),
                helper.make_node("Conv", ["y", "b"], ["sr"], pads=[3] * 4, dilations=[3, 3]),
            ],
            3,
        ),
        # Shifted: all that it sees lies after its place.
        ([helper.make_node("Conv", ["lr", "b"], ["sr"], pads=[0, 0, 2, 2])], 2),
        ([helper.make_node("MaxPool", ["lr"], ["sr"], kernel_shape=[5, 5], pads=[2] * 4)], 2),
        # Padded beside the convolution, which then sees what it would have seen.
        (
            [
                helper.make_node("Pad", ["lr", "pads"], ["x"], mode="reflect"),
                helper.make_node("Conv", ["x", "b"], ["sr"]),
            ],
            1,
        ),
        # Each pixel of a fourfold picture comes from nine fourths of pixels around.
        ([helper.make_node("ConvTranspose", ["lr", "c"], ["sr"], strides=[4, 4], pads=[4] * 4)], 1),
        ([helper.make_node("ReduceMean", ["lr"], ["sr"])], None),
        ([helper.make_node("Conv", ["lr", "b"], ["sr"], strides=[2, 2])], None),
        ([helper.make_node("Resize", ["lr", "", "", "size"], ["sr"], mode="linear")], None),
    ],
)
def test_halo_of_a_graph(nodes, expected):
    weights = {"a": (4, 1, 3, 3), "b": (1, 1, 3, 3), "c": (1, 1, 9, 9)}
    model = graph_of(nodes, weights)
    pads = np.array([0, 0, 1, 1, 0, 0, 1, 1])
    model.graph.initializer.append(numpy_helper.from_array(pads, "pads"))
    assert halo(model) == expected


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([helper.make_node("Softmax", ["lr"], ["sr"])], "Softmax: its reach is not known"),
        ([helper.make_node("Conv", ["lr", "a"], ["sr"], auto_pad="SAME_UPPER")], "by a rule"),
        ([helper.make_node("Concat", ["lr", "lr"], ["sr"], axis=2)], "more than channels"),
        (
            [
                helper.make_node("DepthToSpace", ["lr"], ["x"], blocksize=2),
                helper.make_node("Add", ["lr", "x"], ["sr"]),
            ],
            "2 resolutions",
        ),
    ],
)
def test_unknown_operations_are_errors(nodes, words):
    with pytest.raises(ExportError, match=words):
        halo(graph_of(nodes, {"a": (1, 1, 3, 3)}))


def test_training_form_is_refused():
    variant = zoo.find("sesr-m3", 2)
    with pytest.raises(ExportError, match="training form"):
        to_onnx(build(variant, 2, space="collapsed"), variant, 2)


def test_nan_on_one_shape_is_not_lost():
    network = deployed("sesr-m3", 2)
    model = to_onnx(network, zoo.find("sesr-m3", 2), 2)
    calls = []

    def once(lr):
        calls.append(lr.shape)
        return network(lr) * (float("nan") if len(calls) == 2 else 1)

    found = agreement(model, once, 1)
    assert np.isnan(found.difference)
    assert not found.holds
    assert len(set(calls)) > 2


@pytest.mark.parametrize("fault", [1e-3, float("nan")])
def test_a_graph_that_differs_is_not_written(monkeypatch, fault):
    variant = zoo.find("sesr-m3", 2)
    network = deployed("sesr-m3", 2)
    other = deployed("sesr-m3", 2)
    with torch.no_grad():
        other.last.bias += fault
    true = onnx_graph.traced
    # The graph of another network in place of this one's.
    monkeypatch.setattr(onnx_graph, "traced", lambda _, *given: true(other, *given))
    with pytest.raises(ExportError, match="differs from torch"):
        to_onnx(network, variant, 2)


def test_release_of_a_run(tmp_path, pictures_folder, tiny, photo):
    """From pictures to an upscaled array: train, export, upscale; and what the card says."""
    Run(tiny, tmp_path / "run", pictures_folder, report=lambda line: None).train()
    weights = tmp_path / "run" / "weights.safetensors"
    target = tmp_path / "out" / "sesr-m3_x2.onnx"
    (tmp_path / "bench").mkdir()
    (pictures_folder / "a.png").rename(tmp_path / "bench" / "a.png")
    (tmp_path / "bench").rename(tmp_path / "HR")
    card = export(weights, "sesr-m3", 2, target, {"own": tmp_path}, "CC0")
    assert sorted(p.suffix for p in target.parent.iterdir()) == [".json", ".onnx", ".safetensors"]
    assert json.loads(target.with_suffix(".json").read_text()) == card
    assert card.keys() == releases()["sesr-m5", 2].card.keys()
    assert card["quality"][0]["protocol"]["images"] == 1
    assert card["training"]["recipe"]["variant"] == "sesr-m3"
    assert card["licence"] == "CC0"
    for path in target.parent.iterdir():
        assert not re.search(rb"\.py\b|/home|/root|/tmp|site-packages", path.read_bytes())
    assert card["multi_adds"] == card["conv_weights"] * 640 * 360
    sr = Upscaler("sesr-m3", 2, weights=target)(photo[:20, :20])
    assert sr.shape == (40, 40, 3)
    network = build(zoo.find("sesr-m3", 2), 2)
    network.load_state_dict(safetensors.torch.load_file(target.with_suffix(".safetensors")))


def test_what_cannot_be_released_leaves_nothing(tmp_path, tiny, photo):
    path = add_weights(tmp_path, tiny)
    (tmp_path / "empty").mkdir()
    (tmp_path / "partly").mkdir()
    Image.fromarray(photo[:40, :40]).save(tmp_path / "partly" / "a.png")
    (tmp_path / "partly" / "b.png").write_text("no picture")
    for model, name, folder, error, words in (
        ("sesr-m5", "a.onnx", None, WeightsError, "is sesr-m3 x2, not sesr-m5 x2"),
        ("sesr-m3", "a.pt", None, ExportError, r"FILE\.onnx"),
        ("sesr-m3", "a.onnx", tmp_path / "empty", DataError, "has no pictures"),
        ("sesr-m3", "a.onnx", tmp_path / "partly", PictureError, r"b\.png: is not a picture"),
    ):
        benchmarks = {"own": folder} if folder else {}
        with pytest.raises(error, match=words):
            export(path, model, 2, tmp_path / name, benchmarks, "CC0")
    safetensors.torch.save_file(weights_file.read_tensors(path), path)
    with pytest.raises(WeightsError, match="was written neither by"):
        export(path, "sesr-m3", 2, tmp_path / "a.onnx", {}, "CC0")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "partly", "weights.safetensors"]


@pytest.mark.parametrize("release", every_release(), ids=lambda r: r.onnx.stem)
def test_released_tensors_and_graph_are_one_network(release):
    network, _, _ = open_network(release.tensors)
    model = onnx.load(release.onnx)
    channels = zoo.find(release.variant, release.scale).channels
    smallest = zoo.find(release.variant, release.scale).smallest
    assert agreement(model, network, channels, smallest).holds
    assert halo(model) == release.card["halo"]
