"""Which files a command line means: folders, links, patterns and odd names."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leansr.errors import UsageError
from leansr.runtime import batch
from leansr.runtime.choice import Upscalers
from leansr.runtime.size import Exact

PIXELS = np.zeros((4, 5, 3), np.uint8)
ODD = [
    "with space.png",
    "-o.png",
    "--help.png",
    "*.png",
    "[1].png",
    "naïve 日本 🦊.png",
    "a\nb.png",
]
BYTES = "caf\udce9.png"


def lay(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(PIXELS).save(root / name)


def planned(root, *inputs, output="out", **options):
    """Where each source goes, both below the root."""
    jobs = batch.plan([root / i for i in inputs], output and root / output, 2, **options)
    return {
        job.source.relative_to(root).as_posix(): job.target.relative_to(root).as_posix()
        for job in jobs
    }


@pytest.fixture
def tree(tmp_path):
    lay(tmp_path, "in/b.png", "in/a.jpg", "in/s/c.png", "in/s/t/d.png", "other/e.png")
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    (tmp_path / "in" / "._b.png").write_text("what macOS leaves")
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("in/*", {"in/a.jpg": "out/a.jpg", "in/b.png": "out/b.png", "in/s/c.png": "out/s/c.png"}),
        ("in/*.png", {"in/b.png": "out/b.png"}),
        ("in/?.jpg", {"in/a.jpg": "out/a.jpg"}),
        ("in/[ab].*", {"in/a.jpg": "out/a.jpg", "in/b.png": "out/b.png"}),
        ("in/**/c.png", {"in/s/c.png": "out/s/c.png"}),
        ("*/e.png", {"other/e.png": "out/other/e.png"}),
    ],
)
def test_patterns_that_the_shell_left(tree, pattern, found):
    if pattern == "in/*":
        found = found | {"in/s/t/d.png": "out/s/t/d.png"}
    assert planned(tree, pattern) == found


def test_patterns_beside_themselves_and_into_a_format(tree):
    assert planned(tree, "in/*.*", output=None) == {
        "in/a.jpg": "in/a_x2.jpg",
        "in/b.png": "in/b_x2.png",
    }
    into = planned(tree, "in", suffix=".webp")
    assert sorted(into.values()) == ["out/a.webp", "out/b.webp", "out/s/c.webp", "out/s/t/d.webp"]


def test_what_no_pattern_matches(tree):
    with pytest.raises(UsageError, match=r"x\*\.png: no such file, and none that matches it"):
        planned(tree, "x*.png")
    lay(tree, "x[1].png")
    assert planned(tree, "x[1].png") == {"x[1].png": "out/x[1].png"}


def test_links_to_folders_are_followed_and_loops_end(tree):
    link = tree / "in" / "link"
    link.symlink_to(tree / "other", target_is_directory=True)
    (tree / "in" / "a-loop").symlink_to(tree / "in", target_is_directory=True)
    (tree / "other" / "back").symlink_to(tree / "in", target_is_directory=True)
    (tree / "in" / "z-again").symlink_to(tree / "in" / "s", target_is_directory=True)
    assert planned(tree, "in") == {
        "in/a.jpg": "out/a.jpg",
        "in/b.png": "out/b.png",
        "in/s/c.png": "out/s/c.png",
        "in/s/t/d.png": "out/s/t/d.png",
        "in/link/e.png": "out/link/e.png",
    }


def test_many_links_do_not_multiply(tmp_path):
    """Two links in each of thirty folders to the next: a thousand million ways."""
    for i in range(30):
        (tmp_path / f"in/{i}").mkdir(parents=True)
        for name in ("l", "r"):
            (tmp_path / f"in/{i}/{name}").symlink_to(tmp_path / f"in/{i + 1}")
    lay(tmp_path, "in/29/a.png")
    (found,) = planned(tmp_path, "in")
    assert found.endswith("/a.png")


def test_the_output_is_not_an_input_by_a_link_either(tree):
    lay(tree, "in/large/b.png")
    assert "in/large/b.png" not in planned(tree, "in", output="in/large")
    (tree / "alias").symlink_to(tree / "in", target_is_directory=True)
    assert "alias/large/b.png" not in planned(tree, "alias", output="in/large")


@pytest.mark.parametrize("pattern", ["in/*", "in/**", "in/**/*.png", "*/*.png", "in/***.png"])
def test_patterns_do_not_take_their_own_outputs(tree, pattern):
    first = planned(tree, pattern, output="in/large")
    lay(tree, *first.values())
    assert planned(tree, pattern, output="in/large") == first
    assert first


def test_a_pattern_in_the_output_itself(tree):
    assert planned(tree, "in/s/*.png", output="in") == {"in/s/c.png": "in/c.png"}


def test_patterns_with_loops_end(tree):
    for name in ("l", "r"):
        (tree / "in" / name).symlink_to(tree / "in", target_is_directory=True)
    assert planned(tree, "in/**/*.jpg") == {"in/a.jpg": "out/a.jpg"}
    assert len(planned(tree, "in/*")) <= 4 * 3


def test_patterns_pass_hidden_names_over(tree):
    lay(tree, "in/.h.png", "in/.d/e.png")
    assert set(planned(tree, "in/**/*.png")) == {"in/b.png", "in/s/c.png", "in/s/t/d.png"}
    assert set(planned(tree, "in/.*.png")) == {"in/.h.png"}


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="no such names there")
def test_odd_names(tmp_path):
    names = [*ODD, BYTES]
    lay(tmp_path, *(f"in/{name}" for name in ODD))
    (tmp_path / "in" / BYTES).write_bytes((tmp_path / "in" / ODD[0]).read_bytes())
    jobs = batch.plan([tmp_path / "in"], tmp_path / "out", 2)
    outcomes = list(batch.run(jobs, Upscalers(), "error"))
    assert [o.error for o in outcomes] == [None] * len(names)
    assert sorted(os.listdir(tmp_path / "out")) == sorted(names)
    alone = batch.plan([tmp_path / "in" / name for name in names], None, 2)
    assert {job.target.name for job in alone} == {
        f"{name.removesuffix('.png')}_x2.png" for name in names
    }


def test_a_folder_that_cannot_be_listed_fails_by_name(tmp_path):
    lay(tmp_path, "in/a.png", "in/shut/b.png")
    (tmp_path / "in" / "shut").chmod(0)
    if os.access(tmp_path / "in" / "shut", os.R_OK):
        pytest.skip("this user may list every folder")
    outcomes = list(
        batch.run(batch.plan([tmp_path / "in"], tmp_path / "out", 2), Upscalers(), "error")
    )
    (tmp_path / "in" / "shut").chmod(0o700)
    assert [o.status for o in outcomes] == ["done", "failed"]
    assert "shut: cannot be listed (Permission denied)" in str(outcomes[1].error)


@pytest.mark.parametrize(
    ("name", "target", "label"),
    [("a.b.png", 3.5, "a.b_x3.5.png"), ("a.png", Exact(30, 20), "a_30x20.png"), ("a", 2.0, "a_x2")],
)
def test_names_say_what_was_asked_for(name, target, label):
    (job,) = batch.plan([Path(name)], None, target)
    assert job.target == Path(label)


def test_a_name_and_a_format_that_differ(tree):
    with pytest.raises(UsageError, match=r"b\.jpg: its suffix says another format than --format"):
        planned(tree, "in/b.png", output="b.jpg", suffix=".png")
    assert planned(tree, "in/b.png", output="b.jpeg", suffix=".jpg") == {"in/b.png": "b.jpeg"}
