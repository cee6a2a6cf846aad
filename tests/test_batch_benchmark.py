"""The benchmark of whole folders, on two small pictures."""

import argparse

import numpy as np
import pytest
from PIL import Image

from leansr import Upscaler


@pytest.fixture
def folder(tmp_path, photo):
    (tmp_path / "photos").mkdir()
    for i, name in enumerate(("a", "b")):
        Image.fromarray(photo[i * 50 :, : 120 + i][:97]).save(tmp_path / f"photos/{name}.png")
    return tmp_path / "photos"


def test_every_method_is_measured_or_skipped_with_a_reason(folder, tmp_path):
    pytest.importorskip("torch", reason="the machine is described by the lab")
    import peers
    import pipeline

    arguments = argparse.Namespace(
        folder=folder,
        pictures=None,
        suffix=".png",
        threads=1,
        jobs=2,
        compression=1,
        runs=2,
        opencv=None,
    )
    (tmp_path / "work").mkdir()
    value = pipeline.measure(arguments, tmp_path / "work")
    rows = {row["method"]: row for row in value["rows"]}
    own = {"leansr", "read alone", "upscale alone", "write alone"}
    assert rows.keys() | value["skipped"].keys() == own | peers.every_peer(1, None).keys()
    assert value["skipped"]["OpenCV FSRCNN"] == "--opencv says where FSRCNN_x2.pb is"
    assert value["job"].startswith("2 pictures, 0.0 megapixels out, .png, ")
    assert sum(value["shares"].values()) == pytest.approx(1)
    assert all(0 < row["min_s"] <= row["median_s"] for row in rows.values())
    # The same network by another way to luma: within what 8 bits between them cost.
    assert 0 < rows["leansr"]["psnr_y"] - rows["onnxruntime + Pillow"]["psnr_y"] < 1
    text = pipeline.table(value)
    assert all(f"| {name} | " in text for name in rows)
    assert "skipped: OpenCV FSRCNN: --opencv says" in text


def test_tiles_of_the_peer_cover_the_picture(photo):
    import peers

    network = peers._onnx(1)
    lr = photo[None, None, :530, :40, 0].astype(np.float32) / 255
    whole, tiled = network(lr), peers._tiled(network)(lr)
    assert whole.shape == tiled.shape == (1, 1, 1060, 80)
    # Ten pixels around are one more than SESR-M5 looks at.
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


def test_the_peer_sees_the_luma_that_we_see(photo):
    import peers

    peer = peers._pillow(peers._onnx(1))
    theirs = np.asarray(peer.enlarge(Image.fromarray(photo[:60, :80])))
    ours = Upscaler()(photo[:60, :80])
    assert np.abs(theirs[4:-4, 4:-4].astype(int) - ours[4:-4, 4:-4]).mean() < 1.5


def test_ways_to_sizes(folder):
    import sizes

    originals = [np.asarray(Image.open(folder / "a.png").copy())]
    rows = sizes.measure(originals, "sesr-m3", 1)
    assert [(row["scale"], len(row["steps"])) for row in rows] == [
        (scale, len(steps)) for scale, ways in sizes.WAYS.items() for steps, _ in ways
    ]
    by_way = {(row["scale"], tuple(row["steps"]), row["resize"]): row["psnr_y"] for row in rows}
    assert by_way[4, (4,), ""] > by_way[4, (), "bicubic"]
