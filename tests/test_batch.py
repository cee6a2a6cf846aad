import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import leansr
from leansr import Upscaler
from leansr.errors import PictureError, UsageError, WeightsError
from leansr.image import codecs
from leansr.runtime import batch
from leansr.runtime.choice import Upscalers


@pytest.fixture
def folder(tmp_path, photo):
    """Two pictures, a subfolder with a third, a broken one, and a file that is no picture."""
    source = tmp_path / "in"
    (source / "sub").mkdir(parents=True)
    for name in ("a.png", "b.jpg", "sub/c.webp"):
        Image.fromarray(photo[:16, :20]).save(source / name)
    (source / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (source / "old.tif").write_bytes(b"II*")
    (source / "notes.txt").write_text("not a picture")
    return source


def run(jobs, existing="error"):
    return list(batch.run(jobs, Upscalers(), existing))


def statuses(outcomes):
    return {outcome.job.source.name: outcome.status for outcome in outcomes}


def test_folder_to_folder_with_bad_files_between(folder, tmp_path):
    out = tmp_path / "out"
    outcomes = run(batch.plan([folder], out, 2))
    assert statuses(outcomes) == {
        "a.png": "done",
        "b.jpg": "done",
        "broken.png": "failed",
        "old.tif": "failed",
        "c.webp": "done",
    }
    written = sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file())
    assert written == ["a.png", "b.jpg", "sub/c.webp"]
    assert codecs.read(out / "sub" / "c.webp").pixels.shape[:2] == (32, 40)
    assert all(str(o.job.source) in str(o.error) for o in outcomes if o.error)


def test_existing_outputs(folder, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.png").write_bytes(b"precious")
    jobs = batch.plan([folder / "a.png", folder / "b.jpg"], out, 2)
    outcomes = run(jobs)
    assert statuses(outcomes) == {"a.png": "failed", "b.jpg": "done"}
    assert (out / "a.png").read_bytes() == b"precious"
    assert statuses(run(jobs, "skip")) == {"a.png": "skipped", "b.jpg": "skipped"}
    assert (out / "a.png").read_bytes() == b"precious"
    assert statuses(run(jobs, "overwrite")) == {"a.png": "done", "b.jpg": "done"}
    assert codecs.read(out / "a.png").pixels.shape[:2] == (32, 40)


def test_nothing_is_loaded_when_nothing_is_to_do(folder, tmp_path):
    out = tmp_path / "out"
    run(batch.plan([folder / "a.png"], out, 2))
    never = Upscalers(weights="missing.onnx")
    (outcome,) = batch.run(batch.plan([folder / "a.png"], out, 2), never, "skip")
    assert outcome.status == "skipped"
    with pytest.raises(WeightsError, match=r"missing\.onnx"):
        list(batch.run(batch.plan([folder / "b.jpg"], out, 2), never, "skip"))


def test_two_sources_of_one_name(folder, tmp_path):
    (folder / "sub" / "a.png").write_bytes((folder / "a.png").read_bytes())
    jobs = batch.plan([folder / "a.png", folder / "sub" / "a.png"], tmp_path / "out", 2)
    first, second = run(jobs)
    assert first.status == "done"
    assert "already another one's output" in str(second.error)


def test_inputs_are_not_overwritten(folder, photo):
    """Neither its own source, nor one that still waits."""
    other = folder / "sub" / "a.png"
    Image.fromarray(photo[:30, :30]).save(other)
    before = {p: p.read_bytes() for p in (folder / "a.png", other)}
    for inputs in ([folder / "a.png"], [other, folder / "a.png"], [folder]):
        outcomes = run(batch.plan(inputs, folder, 2), "overwrite")
        for outcome in outcomes:
            assert re.search("is an input|already another one's output", str(outcome.error))
    assert {p: p.read_bytes() for p in before} == before


def test_what_an_earlier_call_made_is_not_made_larger_again(folder):
    (made,) = run(batch.plan([folder / "a.png"], None, 2))
    jobs = batch.plan([folder / "a.png", made.job.target], None, 2)
    assert [job.source for job in jobs] == [folder / "a.png"]


def test_an_output_that_is_a_link_to_an_input(folder):
    (folder / "a_x2.png").symlink_to("a.png")
    before = (folder / "a.png").read_bytes()
    for inputs in (["a.png"], ["a.png", "a_x2.png"]):
        (outcome,) = run(batch.plan([folder / name for name in inputs], None, 2), "overwrite")
        assert "a_x2.png is an input" in str(outcome.error)
    with pytest.raises(PictureError, match="is an input"):
        leansr.upscale(folder / "a.png", overwrite=True)
    assert (folder / "a.png").read_bytes() == before


def test_the_same_input_twice_is_one(folder, tmp_path):
    assert len(batch.plan([folder / "a.png"] * 2, tmp_path / "out", 2)) == 1


def test_output_above_the_input(folder, tmp_path):
    jobs = batch.plan([folder], tmp_path, 2)
    assert {job.target.parent for job in jobs} == {tmp_path, tmp_path / "sub"}


def test_links_and_long_names_fail_by_name(folder, tmp_path):
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "gone.png").symlink_to("nowhere.png")
    inputs = [folder, folder / ("x" * 300 + ".png")]
    outcomes = run(batch.plan(inputs, tmp_path / "out", 2))
    failed = {o.job.source.name for o in outcomes if o.status == "failed"}
    assert failed == {"broken.png", "old.tif", "loop.png", "gone.png", "x" * 300 + ".png"}
    (outcome,) = run([batch.Job(folder / "a.png", tmp_path / "out")])
    assert "is a folder where" in str(outcome.error)
    dangling = tmp_path / "dangling.png"
    dangling.symlink_to("nowhere.png")
    (outcome,) = run([batch.Job(folder / "a.png", dangling)])
    assert "exists already" in str(outcome.error)


def test_output_inside_the_input_is_not_taken_for_input(folder):
    out = folder / "large"
    first = run(batch.plan([folder], out, 2))
    again = run(batch.plan([folder], out, 2), "skip")
    assert [o.job for o in first] == [o.job for o in again]


@pytest.mark.parametrize(
    ("inputs", "output", "target"),
    [
        (["p/a.jpg"], None, "p/a_x4.jpg"),
        (["p/a.jpg"], "q/b.png", "q/b.png"),
        (["p/a.jpg"], "q", "q/a.jpg"),
        (["p/a.b.jpg"], None, "p/a.b_x4.jpg"),
        (["p/a.jpg"], "my.folder", "my.folder/a.jpg"),
    ],
)
def test_where_one_file_goes(inputs, output, target):
    (job,) = batch.plan([Path(p) for p in inputs], output and Path(output), 4)
    assert job.target == Path(target)


@pytest.mark.parametrize(
    ("inputs", "output", "words"),
    [
        (["in"], None, "is a folder; say where"),
        (["in", "in/a.png"], "in/b.jpg", "is a file"),
        (["in/a.png"], "large.psd", "cannot be written"),
        (["empty"], "out", "holds no pictures"),
    ],
)
def test_what_does_not_say_where(folder, inputs, output, words):
    root = folder.parent
    (root / "empty").mkdir()
    with pytest.raises(UsageError, match=words):
        batch.plan([root / p for p in inputs], output and root / output, 2)


def test_large_pictures_are_the_upscalers_own(folder, tmp_path, photo):
    run(batch.plan([folder / "a.png"], tmp_path / "out", 2))
    written = np.asarray(Image.open(tmp_path / "out" / "a.png"))
    np.testing.assert_array_equal(written, Upscaler()(photo[:16, :20]))
