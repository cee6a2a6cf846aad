import math
import os
import re
import signal

import msgspec
import pytest
import torch
from run_folders import assert_same, log_of, quiet, state

from leansr.errors import DataError, MeasureError, UsageError
from leansr.lab import weights as weights_file
from leansr.lab.train.recipe import Schedule
from leansr.lab.train.runs import is_over
from leansr.lab.train.trainer import Run


def test_a_loss_that_is_lost_ends_the_run(tmp_path, pictures_folder, tiny):
    run = Run(tiny, tmp_path / "run", pictures_folder, report=quiet)
    with torch.no_grad():
        run.network.first.bias.fill_(float("nan"))
    with pytest.raises(UsageError, match="the weights are not finite at step 1"):
        run.train(checkpoint_minutes=0)
    with pytest.raises(UsageError, match="the weights are not finite at step 3"):
        run.train()
    kept = {path.name for path in (tmp_path / "run").iterdir()}
    assert kept == {"environment.json", "lock", "log.csv", "recipe.json"}


def poison(run, steps):
    """The gradients of these steps are not finite."""
    taken = run.learner._descend

    def descend(factor):
        if run.progress.step in steps:
            run.network.first.bias.grad.fill_(float("inf"))
        return taken(factor)

    run.learner._descend = descend


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_step_without_a_finite_gradient_is_skipped(tmp_path, pictures_folder, tiny, precision):
    recipe = msgspec.structs.replace(tiny, precision=precision)
    lines = []
    run = Run(recipe, tmp_path / "run", pictures_folder, report=lines.append)
    poison(run, {1, 4})
    run.train()
    assert run.progress.skipped == 2
    assert "2 skipped" in lines[-1]
    # The mean is of the steps that were taken.
    assert all(0 < float(row["loss"]) < 1 for row in log_of(tmp_path / "run"))
    assert all(tensor.isfinite().all() for tensor in run.learner.current.values())


def test_gradients_that_stay_lost_end_the_run(tmp_path, pictures_folder, tiny):
    recipe = msgspec.structs.replace(tiny, schedule=Schedule(steps=60), validate_every=60)
    run = Run(recipe, tmp_path / "run", pictures_folder, report=quiet)
    poison(run, range(5, 60))
    with pytest.raises(UsageError, match=r"no gradient has been finite .* at step 24"):
        run.train()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_a_run_between_two_steps(tmp_path, pictures_folder, tiny, number):
    def stop(line):
        if line.startswith("step 3  loss"):
            os.kill(os.getpid(), number)

    Run(tiny, tmp_path / "whole", pictures_folder, report=quiet).train()
    assert Run(tiny, tmp_path / "cut", pictures_folder, report=stop).train() == number
    assert state(tmp_path / "cut")["progress"]["step"] == 3
    assert Run(tiny, tmp_path / "cut", pictures_folder, report=quiet).train() is None
    assert_same(state(tmp_path / "whole")["network"], state(tmp_path / "cut")["network"])


def break_log(folder):
    (folder / "log.csv").write_text("step,minutes\n1,many\n")


def remove_log(folder):
    (folder / "log.csv").unlink()


def break_recipe(folder):
    (folder / "recipe.json").write_text("{")


def break_weights(folder):
    os.truncate(folder / "weights.safetensors", 900)


def remove_weights(folder):
    (folder / "weights.safetensors").unlink()


def break_report(folder):
    (folder / "report.md").unlink()


@pytest.mark.parametrize(
    "harm", [break_log, remove_log, break_recipe, break_weights, remove_weights, break_report]
)
def test_what_a_run_that_is_over_has_lost_is_written_again(tmp_path, pictures_folder, tiny, harm):
    folder = tmp_path / "run"
    Run(tiny, folder, pictures_folder, pictures_folder, quiet).train()
    assert is_over(folder, tiny)
    before = state(folder)
    last = log_of(folder)[-1]
    harm(folder)
    assert not is_over(folder, tiny)
    lines = []
    Run(tiny, folder, pictures_folder, pictures_folder, lines.append).train()
    assert lines[-1] == f"{folder}: the run is over; its weights are in weights.safetensors"
    assert is_over(folder, tiny)
    assert_same(before, state(folder))
    facts = weights_file.read_facts(folder / "weights.safetensors")
    assert facts.recipe == tiny
    row = log_of(folder)[-1]
    assert (row["step"], row["lr"]) == ("9", last["lr"])
    assert float(row["val_psnr"]) == pytest.approx(float(last["val_psnr"]), abs=1e-6)
    if harm in (break_weights, remove_weights):
        # No longer the best of all, and so they say.
        assert facts.validation_psnr == pytest.approx(float(last["val_psnr"]), abs=1e-6)
    assert (folder / "report.md").exists()


def test_weights_that_are_lost_on_the_way_are_those_of_the_next_validation(
    tmp_path, pictures_folder, tiny
):
    folder = tmp_path / "run"

    def stop(line):
        if line.startswith("step 3  loss"):
            os.kill(os.getpid(), signal.SIGTERM)

    Run(tiny, folder, pictures_folder, pictures_folder, stop).train()
    again = Run(tiny, folder, pictures_folder, pictures_folder, quiet)
    # Better than all that follow.
    again.progress.best_psnr = 99.0
    break_weights(folder)
    again.train()
    best = max(float(row["val_psnr"]) for row in log_of(folder) if int(row["step"]) > 3)
    facts = weights_file.read_facts(folder / "weights.safetensors")
    assert facts.validation_psnr == pytest.approx(best)


def test_a_report_that_cannot_be_written_is_no_failure(tmp_path, pictures_folder, tiny):
    (tmp_path / "run" / "curves.png").mkdir(parents=True)
    lines = []
    Run(tiny, tmp_path / "run", pictures_folder, report=lines.append).train()
    assert re.search(r"curves\.png: .*; the run itself is saved$", lines[-1])
    assert state(tmp_path / "run")["progress"]["step"] == 9


@pytest.mark.parametrize("name", ["log.csv", "weights.safetensors"])
def test_what_was_trained_without_a_checkpoint_is_not_overwritten(
    tmp_path, pictures_folder, tiny, name
):
    folder = tmp_path / "run"
    Run(tiny, folder, pictures_folder, report=quiet).train()
    for path in list(folder.iterdir()):
        if path.name != name:
            path.unlink()
    what = "a log" if name == "log.csv" else "weights"
    with pytest.raises(UsageError, match=f"has {what} but no checkpoint; give a new folder"):
        Run(tiny, folder, pictures_folder, report=quiet)
    assert [path.name for path in folder.iterdir()] == [name]


def test_there_is_a_checkpoint_from_the_first_row_on(tmp_path, pictures_folder, tiny):
    def crash(line):
        if "step 6" in line:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        Run(tiny, tmp_path / "run", pictures_folder, report=crash).train()
    assert state(tmp_path / "run")["progress"]["step"] == 3


@pytest.mark.skipif(os.name == "nt", reason="no flock")
def test_two_processes_do_not_train_in_one_folder(tmp_path, pictures_folder, tiny):
    told = []

    def intrude(line):
        if line.startswith("step 3  loss"):
            other = Run(tiny, tmp_path / "run", pictures_folder, report=quiet)
            with pytest.raises(UsageError, match="another process trains in it") as raised:
                other.train()
            told.append(raised.value)

    first = Run(tiny, tmp_path / "run", pictures_folder, report=intrude)
    first.train(checkpoint_minutes=0)
    assert len(told) == 1
    assert [row["step"] for row in log_of(tmp_path / "run")] == ["3", "6", "9"]


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("validation"),
        lambda state: state["progress"].update(epoch=1),
        lambda state: state.update(recipe='{"variant": 3}'),
        lambda state: state["network"].popitem(),
        lambda state: state["optimizers"].pop(),
    ],
)
def test_a_checkpoint_of_another_version(tmp_path, pictures_folder, tiny, change):
    Run(tiny, tmp_path / "run", pictures_folder, report=quiet).train(max_minutes=1e-9)
    saved = state(tmp_path / "run")
    change(saved)
    torch.save(saved, tmp_path / "run" / "checkpoint.pt")
    with pytest.raises(DataError, match="was written by another version of LeanSR; give a new"):
        Run(tiny, tmp_path / "run", pictures_folder, report=quiet)


def test_without_a_compiler_training_goes_on(tmp_path, pictures_folder, tiny, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    recipe = msgspec.structs.replace(tiny, compile=True)
    lines = []
    Run(recipe, tmp_path / "run", pictures_folder, report=lines.append).train()
    assert "no C++ compiler" in lines[0]
    assert state(tmp_path / "run")["progress"]["step"] == 9


def test_a_log_row_cut_off_in_the_middle_is_none(tmp_path, pictures_folder, tiny):
    Run(tiny, tmp_path / "run", pictures_folder, report=quiet).train(max_minutes=1e-9)
    (tmp_path / "run" / ".checkpoint.pt.x.part").touch()
    with (tmp_path / "run" / "log.csv").open("a") as file:
        file.write("3,0.1\n4")
    Run(tiny, tmp_path / "run", pictures_folder, report=quiet).train()
    assert [row["step"] for row in log_of(tmp_path / "run")] == ["3", "6", "9"]
    assert not list((tmp_path / "run").glob(".*"))


def test_a_skipped_step_leaves_running_statistics(tiny, tmp_path, pictures_folder):
    small = {"channels": 8, "attention_channels": (4, 4), "attention_blocks": (1, 1)}
    recipe = msgspec.structs.replace(tiny, variant="fmen", space=None, network=small)
    run = Run(recipe, tmp_path / "run", pictures_folder, report=quiet)
    feed = run.feed
    run._step()
    before = {name: tensor.clone() for name, tensor in run.learner.current.items()}
    run.feed = lambda step, data: tuple(crops.fill_(math.inf) for crops in feed(step, data))
    run._step()
    assert run.progress.skipped == 1
    assert_same(dict(run.learner.current), before)
    run.feed = feed
    run._step()
    assert run.progress.skipped == 1
    moved = {name for name, tensor in run.learner.current.items() if not tensor.equal(before[name])}
    assert any(name.endswith("running_mean") for name in moved)
    assert all(tensor.isfinite().all() for tensor in run.learner.current.values())


@pytest.mark.parametrize(
    ("fault", "error", "told"),
    [
        (
            torch.AcceleratorError("CUDA error: lost\nmore"),
            MeasureError,
            "at step 4: the device failed .CUDA error: los",
        ),
        (torch.OutOfMemoryError("CUDA out of memory"), UsageError, "too little memory for a step"),
    ],
)
def test_a_device_that_fails(tmp_path, pictures_folder, tiny, fault, error, told):
    """In one line, and the run goes on bit-equal from the checkpoint before."""
    Run(tiny, tmp_path / "whole", pictures_folder, report=quiet).train()
    run = Run(tiny, tmp_path / "cut", pictures_folder, report=quiet)
    taken = run.learner._descend

    def descend(factor):
        if run.progress.step == 4:
            raise fault
        return taken(factor)

    run.learner._descend = descend
    with pytest.raises(error, match=told) as raised:
        run.train(checkpoint_minutes=0)
    assert "\n" not in str(raised.value)
    Run(tiny, tmp_path / "cut", pictures_folder, report=quiet).train()
    assert_same(state(tmp_path / "whole")["network"], state(tmp_path / "cut")["network"])
