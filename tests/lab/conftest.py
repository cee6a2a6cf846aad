import json

import numpy as np
import pytest
import torch
from PIL import Image

from leansr.lab.train.recipe import Data, Optimizer, Recipe, Schedule


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """On pictures as small as these, threads cost more than they give."""
    torch.set_num_threads(1)


@pytest.fixture
def pictures_folder(tmp_path, photo):
    """A folder of four small training pictures, one of them in a subfolder."""
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    for i, name in enumerate(("a.png", "b.png", "sub/c.png", "d.jpg")):
        crop = photo[40 * i : 40 * i + 49, 30 * i : 30 * i + 60]
        Image.fromarray(np.ascontiguousarray(crop)).save(folder / name)
    return folder


@pytest.fixture
def tiny():
    """A recipe that takes a moment."""
    return Recipe(
        variant="sesr-m3",
        scale=2,
        space="direct",
        data=Data(lr_crop=8, batch=2),
        optimizer=Optimizer(name="muon", lr=5e-3, vector_lr=0.1, clip=1.0),
        schedule=Schedule(warmup_steps=2, decay=0.5, steps=9),
        validate_every=3,
        compile=False,
    )


@pytest.fixture
def hr(tmp_path, photo):
    """A small HR picture to draw figures of."""
    path = tmp_path / "hr.png"
    Image.fromarray(photo[150:246, 150:250]).save(path)
    return path


@pytest.fixture
def times(tmp_path):
    """A file as `leansr bench --json` writes it."""
    row = {"backend": "onnxruntime", "dtype": "float32", "form": "deploy"}
    ms = {"sesr-m5": 3.0, "bsrn": 60.0, "fmen-s": 25.0, "bsrn-s": 30.0}
    value = {
        "schema": 1,
        "scale": 4,
        "lr_size": [90, 160],
        "machine": {"cpu": "a CPU", "threads": 2},
        "rows": [{"variant": name, "median_ms": m, **row} for name, m in ms.items()],
    }
    path = tmp_path / "times.json"
    path.write_text(json.dumps(value))
    return path
