"""Every printed figure beside ours: what fits, what does not, and a word for each difference."""

import csv
import json
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

from leansr.cli import reproduce as command
from leansr.lab import papers
from leansr.lab.papers import PAPERS
from leansr.lab.reproduce.cell import fits
from leansr.lab.reproduce.render import figure, text
from leansr.lab.reproduce.tables import COMPUTED, MEASURED
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
