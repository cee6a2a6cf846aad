"""Cards: what papers print beside what we measure, how long it took, and where."""

import json
import struct

import pytest
import safetensors.torch
from PIL import Image
from run_folders import add_weights

from leansr import zoo
from leansr.lab import papers
from leansr.lab import weights as weights_file
from leansr.lab.export.card import printed
from leansr.lab.export.release import export
from leansr.lab.reproduce import measured
from leansr.zoo import release


@pytest.mark.parametrize(
    ("variant", "scale", "benchmark", "psnr", "ssim", "table"),
    [
        ("sesr-m5", 2, "Set5", 37.39, 0.9585, "SESR, Table 1"),
        ("sesr-xl", 4, "Set14", 28.12, 0.7712, "SESR, Table 2"),
        # Also in four ablations, with 32.33.
        ("mdrn", 4, "Set5", 32.35, 0.8970, "MDRN, Table 5"),
        ("bsrn-s", 4, "set5", 32.16, 0.8949, "BSRN, Table 5"),
        # An ablation alone.
        ("mdrn-no-esa", 4, "Urban100", 26.08, 0.7848, "MDRN, Table 2"),
        # A baseline that three of the papers print, SESR twice.
        ("fsrcnn", 2, "Set5", 37.00, 0.9558, "BSRN, Table 5"),
    ],
)
def test_what_papers_print(variant, scale, benchmark, psnr, ssim, table):
    found = {"psnr_y": psnr, "ssim_y": ssim, "table": table}
    assert printed(variant, scale, benchmark) == found


@pytest.mark.parametrize(
    ("variant", "scale", "benchmark"),
    [
        ("sesr-m5", 2, "validation"),
        ("sesr-m5", 3, "Set5"),
        # In RGB, which is not the card's figure.
        ("fmen-s", 4, "DIV2K"),
        ("fmen-s", 4, "Set5"),
    ],
)
def test_what_they_do_not_print(variant, scale, benchmark):
    assert printed(variant, scale, benchmark) is None


def test_every_network_has_the_figures_of_its_own_paper():
    count = 0
    for paper in papers.PAPERS:
        for row in papers.rows(paper):
            variant = zoo.VARIANTS.get(row["variant"])
            if variant is not None and variant.family == paper and row["set5_psnr"]:
                found = printed(variant.name, int(row["scale"]), "Set5")
                assert found["table"].startswith(papers.TITLES[paper])
                count += 1
    assert count > 60


@pytest.fixture
def flat(tmp_path, photo):
    """A folder of HR pictures, as validation pictures lie about, and what lies beside them."""
    folder = tmp_path / "flat"
    folder.mkdir()
    Image.fromarray(photo[:48, :60]).save(folder / "a.png")
    Image.fromarray(photo[60:108, :48]).save(folder / "b.png")
    (folder / "index.tsv").write_text("file\tsource\n")
    return folder


def exported(tmp_path, weights, benchmarks):
    target = tmp_path / "out" / "sesr-m3_x2.onnx"
    return export(weights, "sesr-m3", 2, target, benchmarks, "CC0"), target


def test_a_card_of_validation_pictures(tmp_path, tiny, flat):
    (tmp_path / "run").mkdir()
    weights = add_weights(tmp_path / "run", tiny, minutes=93.0, device="an abacus")
    card, target = exported(tmp_path, weights, {"Set5": flat, "validation": flat})
    set5, validation = card["quality"]
    assert set5["paper"] == {"psnr_y": 37.21, "ssim_y": 0.9577, "table": "SESR, Table 1"}
    assert (validation["benchmark"], validation["paper"]) == ("validation", None)
    assert validation["psnr_y"] == set5["psnr_y"]
    protocol = validation["protocol"]
    assert (protocol["resizer"], protocol["images"]) == ("by MATLAB's bicubic", 2)
    training = card["training"]
    assert (training["hours"], training["minutes"], training["device"]) == (1.55, 93.0, "an abacus")
    files = target, target.with_suffix(".safetensors")
    before = [path.read_bytes() for path in files]
    exported(tmp_path, weights, {})
    assert [path.read_bytes() for path in files] == before
    content = target.with_suffix(".safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    label = json.loads(content[8 : 8 + length])["__metadata__"]
    assert list(label.items()) == [("variant", "sesr-m3"), ("scale", "2"), ("colour", "y")]


def test_weights_of_a_version_that_did_not_name_the_device(tmp_path, tiny):
    (tmp_path / "run").mkdir()
    weights = add_weights(tmp_path / "run", tiny)
    with safetensors.safe_open(weights, "pt") as file:
        header = json.loads(file.metadata()["leansr"])
    del header["device"]
    # Keys of recipes that later versions know.
    for key in ("loss", "teacher", "finish", "network"):
        del header["recipe"][key]
    del header["recipe"]["schedule"]["name"]
    tensors = weights_file.read_tensors(weights)
    safetensors.torch.save_file(tensors, weights, {"leansr": json.dumps(header)})
    card, _ = exported(tmp_path, weights, {})
    assert card["training"]["device"] == ""
    assert card["training"]["hours"] == 1.5
    assert card["training"]["recipe"]["loss"]["name"] == "l1"


def test_old_and_new_cards_are_read(tmp_path, tiny, flat, monkeypatch):
    (tmp_path / "run").mkdir()
    weights = add_weights(tmp_path / "run", tiny)
    card, target = exported(tmp_path, weights, {"Set5": flat, "validation": flat})
    monkeypatch.setattr(release, "folder", lambda: target.parent)
    key = "sesr-m3", 2, "set5_psnr"
    new = measured.released()
    assert new.keys() == {key, ("sesr-m3", 2, "set5_ssim")}
    for row in card["quality"]:
        del row["paper"]
    for added in ("hours", "device"):
        del card["training"][added]
    target.with_suffix(".json").write_text(json.dumps(card))
    assert measured.released() == new
    assert release.release_of("sesr-m3", 2).psnr_y("validation") == new[key].value
