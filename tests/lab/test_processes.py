"""Several processes give what one gives."""

import json
import os
import subprocess
import sys

import pytest
import torch
from run_folders import quiet

from leansr.errors import UsageError
from leansr.lab.train.processes import ALONE, Processes, joined
from leansr.lab.train.recipe import load
from leansr.lab.train.trainer import Run
from leansr.lab.weights import read_facts, read_tensors

# Where rounding is not blown up: Muon levels directions that are next to nothing.
RECIPE = """
variant = "{variant}"
scale = 2
space = "direct"
validate_every = 3
compile = false
{network}
data = {{lr_crop = 8, batch = 4, candidates = 2}}
optimizer = {{name = "adam", lr = 1e-3, epsilon = 1e-3, clip = 1.0}}
schedule = {{steps = 9}}
"""
# One block of FMEN's; its HFABs have batch normalisation, which must see all crops.
STUDY = 'network = {scheme = "study"}'  # whose ranges follow what all processes see
FMEN = "network = {channels = 8, attention_channels = [4, 4], attention_blocks = [1, 1]}"


def test_shares():
    assert ALONE.share(5) == slice(0, 5)
    assert [Processes(rank, 3).share(6) for rank in range(3)] == [
        slice(0, 2),
        slice(2, 4),
        slice(4, 6),
    ]
    with pytest.raises(UsageError, match=r"data\.batch: 16 crops cannot be shared by 3"):
        Processes(0, 3).share(16)


def test_finish_is_named():
    with pytest.raises(UsageError, match=r"finish\.data\.batch: 3 crops"):
        Processes(0, 2).share(3, "finish.data")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({}, "RANK: is not set, but WORLD_SIZE is 2"),
        ({"RANK": "0"}, "LOCAL_RANK: is not set"),
        ({"RANK": "0", "LOCAL_RANK": "first"}, "LOCAL_RANK: is first"),
    ],
)
def test_what_torchrun_would_have_set(monkeypatch, told, words):
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"WORLD_SIZE": "2"} | told).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=words), joined():
        pass


def test_more_processes_than_gpus(monkeypatch):
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with (
        pytest.raises(UsageError, match="process 1 of this node has no GPU of its own, of 1"),
        joined(),
    ):
        pass


# Two processes, of which each prints how its part of the script ends.
SCRIPT = """
import os, sys, torch, warnings
warnings.simplefilter("error")
from leansr.errors import LeanSRError
from leansr.lab.train.processes import joined
with joined() as here:
    try:
        {part}
    except LeanSRError as error:
        sys.stdout.write(f"{{here.rank}}: {{type(error).__name__}}: {{error}}\\n")
"""


def together(tmp_path, part):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(part=part))
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *launcher, script],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return sorted(done.stdout.splitlines())


@pytest.mark.slow
def test_shared_batch_normalisation_and_what_one_process_tells_the_others(tmp_path):
    """It warns of nothing, and its gradient is that of all four pictures at once, by torch's own.

    Then a folder that one node does not see, and a process that ends: in one start, which takes
    most of the time.
    """
    x = torch.arange(4 * 2 * 3 * 3, dtype=torch.float32).view(4, 2, 3, 3).sin()
    x.requires_grad_()
    nn = torch.nn.BatchNorm2d(2)
    (nn(x) ** 3).sum().backward()
    part = """
        x = torch.arange(72, dtype=torch.float32).view(4, 2, 3, 3).sin()[2 * here.rank :][:2]
        x = x.clone().requires_grad_()
        network = torch.nn.Sequential(torch.nn.BatchNorm2d(2))
        here.prepare(network)
        (network(x) ** 3).sum().backward()
        sys.stdout.write(f"{here.rank} {x.grad.flatten().tolist()}\\n")
        here.check_agreed(7, "run")
        try:
            here.check_agreed(5 * here.rank, "run")
        except LeanSRError as error:
            sys.stdout.write(f"{here.rank}: {type(error).__name__}: {error}\\n")
        # Without goodbye, as a process that is killed: gloo at times aborts one that leaves early.
        here.rank == 1 and (sys.stdout.flush(), os._exit(0))
        here.largest(1.0)
    """
    first, ended, refused, second, also_refused = together(tmp_path, part.strip())
    assert ended == "0: MeasureError: another process of the run has ended; its own line says why"
    why = "stands at step 0 for one process and at step 5 for another; every node must see"
    assert refused == f"0: UsageError: run: {why} the run's folder"
    assert also_refused == refused.replace("0", "1", 1)
    own = torch.tensor([json.loads(line[2:]) for line in (first, second)])
    torch.testing.assert_close(own.view(4, 2, 3, 3), x.grad, rtol=1e-4, atol=1e-5)


def train_together(recipe, pictures, run):
    """What `leansr train` tells that two processes take part in."""
    folders = ["--data", pictures, "--validation", pictures, "--run", run, "--threads", "1"]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--"]
    done = subprocess.run(
        [sys.executable, *launcher, "leansr", "train", recipe, *folders],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "network"), [("sesr-m3", ""), ("fmen", FMEN), ("sesr-m3-int8", STUDY)]
)
def test_two_processes_give_what_one_gives(tmp_path, pictures_folder, variant, network):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.format(variant=variant, network=network))
    Run(load(str(recipe)), tmp_path / "one", pictures_folder, pictures_folder, quiet).train()
    told = train_together(recipe, pictures_folder, tmp_path / "two")
    # The first process alone reports.
    assert told.count("step 9  loss") == 1
    one, two = (tmp_path / name / "weights.safetensors" for name in ("one", "two"))
    other = read_tensors(two)
    for name, tensor in read_tensors(one).items():
        torch.testing.assert_close(tensor, other[name], rtol=1e-4, atol=1e-5, msg=name)
    psnr = [read_facts(path).validation_psnr for path in (one, two)]
    assert psnr[0] == pytest.approx(psnr[1], abs=1e-3)


@pytest.mark.slow
def test_that_a_run_is_over_is_found_by_the_first_alone(tmp_path, pictures_folder):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.format(variant="sesr-m3", network=""))
    folder = tmp_path / "run"
    Run(load(str(recipe)), folder, pictures_folder, pictures_folder, quiet).train()
    told = train_together(recipe, tmp_path / "no pictures are needed", folder)
    assert told.count(f"{folder}: the run is over; its weights are in weights.safetensors") == 1
