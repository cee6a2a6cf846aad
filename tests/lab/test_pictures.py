import json
import zipfile
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from leansr.errors import DataError
from leansr.image.arrays import to_unit
from leansr.image.colour import luma
from leansr.image.resize import resize
from leansr.lab.train import crops, pictures
from leansr.lab.train.pictures import Provenance
from leansr.lab.train.recipe import Data

ORIGIN = Provenance("our own photos", "CC0")


def test_a_pack_is_the_folder(pictures_folder, tmp_path):
    path = tmp_path / "own.pack"
    assert pictures.pack(pictures_folder, path, ORIGIN) == 4
    assert pictures.provenance(path) == ORIGIN
    assert pictures.provenance(pictures_folder).licence == "not stated"
    for a, b in zip(
        pictures.load(pictures_folder, 2, "y"), pictures.load(path, 2, "y"), strict=True
    ):
        assert a.name == b.name
        np.testing.assert_array_equal(a.hr, b.hr)
        np.testing.assert_array_equal(a.lr, b.lr)
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read("pack.json"))["schema"] == 1


def test_a_pack_that_must_be_small(pictures_folder, tmp_path):
    whole, half = tmp_path / "whole.pack", tmp_path / "half.pack"
    pictures.pack(pictures_folder, whole, ORIGIN)
    mib = whole.stat().st_size / 2**20 * 0.75
    assert 1 <= pictures.pack(pictures_folder, half, ORIGIN, max_mib=mib) < 4
    assert half.stat().st_size <= mib * 2**20


@pytest.mark.parametrize("colour", ["y", "rgb"])
def test_pairs_are_what_a_network_sees(pictures_folder, colour):
    pairs = pictures.load(pictures_folder, 2, colour)
    assert [pair.name for pair in pairs] == ["a.png", "b.png", "d.jpg", "sub/c.png"]
    rgb = np.asarray(Image.open(pictures_folder / "a.png"))[:48]
    lr = resize(rgb, Fraction(1, 2))
    if colour == "rgb":
        np.testing.assert_array_equal(pairs[0].hr, rgb)
        np.testing.assert_array_equal(pairs[0].lr, lr)
    else:
        for ours, expected in ((pairs[0].hr, rgb), (pairs[0].lr, lr)):
            np.testing.assert_allclose(
                to_unit(ours)[..., 0], luma(to_unit(expected)), atol=0.6 / 65535
            )


def test_damaged_newer_and_empty_packs(pictures_folder, tmp_path):
    path = tmp_path / "own.pack"
    with pytest.raises(DataError, match="not one picture fits"):
        pictures.pack(pictures_folder, path, ORIGIN, max_mib=0.001)
    assert not path.exists()
    pictures.pack(pictures_folder, path, ORIGIN)
    whole = path.read_bytes()
    place = whole.index(b"IDAT") + 40
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with pytest.raises(DataError, match=r"own\.pack: is damaged at .*pack it again"):
        pictures.load(path, 2, "y")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("pack.json", json.dumps({"schema": 2}))
    with pytest.raises(DataError, match="newer LeanSR"):
        pictures.provenance(path)


def test_what_cannot_be_trained_on(pictures_folder, tmp_path, photo):
    with pytest.raises(DataError, match="no such folder"):
        pictures.load(tmp_path / "none", 2, "y")
    with pytest.raises(DataError, match=r"a\.png: 60 x 49 pixels are fewer than the 64"):
        pictures.load(pictures_folder, 2, "y", smallest_lr=32)
    (pictures_folder / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"a\.png: is not a picture"):
        pictures.load(pictures_folder, 2, "y")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no pictures"):
        pictures.load(tmp_path / "empty", 2, "y")
    with pytest.raises(DataError, match="no pictures"):
        pictures.pack(tmp_path / "empty", tmp_path / "x.pack", ORIGIN)
    (tmp_path / "text").write_text("no zip")
    with pytest.raises(DataError, match="neither a folder nor a pack"):
        pictures.load(tmp_path / "text", 2, "y")
    Image.fromarray(photo[:40, :40, 0].astype(np.uint16) * 257).save(pictures_folder / "a.png")
    with pytest.raises(DataError, match=r"a\.png: 16-bit PNG is not supported"):
        pictures.load(pictures_folder, 2, "y")
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("a.txt", "")
    with pytest.raises(DataError, match="no pack"):
        pictures.load(tmp_path / "zip", 2, "y")


@pytest.mark.parametrize("scale", [2, 4])
def test_crops_are_aligned_and_turned_alike(pictures_folder, scale):
    """An LR crop is the HR crop scaled down, but for its border, whichever way both are laid."""
    pairs = pictures.load(pictures_folder, scale, "rgb")
    lr, hr = crops.batch(pairs, scale, Data(lr_crop=10, batch=32), seed=3, step=5)
    assert lr.shape == (32, 3, 10, 10)
    assert hr.shape == (32, 3, 10 * scale, 10 * scale)
    for small, large in zip(lr.numpy(), hr.numpy(), strict=True):
        again = resize(large.transpose(1, 2, 0), Fraction(1, scale)).transpose(2, 0, 1)
        np.testing.assert_allclose(small[:, 2:-2, 2:-2], again[:, 2:-2, 2:-2], atol=1.1 / 255)


def test_crops_depend_on_seed_and_step_alone(pictures_folder):
    pairs = pictures.load(pictures_folder, 2, "y")
    first, _ = crops.batch(pairs, 2, Data(lr_crop=8, batch=4), seed=1, step=7)
    again, _ = crops.batch(pairs, 2, Data(lr_crop=8, batch=4), seed=1, step=7)
    assert first.equal(again)
    for seed, step in ((1, 8), (2, 7)):
        other, _ = crops.batch(pairs, 2, Data(lr_crop=8, batch=4), seed=seed, step=step)
        assert not first.equal(other)


def test_dihedral_has_eight_ways():
    pixels = np.arange(6).reshape(2, 3, 1)
    ways = {crops.dihedral(pixels, t, f).tobytes() for t in range(4) for f in (False, True)}
    assert len(ways) == 8


def test_every_crop_position_is_reached(photo):
    pair = pictures.Pair("a", "", photo[:9, :10, :1], np.repeat(photo[:18, :20, :1], 1, axis=2))
    seen = set()
    for step in range(60):
        lr, _ = crops.batch([pair], 2, Data(lr_crop=8, batch=4), seed=0, step=step)
        seen |= {crop.tobytes() for crop in lr.numpy()}
    # 2 x 3 positions in 8 ways
    assert len(seen) == 48


def test_candidates_prefer_detail(photo):
    flat = np.full((40, 40, 1), 90, np.uint8)
    pairs = [
        pictures.Pair("flat", "", flat, np.repeat(flat, 2, axis=0).repeat(2, axis=1)),
        pictures.Pair("fine", "", photo[:40, :40, :1], photo[:80, :80, :1]),
    ]
    shares = []
    for candidates in (1, 3):
        data = Data(lr_crop=8, batch=400, candidates=candidates)
        lr, _ = crops.batch(pairs, 2, data, seed=0, step=0)
        shares.append((lr.std(dim=(1, 2, 3)) > 0).float().mean().item())
    # Half the places are flat; three in a row are with probability 1 / 8.
    assert shares == pytest.approx([1 / 2, 7 / 8], abs=0.06)
