"""The benchmark of quantisers runs, and its figures are those of the files that it made."""

import json
import sys

import pytest
import quantizers
from PIL import Image

from leansr.runtime.benchmarks import open_folder
from leansr.runtime.evaluate import evaluate
from leansr.runtime.upscaler import Upscaler
from leansr.zoo.release import release_of


@pytest.mark.slow
def test_ours_and_theirs_of_the_same_network(tmp_path, photo, monkeypatch, capsys):
    for name in ("data", "benchmark"):
        (tmp_path / name).mkdir()
    Image.fromarray(photo[:200, :200]).save(tmp_path / "data" / "a.png")
    Image.fromarray(photo[300:380, 300:380]).save(tmp_path / "benchmark" / "a.png")
    given = ["--variant", "sesr-m3", "--data", tmp_path / "data", "--json"]
    given += ["--benchmark", tmp_path / "benchmark"]
    monkeypatch.setattr(sys, "argv", ["quantizers.py", *map(str, given)])
    quantizers.main()
    value = json.loads(capsys.readouterr().out)
    assert (value["schema"], value["variant"], value["scale"]) == (1, "sesr-m3", 2)
    floats, *others = value["rows"]
    pictures = open_folder(tmp_path / "benchmark", 2)
    assert (
        floats["psnr_y"]
        == evaluate(Upscaler("sesr-m3", 2, backend="onnxruntime"), 2, pictures).psnr_y
    )
    assert floats["bytes"] == release_of("sesr-m3", 2).onnx.stat().st_size
    assert [row["quantiser"].partition(",")[0] for row in others] == [
        *["ours"] * 2,
        *["ONNX Runtime"] * 3,
    ]
    # Five different files, of fewer bytes; eight bits cost something, and not all.
    assert len({(row["psnr_y"], row["bytes"]) for row in others}) == 5
    for row in others:
        assert row["bytes"] < floats["bytes"]
        assert abs(floats["psnr_y"] - row["psnr_y"]) < 1
