import pytest

from leansr.lab import papers
from leansr.lab.measure.tradeoff import Row, saved_per_loss

SETS = ("set5", "set14", "b100", "urban100")
TABLES = [row for row in papers.rows("study") if row["table"] in ("1", "2")]
BASELINES = {
    (row["table"], row["scale"]): row
    for row in TABLES
    if row["variant"] in ("rcan-bl", "rcan-bl-e")
}
LEAN = [row for row in TABLES if row not in BASELINES.values()]


def printed(row):
    return Row(
        multi_adds=float(row["macs_g"]),
        params=float(row["params_k"]),
        psnr={name: float(row[f"{name}_psnr"]) for name in SETS},
    )


def to_digits_of(cell, value):
    return f"{value:.{len(cell.partition('.')[2])}f}"


@pytest.mark.parametrize("row", LEAN, ids=lambda row: f"{row['variant']}_x{row['scale']}")
def test_tables_1_and_2(row):
    """From the printed counts, to the last digit: those are what the study divided."""
    saved = saved_per_loss(printed(BASELINES[row["table"], row["scale"]]), printed(row))
    multi_adds, params = row["macs_saved_g"], row["params_saved_k"]
    assert to_digits_of(multi_adds, saved.multi_adds) == multi_adds
    assert to_digits_of(params, saved.params) == params


def test_all_28_rows_are_there():
    assert len(LEAN) == 28


def test_a_gain_on_one_set_counts_against_drops_on_the_others():
    full = Row(100.0, 1000.0, {"set5": 38.0, "set14": 33.0})
    lean = Row(40.0, 1300.0, {"set5": 37.9, "set14": 33.04})
    saved = saved_per_loss(full, lean)
    assert saved.multi_adds == pytest.approx(10.0)
    assert saved.params == pytest.approx(-50.0)


@pytest.mark.parametrize("psnr", [{"set5": 37.90, "set14": 33.13}, {"set5": 38.0, "set14": 33.13}])
def test_no_loss_has_no_price(psnr):
    full = Row(100.0, 1000.0, {"set5": 37.93, "set14": 33.10})
    with pytest.raises(ValueError, match="no PSNR is lost"):
        saved_per_loss(full, Row(50.0, 500.0, psnr))


def test_other_sets_are_refused():
    full = Row(100.0, 1000.0, {"set5": 38.0, "set14": 33.0})
    with pytest.raises(ValueError, match="set5, set14 and set5"):
        saved_per_loss(full, Row(50.0, 500.0, {"set5": 37.0}))
