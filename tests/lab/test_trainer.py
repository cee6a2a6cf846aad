import hashlib
import re

import msgspec
import pytest
import safetensors.torch
import torch
from PIL import Image, ImageOps
from run_folders import assert_same, log_of, quiet, state

from leansr import zoo
from leansr.errors import DataError, UsageError, WeightsError
from leansr.lab import weights as weights_file
from leansr.lab.nets import build
from leansr.lab.train import crops
from leansr.lab.train.recipe import Data, Expect, Optimizer, Schedule, Start, Teacher
from leansr.lab.train.schedule import rate
from leansr.lab.train.trainer import Run
from leansr.lab.train.validation import mean_psnr


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
    assert ("first.expand.weight" in whole["network"]) == (space == "collapsed")
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
    facts = weights_file.read_facts(tmp_path / "run" / "weights.safetensors")
    assert facts.validation_psnr == max(float(row["val_psnr"]) for row in rows)
    assert facts.recipe == recipe


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
    facts = weights_file.read_facts(tmp_path / "run" / "weights.safetensors")
    assert facts.validation_psnr is None
    assert (tmp_path / "run" / "weights.safetensors").exists()


def test_x4_starts_from_x2(tmp_path, pictures_folder, tiny):
    Run(tiny, tmp_path / "x2", pictures_folder, report=quiet).train()
    weights = tmp_path / "x2" / "weights.safetensors"
    given = weights_file.read_tensors(weights)
    start = Start(weights=str(weights), fresh=("last",))
    recipe = msgspec.structs.replace(tiny, scale=4, start=start, data=Data(lr_crop=8, batch=2))
    run = Run(recipe, tmp_path / "x4", pictures_folder, report=quiet)
    own = run.network.state_dict()
    for name, tensor in given.items():
        if not name.startswith("last."):
            assert torch.equal(own[name], tensor)
            assert torch.equal(run.learner.average[name], tensor)
    assert own["last.weight"].shape == (16, 16, 5, 5)
    assert run.start_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    without = msgspec.structs.replace(recipe, start=Start(weights=str(weights)))
    with pytest.raises(WeightsError, match=r"last.weight is \(4, 16, 5, 5\), not \(16, 16, 5, 5\)"):
        Run(without, tmp_path / "no", pictures_folder, report=quiet)


def test_weights_that_do_not_fit_are_listed(tmp_path, pictures_folder, tiny):
    path = tmp_path / "odd.safetensors"
    network = Run(tiny, tmp_path / "run", pictures_folder, report=quiet).network
    tensors = network.state_dict()
    tensors["extra"] = torch.zeros(1)
    del tensors["first.bias"]
    with pytest.raises(WeightsError) as raised:
        weights_file.load_strictly(network, tensors, str(path))
    assert str(raised.value) == (
        f"{path}: does not fit the network: first.bias is missing; extra is not the network's"
    )
    with pytest.raises(UsageError, match="no such part"):
        weights_file.load_strictly(network, tensors, str(path), fresh=["tail"])
    path.write_text("not weights")
    for read in (weights_file.read_tensors, weights_file.read_facts):
        with pytest.raises(WeightsError, match="cannot be read as weights"):
            read(path)
    safetensors.torch.save_file({"first.bias": network.first.bias.detach()}, path)
    with pytest.raises(WeightsError, match="was written neither by"):
        weights_file.read_facts(path)


def test_a_run_goes_on_only_as_itself(tmp_path, pictures_folder, tiny):
    Run(tiny, tmp_path / "run", pictures_folder, report=quiet).train(max_minutes=1e-9)
    other = msgspec.structs.replace(tiny, seed=1)
    with pytest.raises(UsageError, match="run of another recipe"):
        Run(other, tmp_path / "run", pictures_folder, report=quiet)
    shorter = msgspec.structs.replace(tiny, schedule=Schedule(warmup_steps=2, decay=0.5, steps=8))
    with pytest.raises(UsageError, match="run of another recipe"):
        Run(shorter, tmp_path / "run", pictures_folder, report=quiet)
    expect = Expect(set5_psnr_y=1, set14_psnr_y=2, source="here")
    told = msgspec.structs.replace(tiny, expect=expect)
    Run(told, tmp_path / "run", pictures_folder, report=quiet)
    with pytest.raises(UsageError, match="run with other validation pictures"):
        Run(tiny, tmp_path / "run", pictures_folder, pictures_folder, report=quiet)
    before = (pictures_folder / "a.png").read_bytes()
    with Image.open(pictures_folder / "a.png") as picture:
        ImageOps.invert(picture).save(pictures_folder / "a.png")
    with pytest.raises(UsageError, match="run on other pictures"):
        Run(tiny, tmp_path / "run", pictures_folder, report=quiet)
    (pictures_folder / "a.png").write_bytes(before)
    (tmp_path / "run" / "checkpoint.pt").write_bytes(b"half a checkpoint")
    with pytest.raises(DataError, match="start again in a new folder"):
        Run(tiny, tmp_path / "run", pictures_folder, report=quiet)


def test_what_is_wrong_without_pictures_is_told_before_they_are_decoded(
    tmp_path, pictures_folder, tiny
):
    """For there are none: nothing of a recipe waits for minutes of decoding."""
    folder, nowhere = tmp_path / "run", tmp_path / "nowhere"
    teacher = Teacher(weights="sesr-m5_x2")
    taught = msgspec.structs.replace(tiny, teacher=teacher)
    Run(taught, folder, pictures_folder, report=quiet).train(max_minutes=1e-9)
    for error, words, where, changes in (
        (UsageError, "run of another recipe", folder, {"seed": 1}),
        (UsageError, "network has no argument", folder, {"network": {"chanels": 8}}),
        (
            UsageError,
            "no such part to start",
            nowhere,
            {"start": Start(weights="sesr-m5_x2", fresh=("tail",))},
        ),
        (WeightsError, "sesr-m5_x2: does not fit", nowhere, {"start": Start(weights="sesr-m5_x2")}),
        (UsageError, "teaches y x4", nowhere, {"teacher": Teacher(weights="sesr-m5_x4")}),
    ):
        recipe = msgspec.structs.replace(taught, **changes)
        with pytest.raises(error, match=words):
            Run(recipe, where, nowhere, report=quiet)
    (pictures_folder / "torn.png").write_text("no picture")
    with pytest.raises(DataError, match="nowhere: no such folder or pack"):
        Run(taught, folder, pictures_folder, nowhere, report=quiet)


def test_a_run_that_is_over_says_so(tmp_path, pictures_folder, tiny):
    Run(tiny, tmp_path / "run", pictures_folder, report=quiet).train()
    before = state(tmp_path / "run")
    lines = []
    Run(tiny, tmp_path / "run", pictures_folder, report=lines.append).train()
    assert lines[-1].endswith("the run is over; its weights are in weights.safetensors")
    assert_same(before, state(tmp_path / "run"))


def test_steps_by_hand(tmp_path, pictures_folder, tiny):
    """Loss, clipping, rates and the ramped average, against a loop of plain torch."""
    optimizer = Optimizer(name="adam", lr=1e-2, vector_lr=0.5, weight_decay=0.1, clip=0.05)
    schedule = Schedule(warmup_steps=1, decay=1.0, steps=4)
    recipe = msgspec.structs.replace(
        tiny, seed=5, ema=0.2, optimizer=optimizer, schedule=schedule, validate_every=4
    )
    run = Run(recipe, tmp_path / "run", pictures_folder, pictures_folder, report=quiet)
    run.train()

    torch.manual_seed(5)
    network = build(zoo.find("sesr-m3", 2), 2)
    average = {name: p.detach().clone() for name, p in network.named_parameters()}
    kernels = [p for p in network.parameters() if p.ndim == 4]
    vectors = [p for p in network.parameters() if p.ndim == 1]
    by_hand = [torch.optim.AdamW(kernels, 1e-2, weight_decay=0.1), torch.optim.Adam(vectors, 5e-3)]
    shelves = crops.Shelves(run.pictures, 2, torch.device("cpu"))
    for step in range(4):
        lr, hr = crops.batch(shelves, recipe.data, seed=5, step=step)
        loss = (network(lr) - hr).abs().mean()
        network.zero_grad()
        loss.backward()
        norm = torch.cat([p.grad.flatten() for p in network.parameters()]).norm()
        assert norm > 0.05
        for p in network.parameters():
            p.grad *= 0.05 / (norm + 1e-6)
        for base, one in zip((1e-2, 5e-3), by_hand, strict=True):
            one.param_groups[0]["lr"] = base * rate(schedule, step, step / 4)
            one.step()
        kept = min(0.2, (2 + step) / (11 + step))
        for name, p in network.named_parameters():
            average[name] = kept * average[name] + (1 - kept) * p.detach()

    for name, p in network.state_dict().items():
        torch.testing.assert_close(run.network.state_dict()[name], p, rtol=1e-4, atol=1e-6)
    saved = weights_file.read_tensors(tmp_path / "run" / "weights.safetensors")
    for name, tensor in saved.items():
        torch.testing.assert_close(tensor, average[name], rtol=1e-4, atol=1e-6)
    facts = weights_file.read_facts(tmp_path / "run" / "weights.safetensors")
    assert facts.validation_psnr == mean_psnr(network, saved, run.validation.pairs, border=2)


def test_the_best_is_kept_when_training_makes_it_worse(tmp_path, pictures_folder, tiny):
    recipe = msgspec.structs.replace(
        tiny,
        variant="sesr-m5",
        start=Start(weights="sesr-m5_x2"),
        # A warm-up that goes on far too long: good weights are lost step by step.
        optimizer=Optimizer(name="muon", lr=0.5),
        schedule=Schedule(warmup_steps=500, decay=0.0, steps=6),
        validate_every=1,
    )
    Run(recipe, tmp_path / "run", pictures_folder, pictures_folder, report=quiet).train()
    values = [float(row["val_psnr"]) for row in log_of(tmp_path / "run")]
    assert values[-1] < max(values) - 0.5
    facts = weights_file.read_facts(tmp_path / "run" / "weights.safetensors")
    assert facts.validation_psnr == max(values)
    assert facts.steps == 1 + values.index(max(values))


def test_a_run_can_be_given_more(tmp_path, pictures_folder, tiny):
    Run(tiny, tmp_path / "run", pictures_folder, report=quiet).train()
    more = msgspec.structs.replace(tiny, schedule=Schedule(warmup_steps=2, decay=0.5, steps=12))
    Run(more, tmp_path / "run", pictures_folder, report=quiet).train()
    assert [row["step"] for row in log_of(tmp_path / "run")] == ["3", "6", "9", "12"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_trains_and_saves_for_everyone(tmp_path, pictures_folder, tiny):
    run = Run(tiny, tmp_path / "run", pictures_folder, pictures_folder, report=quiet)
    assert run.device.type == "cuda"
    run.train()
    saved = weights_file.read_tensors(tmp_path / "run" / "weights.safetensors")
    assert {tensor.device.type for tensor in saved.values()} == {"cpu"}


def test_batch_statistics_are_trained_resumed_and_released(tiny, tmp_path, pictures_folder):
    """A network with batch normalisation: its buffers are in the average and in the weights."""
    recipe = msgspec.structs.replace(tiny, variant="fmen-s", scale=2, space=None)
    run = Run(recipe, tmp_path / "run", pictures_folder, pictures_folder, quiet)
    start = {n: t.clone() for n, t in run.network.state_dict().items()}
    run.train(max_minutes=1e-9)
    again = Run(recipe, tmp_path / "run", pictures_folder, pictures_folder, quiet)
    again.train()
    network, facts = weights_file.load_network(
        tmp_path / "run" / "weights.safetensors", "fmen-s", 2
    )
    assert facts.space == "expanded"
    moved = [n for n, t in network.state_dict().items() if not torch.equal(t, start[n])]
    assert {n for n in start if n.endswith("running_mean")} <= set(moved)
    straight = Run(recipe, tmp_path / "straight", pictures_folder, pictures_folder, quiet)
    straight.train()
    for name, tensor in straight.learner.average.items():
        torch.testing.assert_close(again.learner.average[name], tensor, rtol=0, atol=0)


def test_a_run_writes_nothing_before_it_trains(tmp_path, pictures_folder, tiny):
    run = Run(tiny, tmp_path / "run", pictures_folder, report=quiet)
    assert run.seconds_per_step(2) > 0
    assert not (tmp_path / "run").exists()


def test_pictures_on_disk_train_the_same(tmp_path, pictures_folder, tiny):
    Run(tiny, tmp_path / "memory", pictures_folder, report=quiet).train()
    mapped = Run(tiny, tmp_path / "disk", pictures_folder, report=quiet, room_mib=0.002)
    assert mapped.pictures.is_mapped
    mapped.train()
    assert_same(state(tmp_path / "memory")["network"], state(tmp_path / "disk")["network"])
