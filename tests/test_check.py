import json
import os

import click.testing
import numpy as np
import pytest
from PIL import Image
from resizers import by_matlab, by_opencv, by_pillow, cut_not_rounded

from leansr import cli
from leansr.runtime.benchmarks import KNOWN
from leansr.runtime.check import check


def data_check(*arguments):
    """Exit code, stdout and stderr of `leansr data check`."""
    arguments = ["data", "check", *map(str, arguments)]
    done = click.testing.CliRunner().invoke(cli.cli, arguments)
    assert isinstance(done.exception, SystemExit | None)
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def lay(tmp_path, photo):
    """A function that writes five pictures as Set5 at x2, with LR by a resizer."""

    def write(resizer=None):
        for i in range(5):
            hr = photo[80 * i : 80 * i + 64, 60 : 60 + 72]
            hr = hr[..., 0] if i == 4 else hr
            parts = {"HR": hr} | ({"LR": resizer(hr, 2)} if resizer else {})
            for part, pixels in parts.items():
                (tmp_path / "Set5" / "x2" / part).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(tmp_path / "Set5" / "x2" / part / f"{i}.png")
        return tmp_path

    return write


def test_ours_agrees(lay):
    found = check(lay(by_matlab), "set5", 2)
    assert (found.name, found.pictures, found.expected, found.is_whole) == ("Set5", 5, 5, True)
    agreement = found.agreement
    assert agreement.is_matlab
    assert (agreement.largest, agreement.mean, agreement.equal) == (0, 0, 1)
    assert {name: shift.change for name, shift in agreement.psnr_y.items()} == {
        "bicubic": 0,
        "sesr-m5": 0,
    }


@pytest.mark.parametrize(
    ("resizer", "largest", "equal", "change"),
    [
        (by_pillow, (2, 20), (0.7, 0.95), (0.0005, 0.3)),
        (by_opencv, (20, 255), (0.1, 0.6), (0.2, 20)),
        (cut_not_rounded, (1, 1), (0.4, 0.6), (0.005, 1)),
    ],
)
def test_other_resizers_are_recognised_with_the_shift(lay, resizer, largest, equal, change):
    root = lay(resizer)
    agreement = check(root, "Set5", 2).agreement
    assert not agreement.is_matlab
    assert largest[0] <= agreement.largest <= largest[1]
    assert equal[0] <= agreement.equal <= equal[1]
    assert all(change[0] <= abs(s.change) <= change[1] for s in agreement.psnr_y.values())
    # The means by hand.
    differences = []
    for path in sorted((root / "Set5" / "x2" / "HR").iterdir()):
        hr = np.asarray(Image.open(path))
        lr = np.asarray(Image.open(root / "Set5" / "x2" / "LR" / path.name))
        difference = np.abs(lr.astype(int) - by_matlab(hr, 2))
        differences.append(np.repeat(difference.ravel(), 3 if hr.ndim == 2 else 1))
    every = np.concatenate(differences)
    assert agreement.mean == pytest.approx(every.mean())
    assert agreement.equal == pytest.approx(np.mean(every == 0))
    assert agreement.largest == every.max()


@pytest.mark.shared_data
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_published_lr_of_set5_is_matlab_s(shared_data, scale):
    found = check(shared_data, "Set5", scale)
    assert found.is_whole
    assert found.agreement.is_matlab
    assert found.agreement.largest <= 1
    assert found.agreement.equal > 0.9998
    assert all(abs(shift.change) < 0.001 for shift in found.agreement.psnr_y.values())


def test_the_change_of_pictures_without_an_error_is_nothing(tmp_path, photo):
    """Of a flat one both PSNR are infinite; the change of the other one remains."""
    hr = photo[:64, :72]
    for name, pixels, lr in (
        ("flat", np.full_like(hr, 90), np.full((32, 36, 3), 90, np.uint8)),
        ("other", hr, by_opencv(hr, 2)),
    ):
        for part, picture in (("HR", pixels), ("LR", lr)):
            (tmp_path / "mine" / part).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(tmp_path / "mine" / part / f"{name}.png")
    both = check(tmp_path, "mine", 2).agreement.psnr_y["bicubic"]
    assert both.given == both.ours == np.inf
    (tmp_path / "mine" / "HR" / "flat.png").unlink()
    alone = check(tmp_path, "mine", 2).agreement.psnr_y["bicubic"]
    assert alone.change == pytest.approx(alone.given - alone.ours)
    assert both.change == pytest.approx(alone.change / 2)
    assert abs(alone.change) > 0.1
    (tmp_path / "mine" / "HR" / "other.png").unlink()
    Image.fromarray(np.full_like(hr, 90)).save(tmp_path / "mine" / "HR" / "flat.png")
    code, out, _ = data_check("mine", "--scale", 2, "--data-root", tmp_path)
    assert code == 0
    assert "bicubic +0.000 dB" in out


def test_without_lr_there_is_nothing_to_compare(lay):
    found = check(lay(), "Set5", 2)
    assert (found.agreement, found.resizer) == (None, "by MATLAB's bicubic")
    assert found.is_whole


def test_missing_pictures_and_spoilt_ones(lay):
    root = lay(by_matlab)
    (root / "Set5/x2/LR/0.png").unlink()
    (root / "Set5/x2/HR/1.png").write_text("no picture")
    found = check(root, "Set5", 2)
    assert (found.pictures, found.is_whole) == (3, False)
    assert found.agreement.is_matlab
    words = [str(error) for error in found.failures]
    assert "0.png: has no LR picture" in words[0]
    assert "1.png: is not a picture" in words[1]
    for path in (root / "Set5/x2/LR").iterdir():
        path.write_text("no picture")
    found = check(root, "Set5", 2)
    assert (found.pictures, found.agreement, len(found.failures)) == (0, None, 5)
    missing = check(root, "Set5", 3)
    assert "has no Set5 x3" in str(missing.missing)
    assert not missing.is_whole


def test_command_lists_all_and_asks_for_none(lay):
    root = lay(by_matlab)
    code, out, err = data_check("--data-root", root, "--json")
    assert (code, err) == (0, "")
    value = json.loads(out)
    assert (value["schema"], value["data_root"]) == (1, str(root))
    rows = {(row["name"], row["scale"]): row for row in value["benchmarks"]}
    assert list(rows) == [(name, scale) for name in KNOWN for scale in (2, 3, 4)]
    row = rows.pop(("Set5", 2))
    assert row["is_whole"]
    assert row["agreement"]["psnr_y"]["bicubic"]["change"] == 0
    assert all(row["pictures"] == 0 and "has no" in row["missing"] for row in rows.values())


def test_command_exits_with_1_for_what_was_asked_for(lay):
    root = lay(by_pillow)
    code, out, err = data_check("set5", "--scale", 2, "--data-root", root)
    assert (code, err) == (0, "")
    assert "5 of 5 pictures" in out
    assert "is NOT MATLAB's bicubic" in out
    code, out, err = data_check("Set5", "B100", "--scale", 2, "--data-root", root)
    assert code == 1
    assert err.startswith(f"leansr: {root}: has no B100 x2; looked for")
    assert "B100       x2  missing" in out
    (root / "Set5/x2/HR/0.png").unlink()
    for named in (["Set5"], []):
        code, out, err = data_check(*named, "--scale", 2, "--data-root", root)
        assert code == 1
        assert "4 of 5 pictures" in out
        assert err == f"leansr: {root}: Set5 x2 has 4 of 5 pictures\n"
    code, out, _ = data_check("Set5", "--scale", 2, "--data-root", root, "--json")
    (row,) = json.loads(out)["benchmarks"]
    assert (code, row["is_whole"], row["pictures"], row["expected"]) == (1, False, 4, 5)
    assert (row["incomplete"], row["missing"]) == (f"{root}: Set5 x2 has 4 of 5 pictures", None)
    (root / "Set5/x2/HR/1.png").write_text("no picture")
    code, _, err = data_check("--data-root", root)
    assert code == 1
    assert "1.png: is not a picture" in err


def test_command_goes_on_after_a_benchmark_that_is_of_no_use(lay, photo):
    root = lay(by_matlab)
    for name in ("baby.png", "baby.jpg"):
        (root / "Set14" / "HR").mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo[:40, :40]).save(root / "Set14" / "HR" / name)
    code, out, err = data_check("--scale", 2, "--data-root", root, "--json")
    assert code == 1
    rows = {row["name"]: row for row in json.loads(out)["benchmarks"]}
    assert list(rows) == list(KNOWN)
    assert rows["Set5"]["is_whole"]
    (reason,) = rows["Set14"]["failed"]
    assert err == f"leansr: {reason}\n"
    assert "baby.jpg and " in reason
    assert (rows["Set14"]["missing"], rows["Set14"]["is_whole"]) == (None, False)
    code, out, _ = data_check("--scale", 2, "--data-root", root)
    assert code == 1
    assert "Set14      x2  cannot be read\n" in out
    assert "B100       x2  missing\n" in out


def test_command_goes_on_after_a_folder_that_cannot_be_read(lay):
    root = lay(by_matlab)
    closed = root / "Set14"
    closed.mkdir()
    closed.chmod(0)
    try:
        if os.access(closed, os.R_OK):
            pytest.skip("this user may read every folder")
        code, out, err = data_check("--scale", 2, "--data-root", root, "--json")
    finally:
        closed.chmod(0o755)
    assert code == 1
    assert err == f"leansr: {closed}: cannot be read (Permission denied)\n"
    rows = {row["name"]: row for row in json.loads(out)["benchmarks"]}
    assert list(rows) == list(KNOWN)
    assert rows["Set5"]["is_whole"]
    assert rows["Set14"]["failed"] == [f"{closed}: cannot be read (Permission denied)"]


def test_pictures_of_other_formats_fail(lay):
    root = lay(by_matlab)
    (root / "Set5/x2/HR/cover.ico").touch()
    code, out, err = data_check("--scale", 2, "--data-root", root)
    assert code == 1
    assert "5 of 5 pictures" in out
    assert err.startswith(f"leansr: {root}/Set5/x2/HR/cover.ico: .ico is not supported;")
    for path in (root / "Set5/x2/LR").iterdir():
        path.rename(path.with_suffix(".jp2")).write_bytes(b"one")
    (root / "Set5/x2/HR/cover.ico").unlink()
    code, _, err = data_check("--scale", 2, "--data-root", root)
    assert code == 1
    assert err.count(".jp2 is not supported; supported are") == 5


def test_command_takes_a_name_once(lay):
    root = lay()
    code, out, _ = data_check("set5", "Set5", "SET5", "--scale", 2, "--data-root", root)
    assert (code, len(out.splitlines())) == (0, 1)
