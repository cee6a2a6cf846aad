import json
import tempfile
import weakref
import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from leansr.errors import DataError
from leansr.image.arrays import to_unit
from leansr.image.colour import luma
from leansr.image.resize import resize
from leansr.lab.train import crops, packs, pictures
from leansr.lab.train.packs import Provenance
from leansr.lab.train.recipe import Data

ORIGIN = Provenance("our own photos", "CC0")


def test_a_pack_is_the_folder(pictures_folder, tmp_path):
    path = tmp_path / "own.pack"
    assert packs.pack(pictures_folder, path, ORIGIN) == 4
    assert packs.provenance(path) == ORIGIN
    assert packs.provenance(pictures_folder).licence == "not stated"
    for a, b in zip(
        pictures.load(pictures_folder, 2, "y").pairs, pictures.load(path, 2, "y").pairs, strict=True
    ):
        assert (a.name, a.file_sha256) == (b.name, b.file_sha256)
        np.testing.assert_array_equal(a.hr, b.hr)
        np.testing.assert_array_equal(a.lrs[0], b.lrs[0])
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read("pack.json"))["schema"] == 1


def test_a_pack_that_must_be_small(pictures_folder, tmp_path):
    whole, half = tmp_path / "whole.pack", tmp_path / "half.pack"
    packs.pack(pictures_folder, whole, ORIGIN)
    mib = whole.stat().st_size / 2**20 * 0.75
    assert 1 <= packs.pack(pictures_folder, half, ORIGIN, max_mib=mib) < 4
    assert half.stat().st_size <= mib * 2**20


@pytest.mark.parametrize("colour", ["y", "rgb"])
def test_pairs_are_what_a_network_sees(pictures_folder, colour):
    loaded = pictures.load(pictures_folder, 2, colour)
    pairs = loaded.pairs
    assert [pair.name for pair in pairs] == ["a.png", "b.png", "d.jpg", "sub/c.png"]
    rgb = np.asarray(Image.open(pictures_folder / "a.png"))[:48]
    lr = resize(rgb, Fraction(1, 2))
    if colour == "rgb":
        np.testing.assert_array_equal(pairs[0].hr, rgb)
        np.testing.assert_array_equal(pairs[0].lrs[0], lr)
    else:
        for ours, expected in ((pairs[0].hr, rgb), (pairs[0].lrs[0], lr)):
            np.testing.assert_allclose(
                to_unit(ours)[..., 0], luma(to_unit(expected)), atol=0.6 / 65535
            )
    # One after the other, where crops are taken from.
    rows = [pair.hr.reshape(-1, pair.hr.shape[2]) for pair in pairs]
    np.testing.assert_array_equal(loaded.hr, np.concatenate(rows))


def test_damaged_newer_and_empty_packs(pictures_folder, tmp_path):
    path = tmp_path / "own.pack"
    with pytest.raises(DataError, match="not one picture fits"):
        packs.pack(pictures_folder, path, ORIGIN, max_mib=0.001)
    assert not path.exists()
    packs.pack(pictures_folder, path, ORIGIN)
    whole = path.read_bytes()
    place = whole.index(b"IDAT") + 40
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with pytest.raises(DataError, match=r"1 of 4 .*a\.png: cannot be read from the pack "):
        pictures.load(path, 2, "y")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("pack.json", json.dumps({"schema": 2}))
    with pytest.raises(DataError, match="newer LeanSR"):
        packs.provenance(path)
    for header in ("no json", "[]", '{"source": "ours"}', '{"schema": 1, "source": 5}'):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("pack.json", header)
        with pytest.raises(DataError, match=r"its pack\.json is damaged .*pack it again"):
            packs.provenance(path)


def test_what_cannot_be_trained_on(pictures_folder, tmp_path, photo):
    for name in ("none", "text"):
        with pytest.raises(DataError, match=r"no such folder or pack|neither a folder nor a pack"):
            pictures.load(tmp_path / name, 2, "y")
        (tmp_path / "text").write_text("no zip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no pictures"):
        pictures.load(tmp_path / "empty", 2, "y")
    with pytest.raises(DataError, match="no pictures"):
        packs.pack(tmp_path / "empty", tmp_path / "x.pack", ORIGIN)
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("a.txt", "")
    with pytest.raises(DataError, match="no pack"):
        pictures.load(tmp_path / "zip", 2, "y")
    with pytest.raises(DataError, match=r"4 of 4 .*a\.png: 60 x 49 pixels are fewer than the 64"):
        pictures.load(pictures_folder, 2, "y", smallest_lr=32)


def test_every_fault_is_told_at_once(pictures_folder, photo):
    """Counted, and named as far as a line has room."""
    (pictures_folder / "a.png").write_bytes(b"no picture")
    Image.fromarray(photo[:40, :40, 0].astype(np.uint16) * 257).save(pictures_folder / "b.png")
    Image.fromarray(photo[:8, :80]).save(pictures_folder / "small.png")
    whole = (pictures_folder / "d.jpg").read_bytes()
    (pictures_folder / "d.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError) as raised:
        pictures.load(pictures_folder, 2, "y", smallest_lr=8)
    told = str(raised.value)
    assert "4 of 5 pictures cannot be trained on" in told
    for fault in (
        "a.png: is not a picture",
        "b.png: is no 8-bit still",
        "d.jpg: cannot be decoded",
        "small.png: 80 x 8 pixels are fewer than the 16 a side that the crop needs",
    ):
        assert fault in told
    for i in range(9):
        (pictures_folder / f"z{i}.png").touch()
    with pytest.raises(DataError, match=r"13 of 14 .*; and 8 more; remove or replace them"):
        pictures.load(pictures_folder, 2, "y", smallest_lr=8)


def test_modes_are_counted(pictures_folder, photo):
    Image.fromarray(photo[:40, :40, 0]).save(pictures_folder / "grey.png")
    Image.fromarray(np.dstack([photo[:40, :40], photo[:40, :40, 0]])).save(
        pictures_folder / "alpha.png"
    )
    loaded = pictures.load(pictures_folder, 2, "rgb")
    assert loaded.modes == "1 is grey, 1 has an alpha channel, which is left out"
    alpha, grey = (p for p in loaded.pairs if p.name in ("alpha.png", "grey.png"))
    np.testing.assert_array_equal(alpha.hr, photo[:40, :40])
    np.testing.assert_array_equal(grey.hr, np.repeat(photo[:40, :40, :1], 3, axis=2))


def test_other_kinds_are_counted(pictures_folder, photo):
    for name in ("a.jp2", "sub/b.ICO"):
        Image.fromarray(photo[:20, :20]).save(pictures_folder / name)
    (pictures_folder / "notes.txt").touch()
    loaded = pictures.load(pictures_folder, 2, "rgb")
    assert (len(loaded.pairs), loaded.modes) == (4, "2 of other kinds are left out")


@pytest.fixture
def given(tmp_path, photo):
    """A folder of HR, and of LR that no resizer made of it."""
    for name in ("HR", "LR"):
        (tmp_path / "given" / name).mkdir(parents=True)
    Image.fromarray(photo[:40, :48]).save(tmp_path / "given" / "HR" / "a.png")
    Image.fromarray(photo[:40, :48]).save(tmp_path / "given" / "HR" / "b.png")
    Image.fromarray(photo[100:120, :24]).save(tmp_path / "given" / "LR" / "a.png")
    Image.fromarray(photo[120:140, :24]).save(tmp_path / "given" / "LR" / "bx2.png")
    return tmp_path / "given"


def test_lr_as_given(given, tmp_path, photo):
    packs.pack(given, tmp_path / "given.pack", ORIGIN)
    for data in (given, tmp_path / "given.pack"):
        first, second = pictures.load(data, 2, "rgb").pairs
        assert (first.name, second.name) == ("HR/a.png", "HR/b.png")
        np.testing.assert_array_equal(first.lrs[0], photo[100:120, :24])
        np.testing.assert_array_equal(second.lrs[0], photo[120:140, :24])
    hashes = {pair.file_sha256 for pair in pictures.load(given, 2, "rgb").pairs}
    assert len(hashes) == 2


def test_lr_that_does_not_match(given, photo):
    Image.fromarray(photo[:20, :20]).save(given / "HR" / "alone.png")
    Image.fromarray(photo[:20, :20]).save(given / "LR" / "other.png")
    Image.fromarray(photo[:20, :20]).save(given / "LR" / "a.png")
    with pytest.raises(DataError) as raised:
        pictures.load(given, 2, "y")
    told = str(raised.value)
    assert "3 of 4 pictures" in told
    for fault in (
        "HR/alone.png: has no picture in LR",
        "LR/other.png: has no picture in HR",
        "LR/a.png: 20 x 20 pixels times 2 are not the 48 x 40 of HR/a.png",
    ):
        assert fault in told


@pytest.mark.parametrize(
    ("renamed", "found"),
    [
        ({"HR": "hr"}, "LR, hr"),
        ({"LR": "Lr"}, "HR, Lr"),
        ({"HR": "hr", "LR": "lr"}, "hr, lr"),
        ({"HR": "../elsewhere"}, "LR"),
        ({"LR/a.png": "a.txt", "LR/bx2.png": "b.tif"}, "HR, LR"),
    ],
)
def test_half_a_layout_is_not_taken_for_pictures(given, tmp_path, renamed, found):
    for name, target in renamed.items():
        (given / name).rename(given / target)
    with pytest.raises(DataError, match=f"HR/ and in LR/, so written; what is there is {found};"):
        pictures.load(given, 2, "y")
    if (given / "LR" / "a.png").exists():
        packs.pack(given, tmp_path / "given.pack", ORIGIN)
        with pytest.raises(DataError, match=f"what is there is {found};"):
            pictures.load(tmp_path / "given.pack", 2, "y")


def test_hr_alone_is_pictures(given):
    (given / "LR").rename(given.parent / "LR")
    assert len(pictures.load(given, 2, "y").pairs) == 2


def test_what_is_beside_or_twice_in_hr_and_lr(given, photo):
    names = ("preview.png", "more/x.png", "HR/b.jpg", "LR/ax2.png")
    for name in names:
        (given / name).parent.mkdir(exist_ok=True)
        Image.fromarray(photo[:20, :24]).save(given / name)
    with pytest.raises(DataError) as raised:
        pictures.load(given, 2, "y")
    for fault in (
        "preview.png: is neither in HR nor in LR",
        "more/x.png: is neither in HR nor in LR",
        "HR/b.png: is the same picture as HR/b.jpg by its name",
        "LR/ax2.png: is the same picture as LR/a.png by its name",
    ):
        assert fault in str(raised.value)


def test_what_is_decoded_is_not_kept(tmp_path, photo, monkeypatch):
    """With room for next to nothing, few of the pictures are in memory at any moment."""
    for i in range(24):
        Image.fromarray(photo[:16, :16]).save(tmp_path / f"{i}.png")
    monkeypatch.setattr(pictures, "_AT_A_TIME", 4)
    decoded, most = weakref.WeakSet(), []

    class Version(np.ndarray):
        __hash__ = object.__hash__

    def watched(name, lr):
        version = lr.copy().view(Version)
        decoded.add(version)
        most.append(len(decoded))
        return [version]

    loaded = pictures.load(tmp_path, 2, "rgb", versions=watched, room_mib=0.0001)
    assert (len(loaded.pairs), loaded.is_mapped) == (24, True)
    assert max(most) <= 2 * 4 + 1


def test_more_than_there_is_room_for_is_mapped(pictures_folder):
    whole = pictures.load(pictures_folder, 2, "y")
    mapped = pictures.load(pictures_folder, 2, "y", room_mib=0.002)
    assert (whole.is_mapped, mapped.is_mapped) == (False, True)
    assert isinstance(mapped.hr, np.memmap)
    np.testing.assert_array_equal(whole.hr, mapped.hr)
    np.testing.assert_array_equal(whole.lr, mapped.lr)
    for one, other in zip(taken(whole, step=3), taken(mapped, step=3), strict=True):
        assert one.equal(other)


def taken(loaded, scale=2, seed=0, step=0, share=crops.EVERY, **data):
    shelves = crops.Shelves(loaded, scale, torch.device("cpu"))
    return crops.batch(shelves, Data(**{"lr_crop": 8, "batch": 4, **data}), seed, step, share)


@pytest.mark.parametrize("candidates", [1, 3])
@pytest.mark.parametrize("scale", [2, 4])
def test_crops_are_aligned_and_turned_alike(pictures_folder, scale, candidates):
    """An LR crop is the HR crop scaled down, but for its border, whichever way both are laid."""
    loaded = pictures.load(pictures_folder, scale, "rgb")
    lr, hr = taken(loaded, scale, 3, 5, lr_crop=10, batch=32, candidates=candidates)
    assert lr.shape == (32, 3, 10, 10)
    assert hr.shape == (32, 3, 10 * scale, 10 * scale)
    for small, large in zip(lr.numpy(), hr.numpy(), strict=True):
        again = resize(large.transpose(1, 2, 0), Fraction(1, scale)).transpose(2, 0, 1)
        np.testing.assert_allclose(small[:, 2:-2, 2:-2], again[:, 2:-2, 2:-2], atol=1.1 / 255)


def test_crops_depend_on_seed_and_step_alone(pictures_folder):
    loaded = pictures.load(pictures_folder, 2, "y")
    first, _ = taken(loaded, seed=1, step=7)
    again, _ = taken(loaded, seed=1, step=7)
    assert first.equal(again)
    for seed, step in ((1, 8), (2, 7)):
        other, _ = taken(loaded, seed=seed, step=step)
        assert not first.equal(other)


@pytest.mark.parametrize("candidates", [1, 2])
def test_shares_make_the_whole(pictures_folder, candidates):
    loaded = pictures.load(pictures_folder, 2, "rgb")
    whole = taken(loaded, candidates=candidates)
    shares = [taken(loaded, share=part, candidates=candidates) for part in (slice(1), slice(1, 4))]
    for one, parts in zip(whole, zip(*shares, strict=True), strict=True):
        assert one.equal(torch.cat(parts))


def test_every_place_is_reached_in_eight_ways(tmp_path, photo):
    Image.fromarray(photo[:18, :20]).save(tmp_path / "a.png")
    loaded = pictures.load(tmp_path, 2, "y")
    seen = {crop.tobytes() for step in range(60) for crop in taken(loaded, step=step)[0].numpy()}
    # 2 x 3 places of LR
    assert len(seen) == 2 * 3 * 8
    ways = {dihedral(crop, turn).tobytes() for crop in places(loaded) for turn in range(8)}
    assert seen == ways


def places(loaded):
    lr = to_unit(loaded.pairs[0].lrs[0])[..., 0]
    return [lr[y : y + 8, x : x + 8] for y in range(2) for x in range(3)]


def dihedral(plane, turn):
    turned = np.rot90(plane, turn % 4)
    return np.ascontiguousarray(turned[:, ::-1] if turn >= 4 else turned)[None]


def test_versions_are_taken_alike(pictures_folder):
    """Each version of LR with the HR of its own picture."""

    def brightened(name, lr):
        return [lr // 2, lr // 2 + 100]

    loaded = pictures.load(pictures_folder, 2, "rgb", versions=brightened)
    lr, hr = taken(loaded, batch=64)
    assert 0.3 < (lr.amin(dim=(1, 2, 3)) >= 100 / 255).float().mean() < 0.7
    for small, large in zip(lr.numpy(), hr.numpy(), strict=True):
        again = resize(large.transpose(1, 2, 0), Fraction(1, 2)).transpose(2, 0, 1)
        clean = (small - (small.min() >= 100 / 255) * np.float32(100 / 255)) * 2
        np.testing.assert_allclose(clean[:, 2:-2, 2:-2], again[:, 2:-2, 2:-2], atol=2.1 / 255)


def test_candidates_prefer_detail(tmp_path, photo):
    Image.fromarray(np.full((80, 80, 3), 90, np.uint8)).save(tmp_path / "flat.png")
    Image.fromarray(photo[:80, :80]).save(tmp_path / "fine.png")
    loaded = pictures.load(tmp_path, 2, "y")
    shares = []
    for candidates in (1, 3):
        lr, _ = taken(loaded, batch=400, candidates=candidates)
        shares.append((lr.std(dim=(1, 2, 3)) > 0).float().mean().item())
    # Half the places are flat; three in a row are with probability 1 / 8.
    assert shares == pytest.approx([1 / 2, 7 / 8], abs=0.06)


def test_no_room_on_disk(pictures_folder, monkeypatch):
    with Path("/dev/full").open("w+b", buffering=0) as full:
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda: full)
        with pytest.raises(DataError, match=r"cannot hold .*\(No space left.*TMPDIR"):
            pictures.load(pictures_folder, 2, "y", room_mib=0.002)
