"""Every printed figure beside ours: what fits, what does not, and a word for each difference."""

import csv
import json
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from leansr import zoo
from leansr.cli import reproduce as command
from leansr.errors import DataError, UsageError, WeightsError
from leansr.image.resize import resize
from leansr.lab import papers
from leansr.lab.nets import build
from leansr.lab.papers import PAPERS
from leansr.lab.reproduce.cell import fits
from leansr.lab.reproduce.figures import at_hand, draw, make_folder
from leansr.lab.reproduce.measured import measure, measured_for, released
from leansr.lab.reproduce.render import figure, text
from leansr.lab.reproduce.reproduction import reproduce
from leansr.lab.reproduce.tables import COMPUTED, MEASURED
from leansr.lab.weights import Imported, save_weights
from leansr.runtime.benchmarks import find
from leansr.runtime.evaluate import evaluate
from leansr.zoo.release import releases

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def pages():
    """The script that writes the pages of the docs."""
    spec = spec_from_file_location("reproductions", DOCS / "reproductions.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reproductions(pages):
    """Every paper, with what was measured for the docs at hand."""
    return pages.results()


@pytest.fixture(scope="module")
def cells(reproductions):
    return [cell for result in reproductions.values() for cell in result.cells]


# Of each paper's own networks: how many figures are counted on them, and how many of those fit.
COUNTED = {
    "bsrn": (35, 28),
    "fmen": (21, 20),
    "mdrn": (34, 32),
    "study": (103, 101),
    "sesr": (47, 46),
}


@pytest.mark.parametrize("paper", PAPERS)
def test_how_much_is_counted_and_fits(reproductions, paper):
    score = reproductions[paper].own("counted")
    assert (score.computed, score.fitting) == COUNTED[paper]


def test_nearly_all_of_the_papers_own_figures_fit(reproductions):
    scores = [result.own("counted", "arithmetic") for result in reproductions.values()]
    computed = sum(score.computed for score in scores)
    assert computed >= 300
    assert sum(score.fitting for score in scores) / computed >= 0.95


def test_what_is_no_matter_of_tables_holds(reproductions):
    for kind in ("arithmetic", "form", "estimated"):
        for result in reproductions.values():
            assert result.own(kind).fitting == result.own(kind).computed


def test_every_difference_has_its_reason(cells):
    assert [c for c in cells if c.fits is False and not c.why] == []
    assert not any(c.fits is not None for c in cells if c.kind == "measured")
    assert [c for c in cells if c.ours is None and not c.why] == []


def test_every_reason_has_its_difference(cells):
    used = {cell.why for cell in cells} | {cell.convention for cell in cells}
    for row in papers.rows("misfits"):
        assert row["why"] in used
    for row in papers.rows("otherwise"):
        assert any(row["why"] in words for words in used)


def test_every_printed_figure_is_there(reproductions):
    """Counted in the files themselves: a column that is no figure is one of the labels."""
    labels = {"paper", "table", "model", "variant", "scale", "rank", "note"}
    for paper, result in reproductions.items():
        printed = [
            (row["table"], column)
            for name in (paper, "challenge")
            for row in papers.rows_of(name, paper)
            for column, figure in row.items()
            if column not in labels and figure
        ]
        assert {column for _, column in printed} <= COMPUTED.keys() | MEASURED.keys()
        for name, columns in (
            ("times", {"printed_ms": "runtime_ms", "printed_change_pct": "time_change_pct"}),
            ("sesr_hardware", {c: c for c in ("macs_g", "dram_mb", "runtime_ms", "fps")}),
        ):
            rows = papers.rows(name) if paper == "sesr" or name == "times" else []
            rows = [r for r in rows if r.get("paper", "SESR") == papers.TITLES[paper]]
            printed += [(r["table"], columns[c]) for r in rows for c in columns if r[c]]
        shown = [(c.table, c.column) for c in result.cells if c.table.isdecimal()]
        assert sorted(printed) == sorted(shown)


def test_quality_is_what_was_measured_and_else_empty(cells, pages):
    stored = json.loads(pages.QUALITY.read_text(encoding="utf-8"))
    known = {(r["paper"], r["variant"], r["scale"], r["column"]): r["value"] for r in stored}
    quality = [cell for cell in cells if cell.column.endswith(("_psnr", "_ssim"))]
    for cell in quality:
        release = releases().get((cell.variant, cell.scale))
        benchmark = {"set5": "Set5", "set14": "Set14"}.get(cell.column.rpartition("_")[0])
        expected = known.get((cell.paper, cell.variant, cell.scale, cell.column))
        if expected is None and release is not None and cell.column.endswith("_psnr"):
            expected = benchmark and release.psnr_y(benchmark)
        if release is None or cell.column.endswith("_psnr"):
            assert cell.ours == expected
    assert sum(cell.ours is not None for cell in quality) > 60


# Pixels of a 1280 x 720 picture, and of what it is made of at x2 and x4.
HR, HALF, QUARTER = 1280 * 720, 640 * 360, 320 * 180
VDSR = HR * 9 * (64 + 18 * 64 * 64 + 64)
M11 = {2: HALF * 27_344, 4: QUARTER * 32_144}
XL = {2: HALF * 105_376, 4: QUARTER * 114_976}


@pytest.mark.parametrize(
    ("paper", "words", "variant", "scale", "printed", "worked_out"),
    [
        ("sesr", "fewer MACs than VDSR", "sesr-m11", 4, 331, VDSR / M11[4]),
        ("sesr", "fewer MACs than VDSR", "sesr-m11", 2, 97, VDSR / M11[2]),
        ("sesr", "fewer MACs than LapSRN", "sesr-xl", 4, 22.5, 149.4e9 / XL[4]),
        ("sesr", "fewer MACs than BTSRN", "sesr-xl", 2, 8.55, 207.7e9 / XL[2]),
        ("sesr", "fewer MACs than FSRCNN", "sesr-m5", 4, 4.4, 4.63e9 / (QUARTER * 18_320)),
        ("study", "than MemNet", "rcan-blrn-e-r2-rb", 4, 6, 623.9 / 108.3),
        ("study", "than VDSR", "rcan-blrn-e-r2-rb", 4, 6, VDSR / 108.3e9),
        ("study", "than SRMDNF", "rcan-blrn-e-r2-rb", 2, 4.1, 2218 / 535),
        ("study", "than SRMDNF", "rcan-blrn-e-r2-rb", 4, 5.8, 3988 / 683),
        # RCAN's 15.59 M, by its authors' release.
        ("study", "of RCAN over blrn-e[rb]", "rcan-blrn-e-r2-rb", 4, 22.8, 15_592 / 683),
        ("study", "of RCAN over blm1-e[rb]", "rcan-blm1-e-rb", 4, 30.5, 15_592 / 511),
        ("fmen", "peak memory of FMEN", "fmen", 4, 68, 64 + 0.75 + 769_428 * 4 / 2**20),
    ],
)
def test_what_the_texts_claim(reproductions, paper, words, variant, scale, printed, worked_out):
    (cell,) = [
        c
        for c in reproductions[paper].cells
        if words in c.model
        and (c.variant, c.scale, float(c.printed or 0)) == (variant, scale, printed)
    ]
    assert cell.fits
    assert cell.ours == pytest.approx(worked_out, rel=6e-3)


def test_a_claim_says_what_it_takes_from_the_print(reproductions):
    why = {
        (c.model, c.variant, c.scale): c.why
        for c in reproductions["sesr"].cells
        if c.table == "section 4.2"
    }
    fsrcnn = why["fewer MACs than FSRCNN (x)", "sesr-m5", 4]
    assert fsrcnn == "FSRCNN as printed, 4.63; we count 0.7179"
    assert why["fewer MACs than BTSRN (x)", "sesr-xl", 2] == "BTSRN as printed: not in the zoo"
    assert why["fewer MACs than VDSR (x)", "sesr-m11", 4] == ""


@pytest.mark.parametrize(
    ("ours", "printed", "tolerance", "expected"),
    [
        (352.4, "352", None, True),
        (748.656, "748", None, True),  # cut
        (1554.5, "1555", None, True),  # rounded
        (1554.4, "1555", None, False),
        (231.31, "231.2", None, False),
        (231.31, "231.2", 0.005, True),
        (-15.963, "-15.96", None, True),
    ],
)
def test_when_a_figure_fits(ours, printed, tolerance, expected):
    assert fits(ours, printed, tolerance) is expected


@pytest.mark.parametrize(
    ("ours", "printed", "expected"),
    [(352.4, "352", "352.4"), (0.0, "0", "0.0"), (1e-7, "0", "1.0e-07"), (2.872, "6.00", "2.872")],
)
def test_how_a_figure_is_written(ours, printed, expected):
    assert figure(ours, printed) == expected


def test_json_is_the_contract(reproductions):
    for paper, result in reproductions.items():
        value = json.loads(json.dumps(result.as_json()))
        assert (value["schema"], value["paper"]) == (1, paper)
        keys = "model variant scale column printed ours fits convention why kind tolerance is_own"
        for table in value["tables"]:
            assert set(table) == {"table", "rows"}
            for row in table["rows"]:
                assert set(row) == set(keys.split())
                assert isinstance(row["printed"], float) or row["kind"] == "form"
                assert row["ours"] is None or isinstance(row["ours"], float | int)


def test_as_text_everything_is_there_once(reproductions):
    for result in reproductions.values():
        shown = text(result)
        for name, _ in result.tables():
            title = f"Table {name}" if name.isdecimal() else f"{name[:1].upper()}{name[1:]}"
            assert shown.count(f"\n\n{title}\n\n") == 1
        assert "|" not in shown


def test_the_docs_are_what_is_computed(pages, reproductions):
    found = pages.pages(reproductions)
    assert set(found) == {"index", *PAPERS}
    heads = set()
    for name, now in found.items():
        written = (DOCS / "reproduce" / f"{name}.md").read_text(encoding="utf-8")
        assert pages.body(written) == now, f"{name}.md: run `make docs`"
        heads.add(written.partition("\n")[0])
    (head,) = heads
    assert re.match(r"<!-- written by \S+ on \d{4}-\d\d-\d\d, after commit \w{7,} -->", head)


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


def test_the_command_offers_every_paper():
    assert command.PAPERS == PAPERS


def test_rows_have_no_stray_cells():
    """A comma in a text would move the cells after it."""
    for path in (Path(papers.__file__).parent).glob("*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            head, *rows = csv.reader(file)
        assert {len(row) for row in rows} == {len(head)}, path.name


def test_numpy_is_not_in_the_json(reproductions):
    for result in reproductions.values():
        assert not any(isinstance(cell.ours, np.generic) for cell in result.cells)


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
