"""The log of a run: whole at every moment, and read whatever version wrote it."""

import csv
import os
import subprocess
import sys

import pytest

from leansr.errors import DataError
from leansr.lab.train.log import Log, Row, read_rows

OLD = (
    "step,minutes,lr,loss,steps_per_s,val_psnr\n3,0.5,0.005,0.02,30.5,31.25\n6,1.0,0.004,0.01,31,\n"
)


def test_rows_come_back_as_they_went_in(tmp_path):
    path = tmp_path / "log.csv"
    rows = [Row(3, 0.5, 1e-3, 1 / 3, 9.75, None, 0.25), Row(6, 1.0, 1e-4, 0.1, 9.5, 30.125, None)]
    log = Log(path, 0)
    assert read_rows(path) == []
    for row in rows:
        log.append(row)
    assert read_rows(path) == rows
    with path.open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["waiting_pct"], first["val_psnr"]) == ("0.25", "")
    assert (second["waiting_pct"], second["val_psnr"]) == ("", "30.125")
    assert [p.name for p in tmp_path.iterdir()] == ["log.csv"]


def test_a_log_without_waiting_is_read_and_continued(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(OLD)
    old = [Row(3, 0.5, 0.005, 0.02, 30.5, 31.25), Row(6, 1.0, 0.004, 0.01, 31.0, None)]
    assert read_rows(path) == old
    new = Row(9, 1.5, 0.001, 0.01, 30.0, 31.5, 1.5)
    Log(path, 6).append(new)
    assert read_rows(path) == [*old, new]


@pytest.mark.parametrize(
    ("tail", "last_step", "steps"),
    [
        ("", 5, [3]),
        ("9,1.5,0.1", 9, [3, 6]),
        ("9,1.5,0.1,0.1,1,1,1,1,1\n", 9, [3, 6]),
        ("x,1,1,1,1,1\n", 9, [3, 6]),
        ("\ufffd\n", 9, [3, 6]),
    ],
)
def test_what_is_not_kept(tmp_path, tail, last_step, steps):
    path = tmp_path / "log.csv"
    path.write_text(OLD + tail, encoding="utf-8")
    Log(path, last_step)
    assert [row.step for row in read_rows(path)] == steps


def test_what_is_no_log(tmp_path):
    path = tmp_path / "log.csv"
    with pytest.raises(DataError, match=r"cannot be read .*; is it a run"):
        read_rows(path)
    for content in (b"step,minutes\n1,2\n", OLD.encode() + b"9,x,1,1,1,1\n", b"\xff\xfe\n1\n"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="is not the log of a run"):
            read_rows(path)


FULL = """
import resource, sys
from pathlib import Path
from leansr.errors import DataError
from leansr.lab.train.log import Log, Row
log = Log(Path(sys.argv[1]), 0)
resource.setrlimit(resource.RLIMIT_FSIZE, (150, 150))
try:
    for i in range(1, 9):
        log.append(Row(i, 0.5, 0.001, 0.01, 9.0, 30.0, 0.1))
except DataError as error:
    print(error)
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX limits")
def test_a_full_disk_leaves_the_rows_before(tmp_path):
    path = tmp_path / "log.csv"
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"{path}: cannot be written (File too large); what the last checkpoint holds is not lost, "
        f"and the same command goes on from it\n"
    )
    rows = read_rows(path)
    assert 1 <= len(rows) < 8
    assert [row.step for row in rows] == list(range(1, len(rows) + 1))
    assert [p.name for p in tmp_path.iterdir()] == ["log.csv"]
