"""Training curves: what is drawn is what the logs say."""

import math
from functools import partial
from xml.etree import ElementTree

import numpy as np
import pytest
from commands import leansr as command

from leansr.errors import DataError
from leansr.lab.plot.curves import draw_curves
from leansr.lab.train.log import Log, Row

leansr = partial(command, "plot")


def words_of(svg):
    """All that is written in an SVG, its lines joined."""
    return " ".join(" ".join(ElementTree.parse(svg).getroot().itertext()).split())


def test_curves_show_what_the_logs_say(tmp_path):
    rows = [Row(100 * i, 0.5 * i, 1e-3, 1 / i, 9.0, 30 + i if i > 1 else None) for i in range(1, 5)]
    (tmp_path / "one").mkdir()
    log = Log(tmp_path / "one" / "log.csv", 0)
    for row in rows:
        log.append(row)
    other = tmp_path / "deeper" / "one"
    other.mkdir(parents=True)
    Log(other / "log.csv", 0).append(Row(100, 0.4, 1e-3, 0.9, 9.0, None))
    svg = tmp_path / "a.svg"
    done = leansr("curves", tmp_path / "one", "-o", svg)
    assert done.exit_code == 0, done.output
    texts = words_of(svg)
    assert "one, best 34.000 dB" in texts
    done = leansr("curves", tmp_path / "one", other, "--by", "minutes", "-o", svg)
    texts = words_of(svg)
    assert f"{other}, not validated" in texts
    assert "minutes of training" in texts
    quality, loss = draw_curves({"a": rows}, "minutes").axes
    (line,) = quality.lines
    np.testing.assert_array_equal(line.get_xdata(), [0.5, 1.0, 1.5, 2.0])
    np.testing.assert_array_equal(line.get_ydata(), [math.nan, 32, 33, 34])
    np.testing.assert_array_equal(loss.lines[0].get_ydata(), [1, 1 / 2, 1 / 3, 1 / 4])


def test_a_run_whose_folder_begins_with_an_underscore(tmp_path):
    for name in ("_r3", "r4"):
        (tmp_path / name).mkdir()
        Log(tmp_path / name / "log.csv", 0).append(Row(100, 0.4, 1e-3, 0.9, 9.0, 30.0))
    svg = tmp_path / "a.svg"
    done = leansr("curves", tmp_path / "_r3", tmp_path / "r4", "-o", svg)
    assert done.exit_code == 0, done.output
    assert "_r3, best 30.000 dB r4, best 30.000 dB" in words_of(svg)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "is it a run?"),
        ("step,minutes\n1,2\n", "is not the log of a run"),
        ("step,minutes,lr,loss,steps_per_s,val_psnr\n1,a,1,1,1,1\n", "is not the log of a run"),
        ("step,minutes,lr,loss,steps_per_s,val_psnr\n", "has no rows yet"),
    ],
)
def test_what_is_no_run(tmp_path, content, words):
    if content is not None:
        (tmp_path / "log.csv").write_text(content)
    done = leansr("curves", tmp_path, "-o", tmp_path / "a.png")
    assert isinstance(done.exception, DataError)
    assert words in str(done.exception)
    assert not (tmp_path / "a.png").exists()
