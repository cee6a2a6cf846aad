"""The runs of a ranking: in turn, resumed, refused, and the same as ordinary runs."""

import io
import json
import os
import signal
import sys

import msgspec
import pytest
from commands import leansr
from PIL import Image, ImageOps

from leansr import cli
from leansr.errors import UsageError
from leansr.lab.train.contest import contest
from leansr.lab.train.log import read_rows
from leansr.lab.train.ranking import load
from leansr.lab.train.trainer import Run

SPACES = """
title = "spaces"
source = "ours"
figure = "luma PSNR"
seeds = 2

[base]
variant = "sesr-m3"
scale = 2
space = "direct"
compile = false
validate_every = 9
data = {lr_crop = 8, batch = 2}
optimizer = {name = "muon", lr = 5e-3, vector_lr = 0.1}
schedule = {steps = 9}

[[rows]]
name = "direct"
printed = 35.0

[[rows]]
name = "collapsed"
printed = 34.0
changes.space = "collapsed"
"""


@pytest.fixture
def two_rows(tmp_path):
    """A ranking that takes a moment."""
    path = tmp_path / "spaces.toml"
    path.write_text(SPACES)
    return load(str(path))


def held(ranking, tmp_path, pictures, **options):
    """What a contest gave that nothing stopped, and the runs that it began, in order."""
    lines = []
    options = {"report": lines.append} | options
    value, stopped_by = contest(ranking, tmp_path / "ranking", pictures, pictures, **options)
    assert stopped_by is None
    return value, [line.partition(":")[0] for line in lines if ": run " in line]


def test_rows_take_turns_and_give_what_ordinary_runs_give(tmp_path, pictures_folder, two_rows):
    value, begun = held(two_rows, tmp_path, pictures_folder)
    assert begun == ["direct seed 0", "collapsed seed 0", "direct seed 1", "collapsed seed 1"]
    assert json.loads((tmp_path / "ranking" / "ranking.json").read_text()) == value
    recipe = two_rows.recipe(two_rows.rows[1], 1)
    Run(recipe, tmp_path / "alone", pictures_folder, pictures_folder, lambda line: None).train()
    alone = read_rows(tmp_path / "alone" / "log.csv")[-1].val_psnr
    assert value["rows"][1]["psnr"]["1"] == pytest.approx(alone, abs=1e-4)
    assert value["rows"][0]["params"] == value["rows"][1]["params"]
    assert (value["colour"], value["scale"], value["steps"], value["seeds"]) == ("y", 2, 9, 2)
    (pair,) = value["pairs"]
    assert (pair["first"], pair["printed_difference"]) == ("direct", 1.0)


def test_what_is_trained_is_not_trained_again(tmp_path, pictures_folder, two_rows):
    before, begun = held(two_rows, tmp_path, pictures_folder, seeds=1)
    assert begun == ["direct seed 0", "collapsed seed 0"]
    assert before["pairs"][0]["verdict"] == "cannot be told apart"
    value, begun = held(two_rows, tmp_path, pictures_folder)
    assert begun == ["direct seed 1", "collapsed seed 1"]
    expect = {"set5_psnr_y": 1, "set14_psnr_y": 2, "source": "here"}
    told = msgspec.structs.replace(two_rows, base=two_rows.base | {"expect": expect})
    assert held(told, tmp_path, pictures_folder)[1] == []
    for row, old in zip(value["rows"], before["rows"], strict=True):
        assert row["psnr"]["0"] == old["psnr"]["0"]


def test_interrupted_it_stops_and_goes_on(tmp_path, pictures_folder, two_rows):
    whole, _ = held(two_rows, tmp_path / "whole", pictures_folder)

    base = two_rows.base | {"validate_every": 3}
    often = msgspec.structs.replace(two_rows, base=base)

    def stop(line):
        if "collapsed seed 0: step 3  loss" in line:
            os.kill(os.getpid(), signal.SIGINT)

    folder = tmp_path / "ranking"
    cut, stopped_by = contest(often, folder, pictures_folder, pictures_folder, report=stop)
    assert stopped_by == signal.SIGINT
    assert [list(row["psnr"]) for row in cut["rows"]] == [["0"], []]
    assert cut["pairs"] == []
    value, begun = held(often, tmp_path, pictures_folder)
    assert begun == ["collapsed seed 0", "direct seed 1", "collapsed seed 1"]
    assert [row["psnr"] for row in value["rows"]] == [row["psnr"] for row in whole["rows"]]
    nothing, begun = held(often, tmp_path / "late", pictures_folder, max_minutes=1e-9)
    assert begun == []
    assert all(row["mean"] is None for row in nothing["rows"])


def test_a_log_that_is_lost_is_made_again(tmp_path, pictures_folder, two_rows):
    """Of the run's last checkpoint, with the same result."""
    before, _ = held(two_rows, tmp_path, pictures_folder, seeds=1)
    place = tmp_path / "ranking" / "direct" / "0"
    (place / "log.csv").write_text("nothing")
    value, begun = held(two_rows, tmp_path, pictures_folder, seeds=1)
    assert begun == ["direct seed 0"]
    psnr = [row["psnr"]["0"] for row in value["rows"]]
    assert psnr == pytest.approx([row["psnr"]["0"] for row in before["rows"]], abs=1e-6)
    # A log whose end is not what the run gave cannot be made again.
    row = read_rows(place / "log.csv")[-1]
    told = (place / "log.csv").read_text()
    (place / "log.csv").write_text(told.replace(str(row.val_psnr), ""))
    with pytest.raises(UsageError, match=rf"the run is over, .*; remove {place}$"):
        held(two_rows, tmp_path, pictures_folder, seeds=1)


def test_what_rank_refuses(tmp_path, pictures_folder, two_rows, monkeypatch):
    (tmp_path / "ranking").write_text("")
    with pytest.raises(UsageError, match=r"--run: .*ranking is not a folder"):
        held(two_rows, tmp_path, pictures_folder)
    monkeypatch.setenv("WORLD_SIZE", "2")
    given = ["--data", "none", "--validation", "none", "--run", "none"]
    done = leansr("rank", "spaces.toml", *given)
    assert isinstance(done.exception, UsageError)
    assert "one process" in str(done.exception)


def test_a_folder_is_of_one_ranking(tmp_path, pictures_folder, two_rows):
    held(two_rows, tmp_path, pictures_folder, seeds=1)
    more = two_rows.base | {"schedule": two_rows.base["schedule"] | {"steps": 12}}
    longer = msgspec.structs.replace(two_rows, base=more)
    with pytest.raises(UsageError, match="direct/0: is a run of another recipe; give the ranking"):
        held(longer, tmp_path, pictures_folder)
    other = msgspec.structs.replace(two_rows, title="blocks")
    with pytest.raises(UsageError, match='is of the ranking "spaces"; give a new folder'):
        held(other, tmp_path, pictures_folder)
    with Image.open(pictures_folder / "a.png") as picture:
        ImageOps.invert(picture).save(pictures_folder / "a.png")
    with pytest.raises(UsageError, match="is a ranking on other training pictures"):
        held(two_rows, tmp_path, pictures_folder)
    (tmp_path / "ranking" / "ranking.json").write_text("[]")
    with pytest.raises(UsageError, match=r"ranking.json: is not what a ranking wrote"):
        held(two_rows, tmp_path, pictures_folder)
    (tmp_path / "ranking" / "direct" / "0" / "recipe.json").write_text("{")
    (tmp_path / "ranking" / "ranking.json").unlink()
    with pytest.raises(UsageError, match=r"recipe.json: is no recipe .* remove the run"):
        held(two_rows, tmp_path, pictures_folder)


def ranked(tmp_path, pictures):
    """The command that trains the ranking of a test."""
    where = "--data", pictures, "--validation", pictures, "--run", tmp_path / "ranking"
    return ["rank", tmp_path / "spaces.toml", *where, "--threads", 1]


class Watched(io.StringIO):
    """Sends a signal once the first row of a log is told."""

    def write(self, text):
        if "step 2  loss" in text:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().write(text)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_signal_is_the_exit_code_of_rank(tmp_path, pictures_folder, monkeypatch, capsys):
    long = SPACES.replace("steps = 9", "steps = 1_000_000")
    (tmp_path / "spaces.toml").write_text(long.replace("validate_every = 9", "validate_every = 2"))
    arguments = [str(a) for a in ranked(tmp_path, pictures_folder)]
    told = Watched()
    monkeypatch.setattr(sys, "stderr", told)
    with pytest.raises(SystemExit) as ended:
        cli.cli.main([*arguments, "--json"], standalone_mode=False)
    assert ended.value.code == 128 + signal.SIGTERM
    assert "is saved; the same command goes on from there" in told.getvalue()
    assert json.loads(capsys.readouterr().out)["rows"][0]["psnr"] == {}


def test_rank_prints_its_table(tmp_path, pictures_folder, two_rows):
    folder = tmp_path / "ranking"
    arguments = ranked(tmp_path, pictures_folder)
    done = leansr(*arguments, "--max-minutes", "1e-9")
    assert done.exit_code == 0, done.output
    assert "0 of 4 runs are over; the same command goes on" in done.stderr
    done = leansr(*arguments, "--json")
    assert done.exit_code == 0, done.output
    value = json.loads(done.stdout)
    assert value == json.loads((folder / "ranking.json").read_text())
    assert value["schema"] == 1
    done = leansr(*arguments)
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    title, printed, head, first, second, verdict, total = done.stdout.splitlines()
    assert title.startswith("spaces (ours); ")
    assert printed == "printed: luma PSNR"
    assert [line.split()[0] for line in (head, first, second)] == ["row", "direct", "collapsed"]
    assert verdict.startswith("direct over collapsed: ")
    assert total.startswith("of all 1 pairs: ")
