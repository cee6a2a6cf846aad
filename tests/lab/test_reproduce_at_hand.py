"""Quality, times and figures of what is at hand for a paper, in their places."""

import json
from xml.etree import ElementTree

import pytest
from PIL import Image

from leansr import zoo
from leansr.errors import DataError, UsageError, WeightsError
from leansr.image.resize import resize
from leansr.lab.nets import build
from leansr.lab.reproduce.figures import at_hand, draw, make_folder
from leansr.lab.reproduce.measured import measure, measured_for, released
from leansr.lab.reproduce.reproduction import reproduce
from leansr.lab.weights import Imported, save_weights
from leansr.runtime.benchmarks import find
from leansr.runtime.evaluate import evaluate
from leansr.zoo.release import releases


@pytest.fixture
def root(tmp_path, photo):
    """A data root with a small Set5 of five crops at x4."""
    folder = tmp_path / "data" / "Set5" / "HR"
    folder.mkdir(parents=True)
    for i in range(5):
        Image.fromarray(photo[90 * i : 90 * i + 64, :72]).save(folder / f"{i}.png")
    return tmp_path / "data"


def imported(path, name, scale):
    variant = zoo.find(name, scale)
    facts = Imported(variant=name, scale=scale, form="training", file="a.pth", file_sha256="0")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_weights(path, build(variant, scale).state_dict(), facts)


def test_weights_at_hand_fill_their_places(tmp_path, root):
    imported(tmp_path / "weights" / "some.safetensors", "fmen-s", 4)
    found = measured_for("fmen", tmp_path / "weights", root, ())
    assert found.failures == ()
    at_hand = {("bicubic", 2), ("bicubic", 3), ("bicubic", 4), ("fmen-s", 4)}
    assert {key[:2] for key in found.quality} == at_hand | set(releases())
    bicubic = evaluate(lambda lr: resize(lr, 4), 4, find(root, "Set5", 4))
    assert found.quality["bicubic", 4, "set5_psnr"].value == bicubic.psnr_y
    assert "a.pth, imported: paper" in found.quality["fmen-s", 4, "set5_psnr"].protocol
    result = reproduce("fmen", found)
    (cell,) = [
        c
        for c in result.cells
        if (c.table, c.model, c.scale, c.column) == ("3", "Bicubic", 4, "set5_psnr")
    ]
    assert cell.ours == bicubic.psnr_y


def test_sesr_is_measured_as_it_measured(root):
    found = measure("sesr", {("bicubic", 4), ("sesr-m5", 4)}, None, root)
    unrounded = evaluate(lambda lr: resize(lr, 4), 4, find(root, "Set5", 4), "sesr")
    assert found.quality["bicubic", 4, "set5_psnr"].value == unrounded.psnr_y
    assert "unrounded" in found.quality["sesr-m5", 4, "set5_psnr"].protocol


def test_a_part_of_a_benchmark_is_no_figure_of_it(root):
    (root / "Set5" / "HR" / "3.png").write_bytes(b"no picture")
    found = measure("bsrn", {("bicubic", 4)}, None, root)
    assert found.quality == released()
    assert "3.png" in str(found.failures[0])
    (root / "Set5" / "HR" / "3.png").unlink()
    found = measure("bsrn", {("bicubic", 2), ("bicubic", 4)}, None, root)
    assert found.quality == released()
    assert {str(failure) for failure in found.failures} == {
        f"{root}: Set5 x{scale} has 4 of 5 pictures" for scale in (2, 4)
    }


def test_weights_that_cannot_be_meant(tmp_path, root):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageError, match=r"holds no \.safetensors"):
        measured_for("bsrn", empty, root, ())
    imported(tmp_path / "two" / "a.safetensors", "fmen-s", 4)
    imported(tmp_path / "two" / "b.safetensors", "fmen-s", 4)
    with pytest.raises(UsageError, match="are both fmen-s x4"):
        measured_for("fmen", tmp_path / "two", root, ())
    with pytest.raises(UsageError, match="--data-root"):
        measured_for("fmen", tmp_path / "two", None, ())
    (tmp_path / "two" / "a.safetensors").write_bytes(b"no weights")
    with pytest.raises(WeightsError, match=r"a\.safetensors"):
        measured_for("fmen", tmp_path / "two", root, ())


def test_figures_of_what_is_at_hand(tmp_path, root):
    imported(tmp_path / "weights" / "some.safetensors", "fmen-s", 4)
    drawn = list(draw("fmen", tmp_path / "figures", at_hand(tmp_path / "weights", root)))
    names = {path.stem for path, _ in drawn}
    parts = ("front-multi-adds", "front-params", "sheet", "bubble", "spectrum")
    assert names == {f"fmen-{part}" for part in parts}
    for path, _ in drawn:
        if path.suffix == ".png":
            with Image.open(path) as drawn_picture:
                assert min(drawn_picture.size) > 200
        else:
            assert ElementTree.parse(path).getroot().tag.endswith("svg")


def test_figures_without_what_they_need(tmp_path, root):
    without = [reason for _, reason in draw("mdrn", tmp_path, at_hand(None, None)) if reason]
    assert len(without) == 3
    assert all("there is no Set5 x4 below a data root" in reason for reason in without)
    with_picture = [reason for _, reason in draw("mdrn", tmp_path, at_hand(None, root)) if reason]
    assert with_picture == ["attention: is not drawn; it needs weights of mdrn x4, with --weights"]


TIMED = {
    "table": "fmen-1",
    "scale": 4,
    "lr_size": [54, 96],
    "runs": 20,
    "machine": {"cpu": "a CPU", "threads": 1},
    "rows": [{"backend": "torch", "dtype": "float32"}],
    "ratios": [
        {"model": "FMEN RB", "median_ms": 100.0, "change_pct": 0.0},
        {"model": "FMEN ERB", "median_ms": 85.0, "change_pct": -15.0},
        {"model": "MemNet RB", "median_ms": None, "change_pct": None},
    ],
}

BAD_TIMES = ("NaN", "-5", "0", "1e999", '"fast"')


def test_times_fill_their_places(tmp_path):
    path = tmp_path / "times.json"
    path.write_text(json.dumps(TIMED))
    result = reproduce("fmen", measured_for("fmen", None, None, (path,)))
    found = {(c.model, c.column): c for c in result.cells if c.table == "1"}
    change = found["FMEN ERB", "time_change_pct"]
    assert (change.printed, change.ours, change.fits) == ("-12.4", -15.0, None)
    assert "96 x 54 in, torch float32, threads: 1, a CPU" in change.convention
    assert found["MemNet RB", "runtime_ms"].ours is None
    assert len(found) == 9
    with pytest.raises(UsageError, match="is of the table fmen-1, which is not of bsrn"):
        measured_for("bsrn", None, None, (path,))
    with pytest.raises(UsageError, match="and so is another file of times"):
        measured_for("fmen", None, None, (path, path))


@pytest.mark.parametrize(
    "content",
    ["[]", "{}", "[" * 100_000, *(json.dumps(TIMED).replace("85.0", bad) for bad in BAD_TIMES)],
)
def test_files_that_are_none_of_times(tmp_path, content):
    path = tmp_path / "times.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"times\.json: was not written by"):
        measured_for("fmen", None, None, (path,))


def test_a_folder_of_figures_is_made_before_the_work(tmp_path):
    make_folder(tmp_path / "new" / "folder")
    assert (tmp_path / "new" / "folder").is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file: cannot be a folder of figures"):
        make_folder(tmp_path / "file")
