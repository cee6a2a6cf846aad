"""What a run was made with: versions, commit and machine."""

import subprocess
from pathlib import Path

import torch

import leansr
from leansr.lab.measure.machine import machine

NONE = "none"


def environment() -> dict[str, str]:
    """Versions of LeanSR, Python, torch and numpy, the commit, processor, threads and GPU.

    `commit` has a "+" at its end if tracked files differ from it. It is "none" where the package
    is not in a checkout, and so is `gpu` where torch can use none.
    """
    here = machine()
    versions = {name: here.versions[name] for name in ("leansr", "python", "torch", "numpy")}
    return {
        **versions,
        "commit": commit_of(Path(leansr.__file__)) or NONE,
        "cpu": f"{here.cpu}, {here.cores} cores",
        "threads": str(torch.get_num_threads()),
        "gpu": here.gpu or NONE,
    }


def device_name(device: torch.device) -> str:
    """The name of what a run is computed on, as a card tells it."""
    here = machine()
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{here.cpu}, {threads} {'thread' if threads == 1 else 'threads'}"


def commit_of(file: Path) -> str | None:
    """The commit that `file` is checked out at, with "+" if tracked files differ from it.

    None if it is in no repository, also where one around it does not track it.
    """
    try:
        _git(file.parent, "ls-files", "--error-unmatch", file.name)
        return _git(file.parent, "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
