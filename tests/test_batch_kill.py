"""Batches that are ended from outside: whatever the moment, only whole files are there."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from leansr.runtime import files

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="by the signals of POSIX"),
]

COUNT = 32
COMMAND = [sys.executable, "-m", "leansr", "upscale"]


@pytest.fixture(scope="module")
def source(tmp_path_factory, photo):
    folder = tmp_path_factory.mktemp("in")
    for i in range(COUNT):
        crop = photo[i * 8 : i * 8 + 200, i * 4 : i * 4 + 300]
        Image.fromarray(crop).save(folder / f"{i:02}.{('png', 'jpg', 'webp')[i % 3]}")
    return folder


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory):
    """What a batch gives that nobody ends."""
    folder = tmp_path_factory.mktemp("whole")
    subprocess.run([*COMMAND, str(source), "-o", str(folder)], check=True, capture_output=True)
    return finished(folder)


def start(source, out, *options):
    return subprocess.Popen(
        [*COMMAND, str(source), "-o", f"{out}/", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A suite that runs in the background of a shell has it ignored, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def finished(out):
    """The outputs, each decoded to its last pixel."""
    found = {}
    for path in out.glob("[0-9]*"):
        with Image.open(path) as image:
            assert image.size == (600, 400)
            found[path.name] = np.asarray(image)
    return found


def end_after(process, lines, delay, number):
    """Waits for so many lines and a moment more, and sends the signal."""
    for _ in range(lines):
        process.stdout.readline()
    try:
        process.wait(delay)
    except subprocess.TimeoutExpired:
        process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    return out, err


@pytest.mark.parametrize("options", [[], ["--jobs", "2"]], ids=["one", "two at once"])
def test_killed_at_random_moments(source, whole, tmp_path, options):
    out = tmp_path / "out"
    chance = random.Random(8)
    for _ in range(6):
        process = start(source, out, "--resume", *options)
        end_after(process, chance.randrange(4), chance.random() / 4, signal.SIGKILL)
        before = finished(out)
    assert before
    done = subprocess.run(
        [*COMMAND, str(source), "-o", str(out), "--resume", *options],
        check=True,
        capture_output=True,
        text=True,
    )
    assert " skipped (" in done.stderr
    found = finished(out)
    assert len(found) == COUNT
    for name, pixels in whole.items():
        np.testing.assert_array_equal(found[name], pixels)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 128 + signal.SIGTERM)]
)
@pytest.mark.parametrize("options", [[], ["--jobs", "2"]], ids=["one", "two at once"])
def test_interrupted(source, tmp_path, number, code, options):
    out = tmp_path / "out"
    process = start(source, out, *options)
    _, err = end_after(process, 3, 0.05, number)
    assert process.returncode == code
    (line,) = err.splitlines()
    assert line.startswith("leansr: ")
    assert "; interrupted, at most " in line
    assert 3 <= len(finished(out)) < COUNT
    assert not list(out.glob(".*"))


def test_interrupted_in_a_large_picture_that_goes_by_rows(tmp_path):
    """Nobody waits for it, and nothing of it is left."""
    source, out = tmp_path / "a.png", tmp_path / "out"
    Image.new("RGB", (6100, 6000)).save(source)
    assert files.is_large(files.Job(source, out / "a.png"), 2)
    process = start(source, out)
    while process.poll() is None and not list(out.glob(".a.png.*.part")):
        time.sleep(0.05)
    _, err = end_after(process, 0, 0.3, signal.SIGINT)
    assert (process.returncode, list(out.iterdir())) == (130, [])
    assert err == "leansr: 0 done; interrupted, at most 1 not done\n"


def test_nobody_reads_the_output_any_more(source, tmp_path):
    """As with `| head -1`: the pictures are what it is for."""
    out = tmp_path / "out"
    process = start(source, out)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(120) == 0
    assert process.stderr.read().startswith(f"leansr: {COUNT} done ")
    process.stderr.close()
    assert len(finished(out)) == COUNT
