"""The report of a run says what lies in its folder, and the environment what is here."""

import json
import os
import platform
import re
import shutil
import subprocess
from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch
from drawings import drawn
from run_folders import add_weights, make_run, three_rows, write_environment

import leansr
from leansr.errors import DataError
from leansr.lab.train.environment import commit_of, device_name, environment
from leansr.lab.train.recipe import Expect, Schedule
from leansr.lab.train.report import write_report


def report_of(folder):
    write_report(folder)
    return (folder / "report.md").read_text()


def test_a_run_that_is_over(tmp_path, tiny):
    expect = Expect(set5_psnr_y=37.29, set14_psnr_y=32.89, source="here, on a whim")
    recipe = msgspec.structs.replace(tiny, expect=expect)
    folder = make_run(tmp_path / "m3|a", recipe, three_rows())
    add_weights(folder, recipe, device="an abacus", start_sha256="ab" * 32)
    write_environment(folder, torch="2.13", commit="none", cpu="slow | steady")
    text = report_of(folder)
    assert text.startswith("# sesr-m3 x2: m3|a\n")
    for words in (
        "Finished: 9 of 9 steps in 1.5 minutes of training, validation not counted; 20 steps/s",
        "Waiting for data took 1.0 % of the steps' time, at most 1.5 %",
        "best 31.500 dB at step 6, which is `weights.safetensors`; at the end 31.000 dB at step 9",
        "expects 37.29 dB on Set5 and 32.89 dB on Set14 (luma; here, on a whim)",
        "Pictures: ours; licence: CC0.",
        "On an abacus.",
        f"SHA-256 `{'ab' * 32}`",
        "| optimizer.lr | 0.005 |",
        "| schedule.warmup_steps | 2 |",
        "| torch | 2.13 |",
        r"| cpu | slow \| steady |",
        "![Validation PSNR and loss over the steps](curves.png)",
    ):
        assert words in text
    # What is not there is not told.
    assert "commit" not in text
    assert "None" not in text
    drawn(folder / "curves.png")
    assert not list(folder.glob(".*"))
    before = text, (folder / "curves.png").read_bytes()
    assert (report_of(folder), (folder / "curves.png").read_bytes()) == before


def test_a_run_that_has_just_begun(tmp_path, tiny):
    folder = make_run(tmp_path / "run", tiny, is_saved=False)
    text = report_of(folder)
    assert "It has just begun" in text
    assert "There are no weights that can be read." in text
    assert "Not recorded." in text
    assert "curves.png" not in text
    assert not (folder / "curves.png").exists()


def test_a_run_without_validation_and_of_a_version_that_said_less(tmp_path, tiny):
    recipe = msgspec.structs.replace(tiny, schedule=Schedule(minutes=30.0))
    rows = [replace(row, val_psnr=None, waiting_pct=None) for row in three_rows()]
    folder = make_run(tmp_path / "run", recipe, rows)
    add_weights(folder, recipe, validation_psnr=None)
    text = report_of(folder)
    assert "Not finished: 9 steps in 1.5 of 30 minutes" in text
    assert "No validation pictures were given" in text
    for word in ("Waiting", "dB", "On "):
        assert word not in text


def test_what_cannot_be_reported(tmp_path, tiny):
    folder = make_run(tmp_path / "run", tiny, three_rows())
    (folder / "environment.json").write_text("[1")
    with pytest.raises(DataError, match=r"environment\.json: cannot be read"):
        write_report(folder)
    (folder / "environment.json").write_text("[1]")
    with pytest.raises(DataError, match=r"environment\.json: cannot be read"):
        write_report(folder)
    (folder / "environment.json").unlink()
    (folder / "weights.safetensors").write_text("no weights")
    assert "There are no weights that can be read." in report_of(folder)
    (folder / "report.md").unlink()
    (folder / "report.md").mkdir()
    with pytest.raises(DataError, match=r"report\.md: cannot be written \(Is a directory\)"):
        write_report(folder)
    (folder / "recipe.json").unlink()
    with pytest.raises(DataError, match=r"recipe\.json: cannot be read .* is it a run\?"):
        write_report(folder)


def test_the_environment_is_that_of_this_process():
    told = environment()
    assert told["leansr"] == leansr.__version__
    assert told["torch"] == torch.__version__
    assert told["numpy"] == np.__version__
    assert told["python"] == platform.python_version()
    assert told["threads"] == str(torch.get_num_threads())
    assert (told["gpu"] == "none") != torch.cuda.is_available()
    assert re.fullmatch(r"none|[0-9a-f]{40}\+?", told["commit"])
    assert json.loads(json.dumps(told)) == told
    assert told["cpu"].endswith(f"{os.cpu_count()} cores")
    assert device_name(torch.device("cpu")).endswith((" 1 thread", " threads"))


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_the_commit_is_the_packages_own(tmp_path):
    def git(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        done = subprocess.run(
            ["git", "-C", tmp_path, *identity, *arguments],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    file = tmp_path / "package.py"
    file.write_text("")
    assert commit_of(file) is None
    git("init", "--quiet")
    # Not the repository's that a virtual environment happens to lie in.
    assert commit_of(file) is None
    git("add", "package.py")
    git("commit", "--quiet", "--message", "one")
    git("tag", "v1")
    head = git("rev-parse", "HEAD")
    assert commit_of(file) == head
    (tmp_path / "beside.py").write_text("")
    assert commit_of(file) == head
    file.write_text("1")
    assert commit_of(file) == f"{head}+"
