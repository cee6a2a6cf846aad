import json

import msgspec
import numpy as np
import pytest
import torch
from commands import leansr
from PIL import Image
from run_folders import quiet

from leansr.errors import DataError, UsageError
from leansr.lab.train.plan import Plan, plan
from leansr.lab.train.plan_text import duration, lines, loss, optimizer, schedule
from leansr.lab.train.processes import Processes
from leansr.lab.train.recipe import (
    Data,
    Finish,
    Loss,
    Optimizer,
    Schedule,
    Start,
    Teacher,
    load,
    shipped,
)
from leansr.lab.train.trainer import Run

RECIPE = """
variant = "sesr-m3"
scale = 2
space = "direct"
compile = false
validate_every = 40
data = {lr_crop = 8, batch = 2}
optimizer = {name = "muon", lr = 1e-3}
schedule = {warmup_steps = 1, decay = 0.5, steps = 100}
"""


@pytest.fixture
def recipe_file(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


def everything(folder):
    """Every file below a folder, with what is in it."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_dry_run_writes_nothing(tmp_path, pictures_folder, recipe_file, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = everything(tmp_path)
    common = "train", recipe_file, "--data", pictures_folder, "--dry-run"
    for more in ((), ("--run", tmp_path / "run"), ("--validation", pictures_folder, "--json")):
        done = leansr(*common, *more)
        assert done.exit_code == 0, done.output
    assert everything(tmp_path) == before
    assert not (tmp_path / "run").exists()


def test_in_words_and_as_json(tmp_path, pictures_folder, recipe_file):
    arguments = ["train", recipe_file, "--data", pictures_folder, "--dry-run", "--threads", 1]
    arguments += ["--validation", pictures_folder]
    words = leansr(*arguments).stdout
    for line in (
        f"recipe      {recipe_file}",
        # 5 x 5 x 16 + 3 x 9 x 256 + 25 x 16 x 4 kernels, 4 x 16 + 4 biases, 3 x 16 slopes
        "network     sesr-m3 x2: 9 028 parameters, direct space, fp32",
        "start       afresh, seed 0",
        "crops       2 of 8 x 8 LR pixels a step\n",
        "schedule    1 steps of warm-up, constant, a cosine to zero over the last 50%; 100 steps",
        "validation  4 pictures every 40 steps; the best weights are kept",
        "1 thread, not compiled",
        " here, 100 steps at ",
    ):
        assert line in words
    told = json.loads(leansr(*arguments, "--json").stdout)
    assert (told["schema"], told["params"], told["step"], told["steps"]) == (1, 9028, 0, 100)
    # 48 x 60 are left of 49 x 60; luma is two bytes, and LR a quarter of HR.
    assert told["pictures"] == told["validation_pictures"] == 4
    assert told["megapixels"] == pytest.approx(4 * 48 * 60 / 1e6)
    assert told["data_mib"] == pytest.approx(4 * 48 * 60 * 2 * 1.25 / 2**20)
    assert (told["compiled"], told["mapped"], told["threads"]) == (False, False, 1)
    assert told["seconds_per_step"] > 0
    assert told["seconds_to_start"] >= 0
    by_hand = 100 * told["seconds_per_step"] + 2 * told["seconds_per_validation"]
    assert told["minutes_left"] == pytest.approx(by_hand / 60)
    assert msgspec.convert(told["recipe"], type=type(load(str(recipe_file)))) == load(
        str(recipe_file)
    )


def test_a_plan_of_the_rest_of_a_run(tmp_path, pictures_folder, tiny):
    Run(tiny, tmp_path / "run", pictures_folder, report=quiet).train(max_minutes=1e-9)
    before = everything(tmp_path)
    found = plan(Run(tiny, tmp_path / "run", pictures_folder, report=quiet))
    assert everything(tmp_path) == before
    assert 1 <= found.step < found.steps == 9
    assert dict(lines(found))["start"] == f"goes on from step {found.step}"
    assert found.minutes_left == pytest.approx((9 - found.step) * found.seconds_per_step / 60)
    Run(tiny, tmp_path / "run", pictures_folder, report=quiet).train()
    over = plan(Run(tiny, tmp_path / "run", pictures_folder, report=quiet))
    assert (over.step, over.minutes_left) == (9, 0)
    assert dict(lines(over))["time"] == "none: the run is over"


def test_a_budget_of_minutes_holds_so_many_steps(tmp_path, pictures_folder, tiny):
    recipe = msgspec.structs.replace(tiny, schedule=Schedule(minutes=10))
    found = plan(Run(recipe, tmp_path / "run", pictures_folder, pictures_folder, quiet))
    assert found.steps == round(600 / found.seconds_per_step)
    assert found.minutes_left == pytest.approx(
        10 + found.steps // 3 * found.seconds_per_validation / 60, rel=0.01
    )
    told = dict(lines(found))
    assert told["schedule"] == "a cosine to zero; 10 minutes"


def test_larger_crops_at_the_end_take_longer(tmp_path, pictures_folder, tiny):
    """Half of the steps with four times the pixels, and half of the minutes with a quarter."""
    finish = Finish(share=0.5, data=Data(lr_crop=16, batch=2))
    recipe = msgspec.structs.replace(tiny, schedule=Schedule(steps=100), finish=finish)
    found = plan(Run(recipe, tmp_path / "run", pictures_folder, report=quiet))
    by_hand = 50 * found.seconds_per_step + 50 * 4 * found.seconds_per_step
    assert found.training_minutes == pytest.approx(by_hand / 60)
    recipe = msgspec.structs.replace(recipe, schedule=Schedule(minutes=10))
    found = plan(Run(recipe, tmp_path / "run", pictures_folder, report=quiet))
    by_hand = 300 / found.seconds_per_step + 300 / (4 * found.seconds_per_step)
    assert (found.steps, found.training_minutes) == (pytest.approx(by_hand, abs=1), 10)


def test_what_is_wrong_shows_before_the_first_step(tmp_path, pictures_folder, recipe_file):
    Image.fromarray(np.zeros((10, 12, 3), np.uint8)).save(pictures_folder / "small.png")
    (pictures_folder / "torn.png").write_text("no picture")
    done = leansr("train", recipe_file, "--data", pictures_folder, "--dry-run")
    assert isinstance(done.exception, DataError)
    for words in ("2 of 6 pictures", "small.png: 12 x 10 pixels are fewer than the 16", "torn.png"):
        assert words in str(done.exception)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--run: the run's folder is missing"),
        (["--run", "r", "--json"], "--json: is what --dry-run prints"),
        (["--dry-run", "--room-mib", "0"], "--room-mib"),
    ],
)
def test_options_that_do_not_go_together(pictures_folder, recipe_file, arguments, words):
    done = leansr("train", recipe_file, "--data", pictures_folder, *arguments)
    assert done.exit_code != 0
    assert words in done.output or words in str(done.exception)


def test_too_little_memory_is_told(tmp_path, pictures_folder, tiny, monkeypatch):
    """As torch tells it of a GPU."""
    run = Run(tiny, tmp_path / "run", pictures_folder, report=quiet)

    def full(tensor):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.Tensor, "backward", full)
    with pytest.raises(UsageError, match="too little memory for a step"):
        plan(run)


def test_processes_agree_on_how_many_steps_they_time(tmp_path, pictures_folder, tiny):
    """Or they would wait for each other for ever."""

    class BesideASlowOne(Processes):
        def largest(self, *values):
            return [max(value, 4.0) for value in values]

    run = Run(tiny, tmp_path / "run", pictures_folder, report=quiet)
    run.processes = BesideASlowOne()
    plan(run)
    # Two and the one that is timed: a fast process alone would take up to a hundred more.
    assert run.progress.step == 3


def test_a_network_of_other_arguments(tmp_path, pictures_folder, tiny):
    recipe = msgspec.structs.replace(tiny, network={"channels": 8})
    told = dict(lines(plan(Run(recipe, tmp_path / "run", pictures_folder, report=quiet))))
    assert told["network"] == "sesr-m3 x2, channels 8: 2 788 parameters, direct space, fp32"
    unknown = msgspec.structs.replace(tiny, network={"chanels": 8})
    with pytest.raises(UsageError, match="chanels"):
        Run(unknown, tmp_path / "run", pictures_folder, report=quiet)


@pytest.fixture
def facts():
    """A plan but for its recipe."""
    return {
        "params": 12_345,
        "space": None,
        "compiled": True,
        "device": "a CPU",
        "threads": 2,
        "processes": 2,
        "source": "ours",
        "licence": "CC0",
        "pictures": 1000,
        "modes": "3 are grey",
        "megapixels": 2800.0,
        "data_mib": 10_000.0,
        "mapped": True,
        "validation_pictures": 0,
        "step": 0,
        "steps": 10_000,
        "seconds_per_step": 0.36,
        "seconds_to_start": 0.0,
        "training_minutes": 60.0,
        "seconds_per_validation": None,
    }


@pytest.mark.parametrize("name", shipped())
def test_every_recipe_can_be_told(name, facts):
    recipe = load(name)
    told = dict(lines(Plan(recipe=recipe, **facts)))
    assert all(told.values())
    network, _, cost = told["network"].partition(": ")
    assert network.startswith(f"{recipe.variant} x{recipe.scale}")
    assert all(f", {name} " in network for name in recipe.network)
    assert cost.startswith("12 345 parameters")
    assert told["time"] == "60 minutes here, 10 000 steps at 360.0 ms"
    assert ("expected" in told) == (recipe.expect is not None)
    assert (recipe.start is None) == told["start"].startswith("afresh")


def test_what_starting_takes_is_told_where_it_counts(tiny, facts):
    for seconds, words in ((0.4, "360.0 ms"), (75.0, "360.0 ms; 75 s to start, once")):
        told = dict(lines(Plan(recipe=tiny, **(facts | {"seconds_to_start": seconds}))))
        assert told["time"].endswith(words)


def test_the_parts_of_a_recipe_in_words(tiny, facts):
    recipe = msgspec.structs.replace(
        tiny,
        ema=0.0,
        loss=Loss(name="charbonnier", fft=0.05),
        teacher=Teacher(weights="sesr-xl_x2", weight=0.25, self_ensemble=True),
        finish=Finish(
            share=0.1,
            data=Data(lr_crop=64, batch=4, degradation="photo", versions=5, untouched=0.2),
            loss=Loss(name="l2"),
        ),
        start=Start(weights="sesr-m5_x2", fresh=("first", "last")),
        data=Data(lr_crop=8, batch=2, candidates=3, degradation="photo", versions=5, untouched=0.2),
    )
    told = dict(lines(Plan(recipe=recipe, **facts)))
    assert told["loss"] == (
        "charbonnier (0.001) + 0.05 x that of spectra, 25% of it against sesr-xl_x2, the mean over "
        "its eight ways"
    )
    assert told["at the end"] == "over the last 10%, 4 of 64 x 64 LR pixels a step, loss l2"
    assert told["start"] == "sesr-m5_x2, but for first, last"
    assert told["crops"] == (
        "2 of 8 x 8 LR pixels a step, of 3 places the one with the most detail; LR degraded like a "
        "photo but for 20% of them, 5 versions of each picture"
    )
    assert told["average"] == "none"
    assert told["pictures"] == (
        "1000 of 2800.0 megapixels in all, 10000 MiB read from disk as needed; 3 are grey"
    )
    assert told["source"] == "ours (licence: CC0)"
    assert told["validation"] == "none: the newest weights are kept"
    assert told["device"] == "a CPU, 2 processes, compiled"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Schedule(steps=1, floor=0.01), "a cosine to 0.01 of it"),
        (Schedule(steps=1, decay=0.0), "constant"),
        (Schedule(steps=1, name="constant"), "constant"),
        (Schedule(steps=1, name="halving", every=6000), "times 0.5 every 6 000 steps"),
        (Schedule(steps=1, name="multi-step", milestones=(1, 2)), "times 0.5 at step 1, 2"),
        (Schedule(steps=1, name="one-cycle"), "up over the first 30%, then down to zero"),
    ],
)
def test_schedules_in_words(settings, words):
    assert schedule(settings) == words


@pytest.mark.parametrize("name", Loss.__annotations__["name"].__args__)
def test_losses_in_words(name):
    assert loss(Loss(name=name)).split()[0] == name


@pytest.mark.parametrize("name", Optimizer.__annotations__["name"].__args__)
def test_optimisers_in_words(name):
    told = optimizer(Optimizer(name=name, lr=1e-3, vector_lr=0.5, weight_decay=0.1, clip=1.0))
    assert told.startswith(f"{name} at 0.001")
    assert "slopes by adam at 0.0005" in told
    assert told.endswith("weight decay 0.1, gradients clipped to 1")
    assert ("momentum" in told) == (name == "muon")


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(0.5, "0.5 minutes"), (47.4, "47 minutes"), (150, "2.5 hours"), (9000, "6.2 days")],
)
def test_lengths_of_time(minutes, words):
    assert duration(minutes) == words
