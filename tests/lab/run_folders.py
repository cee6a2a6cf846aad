"""Folders of runs as `leansr train` leaves them: made by hand, and read."""

import csv
import json
import os

import msgspec
import torch

from leansr import zoo
from leansr.lab import weights as weights_file
from leansr.lab.nets import build, changed
from leansr.lab.train.checkpoint import Checkpoints
from leansr.lab.train.log import Log, Row


def make_run(folder, recipe, rows=(), is_saved=True, is_old=True):
    """A run by `recipe` with `rows` in its log; old: nothing was written for an hour."""
    folder.mkdir(parents=True)
    (folder / "recipe.json").write_bytes(msgspec.json.encode(recipe))
    log = Log(folder / "log.csv", 0)
    for row in rows:
        log.append(row)
    if is_saved:
        Checkpoints(folder, print).save({"progress": {"step": 1}, "a": torch.zeros(1)})
    if is_old:
        for path in folder.iterdir():
            os.utime(path, (path.stat().st_mtime - 3600,) * 2)
    return folder


def add_weights(folder, recipe, **facts):
    """weights.safetensors of the run, of random weights, and what its header says."""
    variant = changed(zoo.find(recipe.variant, recipe.scale), recipe.network)
    network = build(variant, recipe.scale, recipe.space)
    known = {
        "variant": recipe.variant,
        "scale": recipe.scale,
        "space": recipe.space,
        "recipe": recipe,
        "start_sha256": "",
        "steps": 6,
        "minutes": 90.0,
        "validation_psnr": 31.5,
        "data": "ours",
        "data_licence": "CC0",
        "torch": "2",
    }
    trained = weights_file.Trained(**(known | facts))
    path = folder / "weights.safetensors"
    weights_file.save_weights(path, network.state_dict(), trained)
    return path


def three_rows(best=31.5):
    """A log of nine steps, the second row the best."""
    values = (30.25, best, 31.0)
    return [
        Row(3 * i, 0.5 * i, 5e-3 / i, 0.04 / i, 10.0 * i, psnr, 0.5 * i)
        for i, psnr in enumerate(values, start=1)
    ]


def write_environment(folder, **told):
    (folder / "environment.json").write_text(json.dumps(told))


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
