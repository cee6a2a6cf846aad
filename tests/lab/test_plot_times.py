"""Figures of measured times: fronts and bubbles, and files that hold no times."""

import json
import math
from functools import partial

import pytest
from commands import leansr as command
from drawings import drawn, words_of

from leansr.errors import DataError, UsageError
from leansr.lab.plot.bubble import DEFAULT, bubbles
from leansr.lab.plot.points import COSTS
from leansr.lab.plot.times import read_times

leansr = partial(command, "plot")


def test_front_of_what_nobody_prints():
    done = leansr("front", "--scale", 8, "-o", "a.png")
    assert isinstance(done.exception, DataError)
    assert "no network has both" in str(done.exception)


@pytest.mark.parametrize("cost", COSTS)
def test_front_is_written_in_both_formats(tmp_path, times, cost):
    png, svg = tmp_path / "new" / "a.png", tmp_path / "a.svg"
    timed = ["--times", times] if cost == "measured_ms" else []
    done = leansr("front", "--cost", cost, *timed, "-o", png, "-o", svg)
    assert done.exit_code == 0, done.output
    assert done.stdout.split() == [str(png), str(svg)]
    assert drawn(png).shape[1] == 1080
    texts = words_of(svg)
    assert "sesr-m5" in texts
    assert "PSNR on Set5 x4, dB" in texts
    if timed:
        assert "median for 160 x 90 in, onnxruntime float32, a CPU, threads: 2" in texts
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.svg", "new", "times.json"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scale": 2}, "was timed at x2, not x4"),
        ({"rows": [{"variant": "bsrn"}]}, "was not written by"),
        ({"machine": None}, "was not written by"),
        ({"lr_size": [1]}, "was not written by"),
        ({"scale": math.inf}, "was not written by"),
        ({"scale": "4"}, "was not written by"),
        ({"scale": 4.5}, "was not written by"),
    ],
)
def test_times_that_are_none(times, change, words):
    times.write_text(json.dumps(json.loads(times.read_text()) | change))
    done = leansr("front", "--cost", "measured_ms", "--times", times, "-o", "a.png")
    assert words in str(done.exception)


@pytest.mark.parametrize("ms", ["NaN", "Infinity", "-1.0", "0", "1e999", "1" + "0" * 400])
def test_a_time_that_is_none(times, ms):
    times.write_text(times.read_text().replace("25.0", ms))
    with pytest.raises(DataError, match="was not written by `leansr bench --json`"):
        read_times(times, 4)


def test_times_nested_too_deep(times):
    times.write_text("[" * 200_000)
    with pytest.raises(DataError, match="was not written by `leansr bench --json`"):
        read_times(times, 4)


def test_times_of_bench_itself(tmp_path):
    arguments = "sesr-m3", "--scale", 4, "--lr-size", "24x16", "--warmup", 1, "--runs", 1
    done = command("bench", *arguments, "--threads", 1, "--json")
    assert done.exit_code == 0, done.output
    (tmp_path / "times.json").write_text(done.stdout)
    found = read_times(tmp_path / "times.json", 4)
    assert found.ms["sesr-m3"] > 0
    assert "median for 24 x 16 in, onnxruntime float32" in found.how


def test_times_that_are_ambiguous_missing_or_not_wanted(tmp_path, times):
    value = json.loads(times.read_text())
    value["rows"] *= 2
    twice = tmp_path / "twice.json"
    twice.write_text(json.dumps(value))
    (tmp_path / "text.json").write_text("no JSON")
    for file, words in (
        (twice, "has sesr-m5 more than once"),
        (tmp_path / "text.json", "was not written by"),
        (tmp_path / "none.json", "cannot be read"),
    ):
        done = leansr("front", "--cost", "measured_ms", "--times", file, "-o", "a.png")
        assert words in str(done.exception)
    for arguments in (["--times", times], ["--cost", "measured_ms"]):
        done = leansr("front", *arguments, "-o", "a.png")
        assert isinstance(done.exception, UsageError)
        assert "go together" in str(done.exception)
    done = leansr("bubble", "rlfn", "--times", times, "-o", "a.png")
    assert "rlfn: is not among the times" in str(done.exception)


def test_bubbles_hold_what_fmen_prints_of_itself():
    found = {b.variant: b for b in bubbles(DEFAULT, 4)}
    fmen = found["fmen"]
    assert fmen.params == 769_428
    assert round(fmen.memory / 2**20) == 68
    # The challenge's 22.28 G at the same size.
    assert found["fmen-s"].multi_adds / 1e9 == pytest.approx(22.28, abs=0.005)
    assert found["e-rfdn"].params == 433_448


def test_bubble_with_times_and_without(tmp_path, times):
    png, svg = tmp_path / "a.png", tmp_path / "b.svg"
    done = leansr("bubble", "-o", png, "--json")
    assert done.exit_code == 0, done.output
    value = json.loads(done.stdout)
    assert value["schema"] == 1
    assert [row["variant"] for row in value["rows"]] == list(DEFAULT)
    assert set(value["rows"][0]) == {"variant", "params", "memory", "multi_adds", "ms"}
    drawn(png)
    done = leansr("bubble", "fmen-s", "bsrn-s", "--times", times, "-o", svg)
    assert done.exit_code == 0, done.output
    texts = words_of(svg)
    assert "measured time, ms" in texts
    assert "341 K" in texts
