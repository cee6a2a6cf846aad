import os
import subprocess
import sys

import pytest
import torch

from leansr.lab.train.objective import can_compile

RECIPE = """
variant = "sesr-m3"
scale = 2
data = {lr_crop = 8, batch = 2}
optimizer = {name = "adam", lr = 1e-3}
schedule = {steps = 4}
"""
# One that answers what it is asked of itself, and then cannot compile.
BREAKS_DOWN = 'case "$1" in *version*) exec g++ "$@";; esac\nexit 1'


@pytest.mark.slow
@pytest.mark.skipif(not can_compile(torch.device("cpu")), reason="no C++ compiler")
@pytest.mark.parametrize(
    ("answers", "option"), [("exit 1", "--dry-run"), (BREAKS_DOWN, "--threads=1")]
)
def test_compiling_that_fails(tmp_path, pictures_folder, answers, option):
    (tmp_path / "tiny.toml").write_text(RECIPE)
    compiler = tmp_path / "c++"
    compiler.write_text(f"#!/bin/sh\n{answers}\n")
    compiler.chmod(0o755)
    command = [sys.executable, "-m", "leansr", "train", str(tmp_path / "tiny.toml"), option]
    command += ["--data", str(pictures_folder), "--run", str(tmp_path / "run")]
    own = {"CXX": str(compiler), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **own}
    )
    assert done.returncode == 1
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("leansr: "))
    assert line.startswith("leansr: torch.compile failed (")
    assert "compile = false" in line
    assert "TORCHINDUCTOR_CACHE_DIR" in line
    assert "Traceback" not in done.stderr
