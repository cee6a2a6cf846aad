"""Checkpoints survive kills, full disks and rotten bits."""

import os
import shutil
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch

from leansr.errors import DataError
from leansr.lab.train.checkpoint import BEFORE, NEWEST, Checkpoints

CPU = torch.device("cpu")
POSIX = pytest.mark.skipif(os.name == "nt", reason="POSIX signals and limits")


def state_of(step, size=1000):
    """All that `step` decides, so that a state tells whether it is whole."""
    return {
        "recipe": "{}",
        "progress": {"step": step, "seconds": 0.5 * step},
        "network": {"a": torch.full((size,), float(step)), "b": torch.arange(step % 7)},
        "optimizers": [{"state": {0: {"moment": torch.full((3, 3), step)}}}],
    }


def assert_whole(state, size=1000):
    """That it is `state_of` its own step, bit for bit."""
    expected = state_of(state["progress"]["step"], size)
    assert state.keys() == expected.keys()
    assert state["progress"] == expected["progress"]
    for name, tensor in expected["network"].items():
        assert torch.equal(state["network"][name], tensor)
    moment = state["optimizers"][0]["state"][0]["moment"]
    assert torch.equal(moment, expected["optimizers"][0]["state"][0]["moment"])


def read(folder):
    """The step of the checkpoint in `folder`, found whole, and the warnings."""
    lines = []
    state = Checkpoints(folder, lines.append).read(CPU)
    assert_whole(state)
    return state["progress"]["step"], lines


def test_the_last_two_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, pytest.fail)
    assert not checkpoints.exist
    (tmp_path / f".{NEWEST}.x.part").write_text("of a run that was killed")
    for step in (3, 6, 9):
        checkpoints.save(state_of(step))
        assert checkpoints.exist
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted((NEWEST, BEFORE))
    assert read(tmp_path) == (9, [])
    (tmp_path / NEWEST).unlink()
    assert Checkpoints(tmp_path, pytest.fail).exist
    step, (line,) = read(tmp_path)
    assert step == 6
    assert line == (
        f"{tmp_path / NEWEST}: cannot be read (No such file or directory); "
        f"going on from {BEFORE}, step 6"
    )


def test_rotten_bits_are_noticed_wherever_they_are(tmp_path):
    checkpoints = Checkpoints(tmp_path, pytest.fail)
    checkpoints.save(state_of(1))
    checkpoints.save(state_of(2))
    content = (tmp_path / NEWEST).read_bytes()
    chance = np.random.default_rng(0)
    noticed = 0
    for place in {*range(0, len(content), 97), *range(len(content) - 300, len(content))}:
        rotten = bytearray(content)
        rotten[place] ^= 1 << int(chance.integers(8))
        (tmp_path / NEWEST).write_bytes(rotten)
        # Whole means as it was saved: a flip in padding or in a date changes nothing.
        step, lines = read(tmp_path)
        assert (step, len(lines)) in ((2, 0), (1, 1)), place
        if lines:
            assert lines[0].startswith(f"{tmp_path / NEWEST}: is ")
            assert lines[0].endswith(f"; going on from {BEFORE}, step 1")
        noticed += len(lines)
    # The tensor of 4000 bytes alone is a third of the file.
    assert noticed > len(content) // 97 // 3


@pytest.mark.parametrize("rest", [0, 1, 1000])
def test_both_damaged(tmp_path, rest):
    checkpoints = Checkpoints(tmp_path, pytest.fail)
    checkpoints.save(state_of(1))
    checkpoints.save(state_of(2))
    for name in (NEWEST, BEFORE):
        os.truncate(tmp_path / name, rest)
    with pytest.raises(DataError) as raised:
        checkpoints.read(CPU)
    for words in (f"{tmp_path / NEWEST}: is damaged", f"{tmp_path / BEFORE}: is damaged"):
        assert words in str(raised.value)


def test_what_is_no_checkpoint(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / NEWEST)
    with pytest.raises(DataError, match="is no checkpoint of a run"):
        Checkpoints(tmp_path, pytest.fail).read(CPU)


def test_a_damaged_one_never_takes_the_place_of_the_last_whole_one(tmp_path):
    checkpoints = Checkpoints(tmp_path, pytest.fail)
    checkpoints.save(state_of(1))
    checkpoints.save(state_of(2))
    os.truncate(tmp_path / NEWEST, 100)
    lines = []
    going_on = Checkpoints(tmp_path, lines.append)
    assert_whole(going_on.read(CPU))
    going_on.save(state_of(3))
    (tmp_path / NEWEST).unlink()
    assert read(tmp_path)[0] == 1
    going_on.save(state_of(4))
    going_on.save(state_of(5))
    assert read(tmp_path) == (5, [])
    (tmp_path / NEWEST).unlink()
    assert read(tmp_path)[0] == 4


# A child saves in a tight loop, telling each step that is saved, until it is killed; 20 times.
SAVES = """
import os, random, signal, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
from test_checkpoint import BEFORE, CPU, NEWEST, Checkpoints, assert_whole, state_of
# The threads of a pool do not come along into a forked child, which would wait for them.
torch.set_num_threads(1)
folder, chance = Path(sys.argv[2]), random.Random(0)
for _ in range(20):
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        checkpoints = Checkpoints(folder, lambda line: None)
        step = checkpoints.read(CPU)["progress"]["step"] if checkpoints.exist else 0
        while True:
            step += 1
            checkpoints.save(state_of(step, 100_000))
            os.write(tell, b"%d " % step)
    steps = os.read(told, 20)
    time.sleep(chance.uniform(0, 0.05))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(tell)
    while rest := os.read(told, 1 << 16):
        steps += rest
    state = Checkpoints(folder, lambda line: None).read(CPU)
    assert_whole(state, 100_000)
    parts = len(list(folder.glob(".*.part")))
    print(steps.split()[-1].decode(), state["progress"]["step"], parts, flush=True)
"""


@pytest.mark.slow
@POSIX
def test_killed_at_any_moment(tmp_path):
    """20 processes killed at random moments: a whole checkpoint each time, and no step is lost."""
    arguments = [sys.executable, "-c", SAVES, os.path.dirname(__file__), str(tmp_path)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    kills = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert len(kills) == 20
    for told, found, _ in kills:
        # What was told is saved; the one under way is there or not.
        assert found in (told, told + 1)
    assert all(before < after for (_, before, _), (_, after, _) in pairwise(kills))
    # Some of them in the middle of writing, or this would show nothing.
    assert any(parts for _, _, parts in kills)


# A limit on the size of files is as hard as a disk that is full: the write itself fails.
FULL = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_checkpoint import Checkpoints, state_of
from leansr.errors import DataError
checkpoints = Checkpoints(Path(sys.argv[2]), print)
if sys.argv[3] == "later":
    checkpoints.save(state_of(1))
    checkpoints.save(state_of(2))
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    checkpoints.save(state_of(3))
except DataError as error:
    print(error)
"""


@POSIX
@pytest.mark.parametrize("when", ["first", "later"])
def test_a_full_disk(tmp_path, when):
    arguments = [sys.executable, "-c", FULL, os.path.dirname(__file__), str(tmp_path), when]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    begin = f"{tmp_path / NEWEST}: cannot be written (File too large); "
    if when == "first":
        assert done.stdout == f"{begin}no checkpoint was written before it\n"
        assert not list(tmp_path.iterdir())
    else:
        intact = f"{NEWEST} of step 2 is intact, and the same command goes on from it"
        assert done.stdout == f"{begin}{intact}\n"
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted((NEWEST, BEFORE))
        assert read(tmp_path) == (2, [])


def test_a_folder_that_is_gone(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    checkpoints = Checkpoints(folder, pytest.fail)
    checkpoints.save(state_of(1))
    shutil.move(folder, tmp_path / "moved")
    with pytest.raises(DataError, match=r"cannot be written \(No such file or directory\)"):
        checkpoints.save(state_of(2))
    # Whatever else a run writes is told in the same words.
    with (
        pytest.raises(DataError, match=r"weights: cannot be written .* of step 1 is intact"),
        checkpoints.writing(folder / "weights"),
    ):
        (folder / "weights").write_text("")
    shutil.move(tmp_path / "moved", folder)
    assert read(folder) == (1, [])
