import csv
import os
import re
import shutil
import signal

import msgspec
import pytest
import torch

from leansr.errors import DataError, UsageError, WeightsError
from leansr.lab.train import checkpoint
from leansr.lab.train.recipe import Data, Schedule, Start
from leansr.lab.train.trainer import Run


def log_of(folder):
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def quiet(line):
    pass


def state(folder):
    return torch.load(folder / "checkpoint.pt", weights_only=True)


def assert_same(a, b):
    """Bit-equal, whatever the nesting."""
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b


@pytest.mark.parametrize("space", ["direct", "collapsed"])
@pytest.mark.parametrize("optimizer", ["muon", "adam"])
def test_interrupted_and_uninterrupted_end_bit_equal(
    tmp_path, pictures_folder, tiny, space, optimizer
):
    changed = msgspec.structs.replace(tiny.optimizer, name=optimizer)
    recipe = msgspec.structs.replace(tiny, space=space, optimizer=changed)

    def crash(line):
        if "step 6" in line:
            raise RuntimeError("power cut")

    Run(recipe, tmp_path / "whole", pictures_folder, pictures_folder, quiet).train()
    Run(recipe, tmp_path / "cut", pictures_folder, pictures_folder, quiet).train(max_minutes=1e-9)
    assert 1 <= state(tmp_path / "cut")["progress"]["step"] < 5
    crashed = Run(recipe, tmp_path / "cut", pictures_folder, pictures_folder, crash)
    with pytest.raises(RuntimeError, match="power cut"):
        crashed.train(checkpoint_minutes=0)
    assert state(tmp_path / "cut")["progress"]["step"] == 5
    Run(recipe, tmp_path / "cut", pictures_folder, pictures_folder, quiet).train()
    whole, cut = state(tmp_path / "whole"), state(tmp_path / "cut")
    for key in ("network", "average", "optimizers"):
        assert_same(whole[key], cut[key])
    assert whole["progress"]["step"] == cut["progress"]["step"] == 9
    assert whole["progress"]["best_psnr"] == cut["progress"]["best_psnr"]
    steps = [row["step"] for row in log_of(tmp_path / "cut")]
    assert steps == ["3", "6", "9"]


def test_training_makes_the_network_better(tmp_path, pictures_folder, tiny):
    recipe = msgspec.structs.replace(
        tiny,
        schedule=Schedule(warmup_steps=5, decay=0.5, steps=80),
        validate_every=10,
        ema=0.9,
        data=Data(lr_crop=12, batch=4),
    )
    lines = []
    Run(recipe, tmp_path / "run", pictures_folder, pictures_folder, lines.append).train()
    rows = log_of(tmp_path / "run")
    assert float(rows[-1]["val_psnr"]) > float(rows[0]["val_psnr"]) + 1
    assert float(rows[-1]["lr"]) < 1e-4
    assert all(re.search(r"loss .* lr .* steps/s .* min left .* val .* dB", line) for line in lines)
    _, facts = checkpoint.read_weights(tmp_path / "run" / "weights.safetensors")
    best = max(float(row["val_psnr"]) for row in rows)
    assert float(facts["validation_psnr"]) == pytest.approx(best, abs=1e-4)
    assert facts["variant"] == "sesr-m3"


def test_a_budget_of_minutes(tmp_path, pictures_folder, tiny):
    recipe = msgspec.structs.replace(
        tiny, schedule=Schedule(warmup_steps=0, decay=1.0, minutes=0.01), validate_every=10_000
    )
    Run(recipe, tmp_path / "run", pictures_folder, report=quiet).train()
    progress = state(tmp_path / "run")["progress"]
    assert progress["seconds"] >= 0.6
    (row,) = log_of(tmp_path / "run")
    assert int(row["step"]) == progress["step"]
    assert row["val_psnr"] == ""
    _, facts = checkpoint.read_weights(tmp_path / "run" / "weights.safetensors")
    assert facts["validation_psnr"] == "null"
    assert (tmp_path / "run" / "weights.safetensors").exists()


def test_x4_starts_from_x2(tmp_path, pictures_folder, tiny):
    Run(tiny, tmp_path / "x2", pictures_folder, report=quiet).train()
    weights = tmp_path / "x2" / "weights.safetensors"
    given, _ = checkpoint.read_weights(weights)
    start = Start(weights=str(weights), fresh=("last",))
    recipe = msgspec.structs.replace(tiny, scale=4, start=start, data=Data(lr_crop=8, batch=2))
    run = Run(recipe, tmp_path / "x4", pictures_folder, report=quiet)
    own = run.network.state_dict()
    for name, tensor in given.items():
        if not name.startswith("last."):
            assert torch.equal(own[name], tensor)
            assert torch.equal(run.average[name], tensor)
    assert own["last.weight"].shape == (16, 16, 5, 5)
    without = msgspec.structs.replace(recipe, start=Start(weights=str(weights)))
    with pytest.raises(WeightsError, match=r"last.weight is \(4, 16, 5, 5\), not \(16, 16, 5, 5\)"):
        Run(without, tmp_path / "no", pictures_folder, report=quiet)


def test_weights_that_do_not_fit_are_listed(tmp_path, pictures_folder, tiny):
    path = tmp_path / "odd.safetensors"
    network = Run(tiny, tmp_path / "run", pictures_folder, report=quiet).network
    tensors = network.state_dict()
    tensors["extra"] = torch.zeros(1)
    del tensors["first.bias"]
    checkpoint.save_weights(path, tensors, {})
    with pytest.raises(WeightsError) as raised:
        checkpoint.load_strictly(network, checkpoint.read_weights(path)[0], str(path))
    assert str(raised.value) == (
        f"{path}: does not fit the network: first.bias is missing; extra is not the network's"
    )
    with pytest.raises(UsageError, match="no such part"):
        checkpoint.load_strictly(network, tensors, str(path), fresh=["tail"])
    path.write_text("not weights")
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        checkpoint.read_weights(path)


def test_a_run_goes_on_only_as_itself(tmp_path, pictures_folder, tiny):
    Run(tiny, tmp_path / "run", pictures_folder, report=quiet).train(max_minutes=1e-9)
    other = msgspec.structs.replace(tiny, seed=1)
    with pytest.raises(UsageError, match="run of another recipe"):
        Run(other, tmp_path / "run", pictures_folder, report=quiet)
    shutil.copy(pictures_folder / "a.png", pictures_folder / "z.png")
    with pytest.raises(UsageError, match="run on other pictures"):
        Run(tiny, tmp_path / "run", pictures_folder, report=quiet)
    (pictures_folder / "z.png").unlink()
    (tmp_path / "run" / "checkpoint.pt").write_bytes(b"half a checkpoint")
    with pytest.raises(DataError, match="cannot be read as a checkpoint"):
        Run(tiny, tmp_path / "run", pictures_folder, report=quiet)


def test_a_loss_that_is_lost_ends_the_run(tmp_path, pictures_folder, tiny):
    run = Run(tiny, tmp_path / "run", pictures_folder, report=quiet)
    with torch.no_grad():
        run.network.first.bias.fill_(float("nan"))
    with pytest.raises(UsageError, match="the loss is nan after 3 steps"):
        run.train()
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_a_run_between_two_steps(tmp_path, pictures_folder, tiny, number):
    def stop(line):
        if line.startswith("step 3  loss"):
            os.kill(os.getpid(), number)

    Run(tiny, tmp_path / "whole", pictures_folder, report=quiet).train()
    Run(tiny, tmp_path / "cut", pictures_folder, report=stop).train()
    assert state(tmp_path / "cut")["progress"]["step"] == 3
    Run(tiny, tmp_path / "cut", pictures_folder, report=quiet).train()
    assert_same(state(tmp_path / "whole")["network"], state(tmp_path / "cut")["network"])


def test_a_run_that_is_over_says_so(tmp_path, pictures_folder, tiny):
    Run(tiny, tmp_path / "run", pictures_folder, report=quiet).train()
    before = state(tmp_path / "run")
    lines = []
    Run(tiny, tmp_path / "run", pictures_folder, report=lines.append).train()
    assert lines[-1].endswith("the run is over; its weights are in weights.safetensors")
    assert_same(before, state(tmp_path / "run"))


def test_without_a_compiler_training_goes_on(tmp_path, pictures_folder, tiny, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    recipe = msgspec.structs.replace(tiny, compile=True)
    lines = []
    Run(recipe, tmp_path / "run", pictures_folder, report=lines.append).train()
    assert "no C++ compiler" in lines[0]
    assert state(tmp_path / "run")["progress"]["step"] == 9


def test_bf16_trains_too(tmp_path, pictures_folder, tiny):
    recipe = msgspec.structs.replace(tiny, precision="bf16")
    run = Run(recipe, tmp_path / "run", pictures_folder, report=quiet)
    run.train()
    assert all(p.dtype == torch.float32 for p in run.network.parameters())
