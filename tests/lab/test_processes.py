"""Several processes give what one gives."""

import os
import subprocess
import sys

import pytest
import torch

from leansr.errors import UsageError
from leansr.lab.train.processes import ALONE, Processes
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


def train(launcher, recipe, pictures, run):
    folders = ["--data", pictures, "--validation", pictures, "--run", run, "--threads", "1"]
    done = subprocess.run(
        [sys.executable, *launcher, "leansr", "train", recipe, *folders],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "network"), [("sesr-m3", ""), ("fmen", FMEN)])
def test_two_processes_give_what_one_gives(tmp_path, pictures_folder, variant, network):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.format(variant=variant, network=network))
    train(["-m"], recipe, pictures_folder, tmp_path / "one")
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--"]
    told = train(launcher, recipe, pictures_folder, tmp_path / "two")
    # The first process alone reports.
    assert told.count("step 9  loss") == 1
    one, two = (tmp_path / name / "weights.safetensors" for name in ("one", "two"))
    other = read_tensors(two)
    for name, tensor in read_tensors(one).items():
        torch.testing.assert_close(tensor, other[name], rtol=1e-4, atol=1e-5, msg=name)
    psnr = [read_facts(path).validation_psnr for path in (one, two)]
    assert psnr[0] == pytest.approx(psnr[1], abs=1e-3)
