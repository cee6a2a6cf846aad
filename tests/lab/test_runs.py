"""`leansr runs`: what it says of runs is what lies in their folders."""

import json
import os
from functools import partial
from pathlib import Path

import msgspec
import pytest
from commands import leansr as command
from drawings import drawn
from run_folders import add_weights, make_run, three_rows

from leansr.errors import DataError
from leansr.lab.train.checkpoint import BEFORE, NEWEST
from leansr.lab.train.recipe import Data, Expect, Schedule, Start, shipped
from leansr.lab.train.runs import (
    differences,
    find_runs,
    is_over,
    read_record,
    settings,
    unfinished,
    usual,
)

leansr = partial(command, "runs")


def with_seed(recipe, seed, **changes):
    return msgspec.structs.replace(recipe, seed=seed, **changes)


@pytest.fixture
def folder(tmp_path, tiny):
    """Three runs: over, stopped after two rows of three, and deeper one that has just begun."""
    folder = tmp_path / "runs"
    make_run(folder / "b", tiny, three_rows())
    make_run(folder / "a", with_seed(tiny, 1), three_rows(best=32.0)[:2])
    make_run(folder / "deep" / "c", with_seed(tiny, 0, ema=0.9), is_saved=False, is_old=False)
    return folder


def test_what_is_said_of_each(folder):
    done = leansr(folder, "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    value = json.loads(done.stdout)
    assert (value["schema"], value["failed"]) == (1, [])
    a, b, c = value["runs"]
    assert b == {
        "name": "b",
        "folder": str(folder / "b"),
        "variant": "sesr-m3",
        "scale": 2,
        "state": "finished",
        "step": 9,
        "of_steps": 9,
        "minutes": 1.5,
        "of_minutes": None,
        "steps_per_s": 20.0,
        "waiting_pct": 1.5,
        "loss": 0.04 / 3,
        "best_psnr": 31.5,
        "best_step": 6,
        "differs": {"seed": 0, "ema": 0.999},
    }
    assert (a["name"], a["state"], a["step"], a["best_psnr"]) == ("a", "stopped", 6, 32.0)
    assert a["differs"] == {"seed": 1, "ema": 0.999}
    assert (c["name"], c["state"]) == ("deep/c", "running?")
    assert (c["step"], c["loss"], c["best_psnr"], c["steps_per_s"]) == (0, None, None, None)


def test_the_table(folder):
    done = leansr(folder, "--sort", "best")
    head, *rows, common = done.stdout.splitlines()
    assert head.split()[:3] == ["run", "network", "state"]
    assert [row.split()[0] for row in rows] == ["a", "b", "deep/c"]
    assert rows[0].split()[1:] == [
        *("sesr-m3", "x2", "stopped", "6/9", "1", "15", "0.02000", "32.000", "seed=1")
    ]
    # What most have is said once, below.
    assert rows[1].split()[-1] == "31.500"
    assert rows[2].split()[-4:] == ["-", "-", "-", "ema=0.9"]
    assert common == "most of them, where nothing else is said: ema=0.999 seed=0"


@pytest.mark.parametrize(
    ("order", "names"),
    [("name", "a b deep/c"), ("best", "a b deep/c"), ("minutes", "b a deep/c")],
)
def test_orders(folder, order, names):
    rows = json.loads(leansr(folder, "--json", "--sort", order).stdout)["runs"]
    assert [row["name"] for row in rows] == names.split()


def test_each_run_is_told_once_and_by_a_name_of_its_own(folder, tiny):
    make_run(folder / "deep" / "a", with_seed(tiny, 2))
    rows = json.loads(leansr(folder / "a", folder / "deep", folder / "a", "--json").stdout)["runs"]
    assert sorted(row["name"] for row in rows) == sorted(
        str(folder / name) for name in ("a", "deep/a", "deep/c")
    )
    assert find_runs(folder / "a") == [folder / "a"]


def test_damaged_runs_are_named_and_the_others_shown(folder):
    (folder / "a" / "log.csv").write_text("step,minutes\n1,2\n")
    (folder / "b" / "recipe.json").write_text('{"variant": "sesr-m3"}')
    (folder / "empty").mkdir()
    done = leansr(folder, folder / "empty", folder / "nowhere", "--json")
    assert done.exit_code == 1
    value = json.loads(done.stdout)
    assert [row["name"] for row in value["runs"]] == ["deep/c"]
    reasons = [row["reason"] for row in value["failed"]]
    assert done.stderr.splitlines() == [f"leansr: {reason}" for reason in reasons]
    assert reasons[0] == f"{folder / 'empty'}: holds no run of `leansr train`"
    assert reasons[1] == f"{folder / 'nowhere'}: is not a folder"
    assert reasons[2].startswith(f"{folder / 'a' / 'log.csv'}: is not the log of a run")
    assert reasons[3].startswith(f"{folder / 'b' / 'recipe.json'}: is not the recipe of a run")
    (folder / "deep" / "c" / "recipe.json").unlink()
    done = leansr(folder / "deep")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "recipe.json: cannot be read (No such file or directory); is it a run?" in done.stderr


def test_the_plot(folder, tmp_path):
    done = leansr(folder, "--plot", tmp_path / "a.png")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == str(tmp_path / "a.png")
    drawn(tmp_path / "a.png")
    done = leansr(folder, "--plot", tmp_path / "a.png", "--json")
    assert json.loads(done.stdout)["schema"] == 1
    done = leansr(folder / "deep", "--plot", tmp_path / "b.png")
    assert isinstance(done.exception, DataError)
    assert "there are no rows in the logs" in str(done.exception)
    assert "figures are written as" in str(leansr(folder, "--plot", "a.txt").exception)


def test_states(tmp_path, tiny):
    rows = three_rows()[:2]
    assert read_record(make_run(tmp_path / "a", tiny, rows)).state == "stopped"
    lost = make_run(tmp_path / "b", tiny, rows, is_saved=False)
    assert read_record(lost).state == "lost"
    now = make_run(tmp_path / "c", tiny, rows, is_saved=False, is_old=False)
    assert read_record(now).state == "running?"
    ended = make_run(tmp_path / "g", tiny, rows, is_old=False)
    assert read_record(ended).state == "running?"
    # The last thing that a run writes when it stops in good order.
    (ended / "report.md").touch()
    assert read_record(ended).state == "stopped"
    by_minutes = msgspec.structs.replace(tiny, schedule=Schedule(minutes=1.5))
    assert read_record(make_run(tmp_path / "d", by_minutes, three_rows())).state == "finished"
    assert read_record(make_run(tmp_path / "e", by_minutes, rows)).state == "stopped"
    one_left = make_run(tmp_path / "f", tiny, rows)
    (one_left / BEFORE).write_bytes((one_left / NEWEST).read_bytes())
    for path, state in ((one_left / NEWEST, "stopped"), (one_left / BEFORE, "lost")):
        os.truncate(path, 100)
        for name in (NEWEST, BEFORE):
            os.utime(one_left / name, (1e9, 1e9))
        assert read_record(one_left).state == state


def test_differences_are_those_of_every_key(tiny):
    """Against the JSON of the recipes, which is what a run's folder holds."""
    finish = with_seed(tiny, 3, start=Start(weights="sesr-m5_x2", fresh=("last",)))
    network = with_seed(tiny, 4, network={"channels": 8}, data=Data(lr_crop=8, batch=4))
    assert differences([tiny, finish, network]) == [
        {"seed": 0, "start": None, "network": None, "data.batch": 2},
        {
            "seed": 3,
            "start.weights": "sesr-m5_x2",
            "start.fresh": ["last"],
            "network": None,
            "data.batch": 2,
        },
        {"seed": 4, "start": None, "network.channels": 8, "data.batch": 4},
    ]
    told = differences([finish, finish, tiny])
    assert usual(told) == {"seed": 3, "start.weights": "sesr-m5_x2", "start.fresh": ["last"]}
    assert usual(differences([tiny, finish])) == {}
    assert differences([tiny, msgspec.structs.replace(tiny, variant="sesr-m5")]) == [{}, {}]
    value = json.loads(msgspec.json.encode(finish))
    for key, told_value in settings(finish).items():
        found = value
        for part in key.split("."):
            found = found[part]
        assert (found or None) == (told_value or None)


def test_the_queue_of_the_zoo_is_of_shipped_recipes():
    queue = Path(__file__).parents[2] / "weights" / "queue.txt"
    names = [line.partition("#")[0].strip() for line in queue.read_text().splitlines()]
    names = [name for name in names if name]
    assert names
    assert len(set(names)) == len(names)
    assert set(names) <= shipped().keys()


def test_whether_a_run_is_over(folder, tiny):
    """By its report, and the same recipe alone: with a longer schedule there is more to do."""
    add_weights(folder / "b", tiny)
    assert not is_over(folder / "b", tiny)
    (folder / "b" / "report.md").touch()
    assert is_over(folder / "b", tiny)
    expect = Expect(set5_psnr_y=1, set14_psnr_y=2, source="here")
    assert is_over(folder / "b", msgspec.structs.replace(tiny, expect=expect))
    # The report of a stop before, and a kill after the last row of the log.
    os.utime(folder / "b" / "report.md", (0, 0))
    assert not is_over(folder / "b", tiny)
    longer = msgspec.structs.replace(tiny, schedule=Schedule(steps=99))
    assert not is_over(folder / "b", longer)
    assert not is_over(folder / "a", with_seed(tiny, 1))
    assert not is_over(folder / "none", tiny)
    os.utime(folder / "b" / "report.md")
    assert is_over(folder / "b", tiny)
    (folder / "b" / "weights.safetensors").write_text("none")
    assert not is_over(folder / "b", tiny)


def test_weights_of_a_run_that_is_not_over(folder, tiny, tmp_path):
    """Nine steps make these runs; the best of one may be from before its end."""
    over, stopped = (add_weights(folder / name, tiny) for name in "ba")
    assert unfinished(over) is None
    assert unfinished(stopped) == f"{stopped}: after 6 of 9 steps; the run is not over"
    elsewhere = stopped.rename(tmp_path / "w.safetensors")
    assert unfinished(elsewhere) == (
        f"{elsewhere}: after 6 of 9 steps; the run was stopped, or this is its best"
    )
    assert unfinished(add_weights(tmp_path, tiny, steps=9)) is None
    timed = with_seed(tiny, 0, schedule=Schedule(minutes=90.04))
    assert unfinished(add_weights(tmp_path, timed)) is None
    early = add_weights(tmp_path, timed, minutes=89.5)
    assert unfinished(early).endswith(
        "after 89.5 of 90 minutes; the run was stopped, or this is its best"
    )


def test_export_says_that_a_run_is_not_over(folder, tiny, tmp_path):
    for name, told in (("a", "a/weights.safetensors: after 6 of 9 steps; the run"), ("b", "")):
        weights = add_weights(folder / name, tiny)
        done = command("export", weights, "--model", "sesr-m3", "-o", tmp_path / "m.onnx", "--json")
        assert done.exit_code == 0, done.output
        assert told in done.stderr
        assert done.stderr.count("\n") == bool(told)
        assert json.loads(done.stdout)["variant"] == "sesr-m3"
