"""The wall: nothing outside `leansr/lab` knows of torch, and upscaling loads none of the lab."""

import ast
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from leansr.image import codecs

PACKAGE = Path(__file__).parents[1] / "src" / "leansr"
OF_THE_LAB = {
    *("ai_edge_litert", "flatbuffers", "matplotlib", "msgspec"),
    *("onnx", "onnxscript", "safetensors", "torch"),
}
OUTSIDE = sorted(p for p in PACKAGE.rglob("*.py") if PACKAGE / "lab" not in p.parents)


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_nothing_outside_the_lab_imports_torch(path):
    """Lazy imports too. Only commands may import the lab, when they are called."""
    names = list(imported(path))
    assert not {name.split(".")[0] for name in names} & OF_THE_LAB
    if path.parent.name != "cli":
        assert not any(name.startswith("leansr.lab") for name in names)


@pytest.mark.skipif(find_spec("importlinter") is None, reason="import-linter is not installed")
def test_imports_point_one_way():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports")],
        cwd=PACKAGE.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_upscaling_loads_nothing_of_the_lab(tmp_path, photo):
    source = tmp_path / "photo.jpg"
    Image.fromarray(photo[:20, :20]).save(source)
    program = (
        "import sys, leansr.cli\n"
        "try:\n"
        f"    leansr.cli.main(['upscale', {str(source)!r}])\n"
        "finally:\n"
        f"    print(sorted({OF_THE_LAB!r} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
    )
    assert done.stderr.strip() == "[]"
    assert codecs.read(tmp_path / "photo_x2.jpg").pixels.shape[:2] == (40, 40)


def test_listing_loads_neither_numpy_nor_onnxruntime():
    program = (
        "import sys, leansr.cli\n"
        "try:\n"
        "    leansr.cli.main(['models', '--json'])\n"
        "finally:\n"
        "    print({'numpy', 'onnxruntime', 'PIL'} & set(sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "set()"
