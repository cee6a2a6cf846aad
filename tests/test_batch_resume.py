"""Batches that go on: what is done is not done again, what has changed is."""

import io
import json
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leansr import Upscaler
from leansr.errors import DataError, PictureError
from leansr.image import codecs
from leansr.image.codecs import encoding
from leansr.runtime import batch, files
from leansr.runtime.line import Line
from leansr.runtime.manifest import MANIFEST, Manifest
from leansr.runtime.route import Route
from leansr.runtime.size import wanted
from leansr.zoo.release import release_of

NAMES = ("a.png", "b.jpg", "sub/c.webp")


@pytest.fixture
def source(tmp_path, photo):
    folder = tmp_path / "in"
    for i, name in enumerate(NAMES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo[i : i + 16, :20]).save(folder / name)
    return folder


def go_on(source, existing="error", model="sesr-m5", preview=False, **route):
    """The statuses of a batch into `out`, by the first letters of the sources."""
    way = Route(wanted(2), model, **route)
    out = source.parent / "out"
    jobs, manifest = batch.plan([source], out, 2), Manifest(out, way.settings())
    if preview:
        outcomes = batch.preview(jobs, existing, manifest)
    else:
        outcomes = batch.run(jobs, way, existing, manifest=manifest)
    return {o.job.source.name[0]: o.why or o.status for o in outcomes}


def every(status):
    return dict.fromkeys("abc", status)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_done_work_is_not_repeated(source):
    assert go_on(source, preview=True) == every("planned")
    assert not (source.parent / "out").exists()
    assert go_on(source) == every("done")
    before = contents(source.parent / "out")
    assert len(before) == 4
    assert go_on(source, preview=True) == go_on(source) == every("done before")
    assert contents(source.parent / "out") == before


def test_a_changed_input_is_done_again_and_a_touched_one_is_not(source, photo):
    go_on(source)
    (source / "b.jpg").touch()
    Image.fromarray(photo[40:56, :20]).save(source / "a.png")
    assert go_on(source) == {"a": "done", "b": "done before", "c": "done before"}
    assert go_on(source) == every("done before")


@pytest.mark.parametrize(
    "changed",
    [
        {"model": "sesr-m3"},
        {"input": "clean"},
        {"linear": True},
        {"weights": release_of("sesr-m5", 2).onnx},
    ],
)
def test_other_settings_are_other_work(source, changed):
    go_on(source)
    assert go_on(source, **changed) == every("done")
    assert go_on(source, **changed) == every("done before")


def test_what_is_not_ours_or_no_more_is_left_alone(source):
    out = source.parent / "out"
    out.mkdir()
    (out / "a.png").write_bytes(b"precious")
    assert go_on(source) == {"a": "failed", "b": "done", "c": "done"}
    (out / "b.jpg").write_bytes(b"retouched")
    assert go_on(source, "skip") == {"a": "exists", "b": "exists", "c": "done before"}
    assert (out / "a.png").read_bytes() == b"precious"
    assert go_on(source, "overwrite") == {"a": "done", "b": "done", "c": "done before"}
    (out / "c.webp").unlink(missing_ok=True)
    (out / "sub" / "c.webp").unlink()
    assert go_on(source) == {"a": "done before", "b": "done before", "c": "done"}


def test_killed_between_the_picture_and_its_line(source):
    """Whatever the last line was, the batch goes on and ends as one that was not killed."""
    go_on(source)
    out = source.parent / "out"
    whole = contents(out)
    path = out / MANIFEST
    lines = path.read_bytes()
    for end in range(0, len(lines), 37):
        path.write_bytes(lines[:end])
        found = go_on(source, "overwrite")
        assert set(found.values()) <= {"done", "done before"}
        assert {k: v for k, v in contents(out).items() if k != path} == {
            k: v for k, v in whole.items() if k != path
        }
        assert go_on(source) == every("done before")


def test_lines_that_are_none(source):
    go_on(source)
    path = source.parent / "out" / MANIFEST
    good = path.read_text()
    path.write_text(good + '{"schema": 1, "out')
    assert go_on(source) == every("done before")
    for line in ('{"schema": 2}', '{"schema": 1, "colour": "red"}', "[]", "1"):
        path.write_text(good + line + "\n")
        with pytest.raises(DataError, match=rf"{MANIFEST}: line 4 is none of a manifest"):
            go_on(source)
    assert all(json.loads(line)["schema"] == 1 for line in good.splitlines())


def test_what_killed_runs_left_goes_when_it_is_surely_ours(source):
    out = source.parent / "out"
    (out / "sub").mkdir(parents=True)
    ours = [out / ".a.png.abcd1234.part", out / "sub" / ".c.webp.________.part"]
    young = out / ".b.jpg.abcd1234.part"
    others = [out / ".z.png.abcd1234.part", out / ".a.png.part", out / "a.png.abcd1234.part"]
    for path in (*ours, young, *others):
        path.write_bytes(b"half")
        if path != young:
            os.utime(path, (time.time() - 7200,) * 2)
    go_on(source)
    assert not any(path.exists() for path in ours)
    assert all(path.exists() for path in (young, *others))


def test_pictures_that_go_by_rows(source, monkeypatch):
    """Large ones do; in a batch they are as all others are, in what is written and known."""
    go_on(source)
    out = source.parent / "out"
    by_picture = contents(out)
    for path in by_picture:
        path.unlink()
    monkeypatch.setattr(files, "LARGE", 0)
    assert go_on(source) == every("done")
    assert files.is_large(batch.Job(source / "a.png", out / "a.png"), 2)
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(by_picture[out / "a.png"]))),
        codecs.read(out / "a.png").pixels,
    )
    assert go_on(source) == every("done before")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names there")
def test_what_is_no_file_is_not_waited_for(source):
    os.mkfifo(source / "d.png")
    assert go_on(source) == every("done") | {"d": "failed"}


def test_what_is_there_after_a_write_that_failed_is_not_ours(source, monkeypatch):
    """Neither where it failed before the line in the manifest nor where it was killed after it."""
    out = source.parent / "out"
    for broken in ("encode", "replace"):

        def fail(*arguments):
            raise OSError("No space left on device")

        with monkeypatch.context() as changed:
            changed.setattr(*((encoding, broken) if broken == "encode" else (Path, broken)), fail)
            assert go_on(source) == every("failed")
        assert {path.name for path in out.rglob("*") if path.is_file()} <= {MANIFEST}
        for name in NAMES:
            (out / name).write_bytes(b"my own")
        assert go_on(source) == every("failed")
        assert all((out / name).read_bytes() == b"my own" for name in NAMES)
        for name in NAMES:
            (out / name).unlink()
    assert go_on(source) == every("done")


def test_killed_between_the_line_and_the_picture(source, photo):
    """What an earlier run made is still known, and replaced."""
    go_on(source)
    out = source.parent / "out"
    older = contents(out)
    Image.fromarray(photo[40:56, :20]).save(source / "a.png")
    assert go_on(source)["a"] == "done"
    (out / "a.png").write_bytes(older[out / "a.png"])
    assert go_on(source) == {"a": "done", "b": "done before", "c": "done before"}


def test_what_another_process_writes_is_left_to_it(source, monkeypatch):
    """Where a picture that goes by rows is given up, its own half goes and nothing else."""
    monkeypatch.setattr(files, "LARGE", 0)
    out, there, over = source.parent / "out", threading.Event(), threading.Event()
    theirs = out / ".b.png.abcd1234.part"

    def bands(*arguments):
        theirs.write_bytes(b"half")
        assert len(list(out.glob(".b.png.*.part"))) == 2
        there.set()
        over.wait(30)
        raise PictureError("given up")

    monkeypatch.setattr(Upscaler, "bands", bands)
    line = Line(Route(wanted(2)), "error", None, None)
    claim = batch.Job(source / "b.jpg", out / "b.png"), None
    line.admit(claim)

    def work():
        with pytest.raises(PictureError, match="given up"):
            line.enlarge(claim, None)

    thread = threading.Thread(target=work)
    thread.start()
    assert there.wait(30)
    line.give_up()
    assert list(out.iterdir()) == [theirs]
    over.set()
    thread.join()
