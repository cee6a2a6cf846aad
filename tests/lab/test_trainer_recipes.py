import functools
import os
import signal

import msgspec
import pytest
import torch
from PIL import Image
from run_folders import assert_same, log_of, quiet, state

from leansr import zoo
from leansr.errors import DataError, UsageError, WeightsError
from leansr.lab import weights as weights_file
from leansr.lab.nets import build
from leansr.lab.train.objective import can_compile, objective
from leansr.lab.train.processes import Processes
from leansr.lab.train.recipe import Data, Finish, Loss, Start
from leansr.lab.train.trainer import Run


def test_fp16_scales_its_loss_and_goes_on_bit_equal(tmp_path, pictures_folder, tiny):
    recipe = msgspec.structs.replace(tiny, precision="fp16")
    Run(recipe, tmp_path / "whole", pictures_folder, report=quiet).train()
    Run(recipe, tmp_path / "cut", pictures_folder, report=quiet).train(max_minutes=1e-9)
    Run(recipe, tmp_path / "cut", pictures_folder, report=quiet).train()
    whole, cut = state(tmp_path / "whole"), state(tmp_path / "cut")
    for key in ("network", "average", "optimizers", "scaler"):
        assert_same(whole[key], cut[key])
    assert whole["scaler"]["scale"] > 1
    fp32 = Run(tiny, tmp_path / "fp32", pictures_folder, report=quiet)
    fp32.train()
    losses = [float(log_of(tmp_path / name)[-1]["loss"]) for name in ("whole", "fp32")]
    assert losses[0] == pytest.approx(losses[1], rel=2e-2)
    assert losses[0] != losses[1]


def test_bf16_is_less_exact_and_keeps_weights_in_float32(tmp_path, pictures_folder, tiny):
    losses = {}
    for precision in ("fp32", "bf16"):
        recipe = msgspec.structs.replace(tiny, precision=precision, validate_every=1)
        run = Run(recipe, tmp_path / precision, pictures_folder, report=quiet)
        run.train()
        assert all(p.dtype == torch.float32 for p in run.network.parameters())
        losses[precision] = float(log_of(tmp_path / precision)[0]["loss"])
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=1e-2)


def test_start_must_be_a_release_or_a_file(tmp_path, pictures_folder, tiny):
    for weights, error in (("sesr-m5_x3", UsageError), ("none.safetensors", WeightsError)):
        recipe = msgspec.structs.replace(tiny, start=Start(weights=weights))
        with pytest.raises(error, match=weights):
            Run(recipe, tmp_path / "run", pictures_folder, report=quiet)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(not can_compile(torch.device("cpu")), reason="no C++ compiler")
def test_compiled_bf16_is_continued_bit_equal(tmp_path, pictures_folder, tiny):
    recipe = msgspec.structs.replace(tiny, compile=True, precision="bf16")
    torch._dynamo.reset()
    Run(recipe, tmp_path / "whole", pictures_folder, report=quiet).train()
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 1
    Run(recipe, tmp_path / "cut", pictures_folder, report=quiet).train(max_minutes=1e-9)
    Run(recipe, tmp_path / "cut", pictures_folder, report=quiet).train()
    assert_same(state(tmp_path / "whole")["network"], state(tmp_path / "cut")["network"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(not can_compile(torch.device("cpu")), reason="no C++ compiler")
def test_compiled_for_two_sizes_of_crops_is_continued_bit_equal(tmp_path, pictures_folder, tiny):
    """A process that has seen one size alone computes as one that has seen both."""
    finish = Finish(share=0.34, data=Data(lr_crop=16, batch=1))
    recipe = msgspec.structs.replace(tiny, compile=True, finish=finish)

    def stop(line):
        if line.startswith("step 6  loss"):
            os.kill(os.getpid(), signal.SIGINT)

    for name, report in (("whole", quiet), ("cut", stop), ("cut", quiet)):
        torch._dynamo.reset()
        Run(recipe, tmp_path / name, pictures_folder, report=report).train()
        if report is stop:
            assert state(tmp_path / "cut")["progress"]["step"] == 6
    assert_same(state(tmp_path / "whole")["network"], state(tmp_path / "cut")["network"])


@pytest.mark.skipif(not can_compile(torch.device("cpu")), reason="no C++ compiler")
def test_each_size_of_crops_is_compiled_by_itself(tiny, monkeypatch):
    """Never one graph for all sizes, which would depend on what a process has seen before."""
    torch._dynamo.reset()
    graphs = []

    def backend(graph, inputs):
        graphs.append([type(one) for one in inputs])
        return graph

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
    recipe = msgspec.structs.replace(tiny, compile=True)
    network = build(zoo.find("sesr-m3", 2), 2, "direct")
    compiled = objective(network, recipe, recipe.loss, torch.device("cpu"))
    for side in (8, 12, 16):
        compiled(torch.rand(2, 1, side, side), torch.rand(2, 1, 2 * side, 2 * side), None)
    assert len(graphs) == 3
    assert not any(torch.SymInt in kinds for kinds in graphs)


@pytest.mark.parametrize(
    ("changes", "count", "told"),
    [
        ({"data": Data(lr_crop=14, batch=2)}, 1, r"data\.lr_crop: 14 .* the 15 that bsrn takes"),
        (
            {"finish": Finish(share=0.1, data=Data(lr_crop=14, batch=2))},
            1,
            r"finish\.data\.lr_crop: 14",
        ),
        ({}, 3, r"^data\.batch: 2 crops cannot be shared by 3"),
        (
            {"finish": Finish(share=0.1, data=Data(lr_crop=15, batch=3))},
            2,
            r"finish\.data\.batch: 3 crops cannot be shared by 2",
        ),
    ],
)
def test_crops_that_cannot_be_trained_on(tmp_path, tiny, changes, count, told):
    """Told before a picture is read."""
    data = Data(lr_crop=15, batch=2)
    recipe = msgspec.structs.replace(
        tiny, **({"variant": "bsrn", "space": None, "data": data} | changes)
    )
    with pytest.raises(UsageError, match=told):
        Run(recipe, tmp_path / "run", tmp_path / "none", processes=Processes(0, count))


def test_validation_pictures_must_be_as_large_as_the_network_takes(tmp_path, pictures_folder, tiny):
    small = tmp_path / "small"
    small.mkdir()
    Image.new("RGB", (28, 40)).save(small / "a.png")
    data = Data(lr_crop=15, batch=2)
    recipe = msgspec.structs.replace(tiny, variant="bsrn", space=None, data=data)
    with pytest.raises(DataError, match="28 x 40 pixels are fewer than the 30 a side"):
        Run(recipe, tmp_path / "run", pictures_folder, small, quiet)


def test_a_space_that_a_network_does_not_have(tiny, tmp_path, pictures_folder):
    recipe = msgspec.structs.replace(tiny, variant="edsr-baseline", space="direct")
    with pytest.raises(UsageError, match="edsr-baseline: there is no space direct; it has none"):
        Run(recipe, tmp_path / "run", pictures_folder, report=quiet)


def test_the_finish_has_crops_and_a_loss_of_its_own(tmp_path, pictures_folder, tiny):
    finish = Finish(share=0.34, data=Data(lr_crop=16, batch=1), loss=Loss(name="l2"))
    recipe = msgspec.structs.replace(tiny, finish=finish)
    run = Run(recipe, tmp_path / "run", pictures_folder, report=quiet)
    seen = []
    feed = run.feed

    def watched(step, data):
        seen.append((step, data.lr_crop))
        return feed(step, data)

    watched.seconds_waited = 0.0
    run.feed = watched
    run.train()
    assert seen == [(step, 8 if step < 6 else 16) for step in range(9)]
    rows = log_of(tmp_path / "run")
    # A square is far less than an absolute value below one.
    assert float(rows[2]["loss"]) < 0.5 * float(rows[1]["loss"])
    large = Finish(share=0.1, data=Data(lr_crop=40, batch=1))
    wrong = msgspec.structs.replace(tiny, finish=large)
    with pytest.raises(DataError, match="fewer than the 80 a side"):
        Run(wrong, tmp_path / "none", pictures_folder, report=quiet)


def test_a_changed_network_says_so_in_its_weights(tmp_path, pictures_folder, tiny):
    recipe = msgspec.structs.replace(tiny, network={"channels": 4, "blocks": 1})
    Run(recipe, tmp_path / "run", pictures_folder, report=quiet).train()
    network, facts = weights_file.load_network(
        tmp_path / "run" / "weights.safetensors", "sesr-m3", 2
    )
    assert facts.recipe.network == {"channels": 4, "blocks": 1}
    assert sum(p.numel() for p in network.parameters()) < 900
    wrong = msgspec.structs.replace(tiny, network={"chanels": 4})
    with pytest.raises(UsageError, match="no argument chanels; did you mean channels"):
        Run(wrong, tmp_path / "none", pictures_folder, report=quiet)


def test_photo_weights_see_and_are_chosen_by_degraded_pictures(tmp_path, pictures_folder, tiny):
    data = Data(lr_crop=8, batch=2, degradation="photo", versions=3)
    recipe = msgspec.structs.replace(tiny, data=data)
    runs = [Run(recipe, tmp_path / "run", pictures_folder, pictures_folder, quiet) for _ in "12"]
    pairs, again = (run.pictures.pairs for run in runs)
    clean = Run(tiny, tmp_path / "clean", pictures_folder, report=quiet).pictures.pairs
    assert_same(
        [[lr.tobytes() for lr in pair.lrs] for pair in pairs],
        [[lr.tobytes() for lr in pair.lrs] for pair in again],
    )
    assert {len(pair.lrs) for pair in pairs} == {3}
    changed = [
        lr.tobytes() != one.lrs[0].tobytes()
        for pair, one in zip(pairs, clean, strict=True)
        for lr in pair.lrs
    ]
    assert sum(changed) >= 6
    assert {len(pair.lrs) for pair in runs[0].validation.pairs} == {5}
    runs[0].train()
    facts = weights_file.read_facts(tmp_path / "run" / "weights.safetensors")
    assert facts.recipe.data.degradation == "photo"
