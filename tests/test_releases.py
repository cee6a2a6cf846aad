"""Every release is whole: files, hashes, metadata and card agree, and nothing else is in them."""

import hashlib
import json
import re
import struct

import numpy as np
import onnxruntime
import pytest

from leansr import zoo
from leansr.errors import WeightsError
from leansr.zoo.costs import costs
from leansr.zoo.release import KINDS, every_release, folder, release_of, releases, stem

# What a network of eight bits has beside its parameters.
GRID = re.compile(r"[._](scale|zero)$")
EACH = pytest.mark.parametrize("release", every_release(), ids=lambda r: r.onnx.stem)


@EACH
def test_files_are_those_of_the_card(release):
    for path, stated in ((release.onnx, "onnx"), (release.tensors, "tensors")):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == release.card[stated]["sha256"]
    assert release.kind in KINDS
    assert release.onnx.stem == stem(release.variant, release.scale, release.kind)
    assert release.card["schema"] == 1
    assert release.card["licence"]
    assert release.card["training"]["data_licence"] != "not stated"
    assert {row["benchmark"] for row in release.card["quality"]} >= {"Set5", "Set14"}


@EACH
def test_graph_says_what_it_is(release):
    session = onnxruntime.InferenceSession(release.onnx, providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    variant = zoo.find(release.variant, release.scale)
    assert facts == {
        "leansr.schema": "1",
        "leansr.variant": variant.name,
        "leansr.scale": str(release.scale),
        "leansr.colour": variant.colour,
        "leansr.halo": str(release.card["halo"]),
    }
    (lr,), (sr,) = session.get_inputs(), session.get_outputs()
    assert (lr.name, sr.name) == ("lr", "sr")
    assert all(isinstance(side, str) for side in lr.shape[2:])
    assert lr.shape[:2] == [1, 1 if variant.colour == "y" else 3]


@EACH
def test_tensors_are_the_convolutions(release):
    """The tensor file, read by hand: a length, a JSON header, raw values."""
    content = release.tensors.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    assert header.pop("__metadata__")["variant"] == release.variant
    quantized = release.card.get("quantized")
    if quantized:
        # Grids: no parameters of the network, whose counts are those in floats.
        header = {name: row for name, row in header.items() if not GRID.search(name)}
        of = zoo.find(release.variant, release.scale).arguments["of"]
        cost = costs()[of, release.scale]
        counts = [release.card[key] for key in ("params", "conv_weights", "multi_adds")]
        assert counts == [cost.params, cost.conv_weights, cost.multi_adds]
    kernels = {name: row for name, row in header.items() if len(row["shape"]) == 4}
    assert sum(np.prod(row["shape"]) for row in kernels.values()) == release.card["conv_weights"]
    assert sum(np.prod(row["shape"]) for row in header.values()) == release.card["params"]
    if not quantized:
        assert {row["dtype"] for row in header.values()} == {"F32"}
        return
    whole = {"sesr": "I8", "study": "U8"}[quantized["scheme"]]
    for name, row in kernels.items():
        in_floats = name.removesuffix(".weight") in quantized["in_floats"]
        bias = header.get(f"{name.removesuffix('weight')}bias", {"dtype": None})["dtype"]
        assert row["dtype"] == ("F32" if in_floats else whole)
        assert bias in (None, "F32" if in_floats else "I32")


@EACH
def test_eight_bits_say_what_they_lost(release):
    quantized = release.card.get("quantized")
    assert (quantized is not None) == (zoo.find(release.variant, release.scale).dtype == "int8")
    if quantized is None:
        return
    assert quantized["method"] in ("ptq", "qat")
    own = zoo.find(release.variant, release.scale).arguments["of"]
    floats = release_of(own, release.scale, release.kind)
    assert quantized["start_sha256"] == floats.card["tensors"]["sha256"]
    assert quantized["floats"]["release"] == floats.onnx.stem
    stated = {row["benchmark"]: row for row in quantized["floats"]["quality"]}
    assert stated.keys() == {row["benchmark"] for row in release.card["quality"]}
    for row in release.card["quality"]:
        before = floats.psnr_y(row["benchmark"])
        assert stated[row["benchmark"]]["psnr_y"] == before
        assert stated[row["benchmark"]]["drop"] == pytest.approx(before - row["psnr_y"])


@EACH
def test_no_path_of_any_machine(release):
    for path in (release.onnx, release.tensors, release.onnx.with_suffix(".json")):
        assert not re.search(rb"\.py\b|/home|/root|/tmp|site-packages|\.\./", path.read_bytes())


def test_no_stray_files():
    known = {p for r in every_release() for p in (r.onnx, r.tensors)}
    assert sum(len(releases(kind)) for kind in KINDS) == len(every_release())
    assert {p for p in folder().iterdir() if p.suffix in (".onnx", ".safetensors")} == known


def test_unreleased_is_an_error():
    with pytest.raises(WeightsError, match="has no released weights"):
        release_of("sesr-m5", 3)
    with pytest.raises(WeightsError, match="has no photo weights"):
        release_of("sesr-m5", 3, "photo")


@pytest.mark.parametrize("kind", KINDS)
def test_no_release_is_beaten_in_quality_and_in_cost(kind):
    """By another one of its scale; quality on the validation pictures, which chose the weights.

    Eight bits are judged among themselves: what they save is not Multi-Adds, of which the network
    in floats has as many, and it is a little better.
    """

    def worth(release):
        return release.psnr_y("validation"), -release.card["multi_adds"]

    for (name, scale), release in releases(kind).items():
        others = [
            r
            for (other, at), r in releases(kind).items()
            if at == scale
            and other != name
            and ("quantized" in r.card) == ("quantized" in release.card)
        ]
        beaten_by = [r.variant for r in others if all(np.greater_equal(worth(r), worth(release)))]
        assert beaten_by == [], name
