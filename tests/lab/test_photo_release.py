"""What `leansr export` makes of photo weights, and of a network that is not the variant's."""

import json
from pathlib import Path

import msgspec
import pytest
from run_folders import add_weights

from leansr.errors import ExportError
from leansr.lab.export.release import export
from leansr.lab.train.degradation import CONDITIONS
from leansr.lab.train.recipe import Data, weights_file
from leansr.runtime.choice import PHOTO_QUALITY, Upscalers
from leansr.zoo import release
from leansr.zoo.release import every_release, releases, stem

MEASURED = Path(__file__).parents[2] / "docs" / "measured" / "photos.json"


def test_the_recipe_decides_the_kind(tmp_path, tiny, monkeypatch):
    data = {"clean": tiny.data, "photo": Data(lr_crop=8, batch=2, degradation="photo", versions=2)}
    folder = tmp_path / "releases"
    for kind, each in data.items():
        weights = add_weights(tmp_path, msgspec.structs.replace(tiny, data=each))
        target = folder / f"{stem('sesr-m3', 2, kind)}.onnx"
        card = export(weights, "sesr-m3", 2, target, {}, "CC0")
        assert card["input"] == kind
        assert json.loads(target.with_suffix(".json").read_text())["input"] == kind
    monkeypatch.setattr(release, "folder", lambda: folder)
    assert [r.onnx.stem for r in every_release()] == ["sesr-m3-photo_x2", "sesr-m3_x2"]
    assert all(releases(kind)["sesr-m3", 2].kind == kind for kind in data)
    assert weights_file("sesr-m3-photo_x2") == folder / "sesr-m3-photo_x2.safetensors"
    upscalers = Upscalers("sesr-m3", 2)
    assert upscalers.of("photo") is not upscalers.of("clean")


def test_a_changed_network_is_no_release(tmp_path, tiny):
    weights = add_weights(tmp_path, msgspec.structs.replace(tiny, network={"blocks": 2}))
    with pytest.raises(ExportError, match=r"is sesr-m3 with changes \(blocks = 2\)") as raised:
        export(weights, "sesr-m3", 2, tmp_path / "out" / "a.onnx", {}, "CC0")
    assert str(weights) in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_the_documented_table_is_of_the_released_files():
    """And bears out what auto does: photo weights where they are better than the others."""
    rows = json.loads(MEASURED.read_text(encoding="utf-8"))["rows"]
    found = {(row["model"], row["scale"], row["photo_sha256"]) for row in rows}
    released = releases("photo").values()
    assert found == {(r.variant, r.scale, r.card["onnx"]["sha256"]) for r in released}
    for model, scale, _ in found:
        mine = [row for row in rows if (row["model"], row["scale"]) == (model, scale)]
        assert {row["quality"] for row in mine} >= set(CONDITIONS.values()) | {PHOTO_QUALITY}
        for row in mine:
            if row["quality"] is not None and row["quality"] <= PHOTO_QUALITY:
                assert row["photo"] > max(row["clean"], row["bicubic"])
