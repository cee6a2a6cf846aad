import json
import os
import re
import select
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import click.testing
import pytest
import torch

from leansr import cli
from leansr.errors import MeasureError, UsageError
from leansr.lab import papers
from leansr.lab.measure import machine as machines
from leansr.lab.measure.contender import Contender, contenders
from leansr.lab.measure.speed import Row, bench
from leansr.lab.measure.speed_text import bench_table, cells, machine_line, measured
from leansr.lab.measure.times import SCALE, Time, ratios, tables
from leansr.lab.measure.worker import started
from leansr.zoo.release import release_of

SESR = Contender("sesr-m5", 2)
# The contract's, then ours.
ROW_KEYS = {
    *("variant", "backend", "dtype", "threads", "median_ms", "min_ms", "gmacs_per_s"),
    *("peak_rss_mib", "form", "weights", "q1_ms", "q3_ms", "base_rss_mib", "peak_cuda_mib"),
}
RUN_KEYS = {"schema", "scale", "lr_size", "warmup", "runs", "date", "machine", "rows"}
MACHINE_KEYS = {"cpu", "cores", "isa", "gpu", "versions", "threads", "load_before", "load_after"}
MEASURED = sorted((Path(__file__).parents[2] / "docs" / "measured").glob("bench-*.json"))


def leansr(*arguments):
    return click.testing.CliRunner().invoke(cli.cli, ["bench", *map(str, arguments)])


def test_figures_are_of_the_work_that_was_done():
    """Both ways to the Multi-Adds: what a row says in a second, and SESR's weights by pixels."""
    both = [SESR, Contender("fsrcnn", 2)]
    for height, width in ((24, 40), (48, 80)):
        speed = bench(both, (height, width), 1, warmup=1, runs=3)
        sesr, fsrcnn = speed.rows
        assert sesr.gmacs_per_s * sesr.median_ms / 1e3 == pytest.approx(
            13_520 * height * width / 1e9
        )
        for row in speed.rows:
            assert len(row.seconds) == 3
            assert row.min_ms == 1000 * min(row.seconds)
            assert 0 < row.min_ms <= row.q1_ms <= row.median_ms <= row.q3_ms
            assert row.median_ms == 1000 * sorted(row.seconds)[1]
            assert row.peak_cuda_mib is None
        assert (sesr.weights, fsrcnn.weights) == ("released", "random")
        assert (sesr.variant, fsrcnn.variant) == ("sesr-m5", "fsrcnn")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_is_the_worker_s_own():
    """Not what this process, which has torch loaded, hands on to its children."""
    (row,) = bench([SESR], (180, 320), 1, warmup=1, runs=1).rows
    ours = machines.resident_mib()
    assert ours is not None
    assert row.base_rss_mib is not None
    assert row.peak_rss_mib is not None
    assert 0 < row.base_rss_mib < ours[0]
    # At least the largest layer's input and output, 16 channels of float32.
    assert row.peak_rss_mib - row.base_rss_mib > 2 * 16 * 180 * 320 * 4 / 2**20
    held = b"x" * (64 << 20)
    while_held = machines.resident_mib()
    del held
    after = machines.resident_mib()
    assert while_held is not None
    assert after is not None
    assert while_held[0] - after[0] > 60
    # The kernel counts a few pages behind.
    assert after[1] > while_held[0] - 1


def test_torch_in_both_forms_beside_a_twin():
    listed = contenders(["bsrn-s:training", "bsrn-s", "bsrn-s"], 4, ["torch"], "bfloat16")
    speed = bench(listed, (16, 20), 1, warmup=1, runs=2)
    assert [row.form for row in speed.rows] == ["training", "deploy", "deploy"]
    assert {(row.backend, row.dtype, row.weights) for row in speed.rows} == {
        ("torch", "bfloat16", "random")
    }


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_gpu(dtype):
    (row,) = bench([Contender("fmen-s", 4, "deploy", "cuda", dtype)], (64, 64), 1, runs=3).rows
    size = 4 if dtype == "float32" else 2
    assert row.peak_cuda_mib is not None
    # The parameters at the least, and less than ten times FMEN's four features.
    assert 341_066 * size < row.peak_cuda_mib * 2**20 < 10 * 4 * 50 * 64 * 64 * size + 2**25


def test_a_killed_worker_is_one_line():
    with started(SESR, 1) as worker:
        worker.load((16, 16), release_of("sesr-m5", 2).onnx)
        worker.ready()
        assert worker.turn().seconds > 0
        os.kill(worker.pid, signal.SIGKILL)
        with pytest.raises(MeasureError, match=r"^sesr-m5 x2, .*: its process was ended by SIGK"):
            worker.turn()
        with pytest.raises(MeasureError, match="SIGKILL"):
            worker.turn()


def test_a_worker_that_cannot_start_is_one_line(tmp_path):
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"no network")
    with started(SESR, 1) as worker:
        worker.load((16, 16), bad)
        with pytest.raises(MeasureError, match=r"^sesr-m5 x2, .*: cannot be run \(") as caught:
            worker.ready()
    assert "\n" not in str(caught.value)
    assert "bad.onnx" in str(caught.value)


def test_a_run_that_fails_leaves_no_process():
    pids = []

    def interrupted():
        with started(SESR, 1) as loaded, started(SESR, 1) as fresh:
            loaded.load((16, 16), release_of("sesr-m5", 2).onnx)
            pids.extend([loaded.pid, fresh.pid])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="cannot wait for a process not ours")
def test_a_worker_ends_with_the_process_that_started_it():
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from leansr.lab.measure.contender import Contender\n"
        "from leansr.lab.measure.worker import started\n"
        "with started(Contender('sesr-m5', 2), 1) as worker:\n"
        "    worker.load((16, 16), Path(sys.argv[1]))\n"
        "    worker.ready()\n"
        "    print(worker.pid, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, release_of("sesr-m5", 2).onnx],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    worker = os.pidfd_open(int(parent.stdout.readline()))
    assert select.select([worker], [], [], 0)[0] == []
    parent.kill()
    parent.communicate()
    ended, _, _ = select.select([worker], [], [], 60)
    os.close(worker)
    assert ended == [worker]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give variants to time, or a --table"),
        (["sesr-m5", "--table", "fmen-1"], "one of the two"),
        (["sesr-m6"], "did you mean"),
        (["sesr-m5", "--scale", 3], "there is no x3"),
        (["sesr-m5", "--scale", 0], "there is no x0"),
        (["sesr-m5:deployed"], "deployed: no such form; one of training, deploy"),
        (["sesr-m5:training"], "its training form is not exported; use torch"),
        (["sesr-m5", "--backend", "tensorrt"], "no such backend; one of onnxruntime, native"),
        (["sesr-m5", "--backend", "tensorrt", "--backend", "torch"], "tensorrt: no such backend"),
        (["sesr-m5", "--dtype", "float16"], "onnxruntime: takes no --dtype, not float16"),
        (["sesr-m5:training", "--backend", "native"], "its training form is not exported"),
        (["fmen-s", "--scale", 4, "--backend", "native"], "use --backend onnxruntime"),
        (["sesr-m5", "--dtype", "int8", "--backend", "torch"], "int8: no such dtype"),
        (["bsrn", "--scale", 4, "--lr-size", "10x20"], "takes 15 pixels a side or more"),
        (
            ["--table", "fmen-1", "--backend", "torch", "--backend", "cuda"],
            "fmen-1: is timed on one --backend, not on torch, cuda",
        ),
        (["--table", "fmen-9"], "one of fmen-1, fmen-2, fmen-4, bsrn-7"),
        (["--table", "fmen-1", "--scale", 2], "is of x4"),
    ],
)
def test_what_a_user_can_do_wrong(arguments, words):
    done = leansr(*arguments)
    assert isinstance(done.exception, UsageError)
    assert words in str(done.exception)
    assert done.stdout == ""


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_is_a_clear_error():
    done = leansr("sesr-m5", "--backend", "onnxruntime,cuda")
    assert isinstance(done.exception, UsageError)
    assert "torch finds no GPU on this machine" in str(done.exception)


def test_json_has_the_contract_s_keys():
    arguments = "--lr-size", "32x16", "--threads", 1, "--warmup", 1, "--runs", 2
    began = datetime.now(UTC).date()
    done = leansr("sesr-m5", "sesr-m11", *arguments, "--json")
    assert done.exit_code == 0, done.output
    value = json.loads(done.stdout)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", value["date"])
    assert began <= date.fromisoformat(value["date"]) <= datetime.now(UTC).date()
    assert set(value) == RUN_KEYS
    assert set(value["machine"]) == MACHINE_KEYS
    assert value["machine"]["versions"]["torch"] == torch.__version__
    assert value["lr_size"] == [16, 32]
    assert [row["variant"] for row in value["rows"]] == ["sesr-m5", "sesr-m11"]
    for row in value["rows"]:
        assert set(row) == ROW_KEYS
        assert (row["threads"], row["backend"], row["form"]) == (1, "onnxruntime", "deploy")
    done = leansr("sesr-m5", *arguments)
    where, head, row = done.stdout.splitlines()
    assert "x2, 32 x 16 in, onnxruntime float32, 1 + 2 rounds" in where
    assert head.split()[:2] == ["variant", "backend"]
    assert row.split()[:2] == ["sesr-m5", "onnxruntime"]


@pytest.mark.slow
def test_a_table_beside_what_is_printed():
    done = leansr("--table", "bsrn-7", "--lr-size", "16x16", "--warmup", 1, "--runs", 2, "--json")
    assert done.exit_code == 0, done.output
    value = json.loads(done.stdout)
    assert set(value) == RUN_KEYS | {"table", "ratios"}
    assert [(row["variant"], row["form"]) for row in value["rows"][:2]] == [
        ("bsrn-s", "training"),
        ("bsrn-s", "deploy"),
    ]
    base, opt, *_ = value["ratios"]
    assert base["change_pct"] == base["printed_change_pct"] == 0
    assert opt["printed_change_pct"] == pytest.approx(-26.57, abs=0.01)
    assert opt["median_ms"] == value["rows"][1]["median_ms"]


def row(variant, seconds, form="deploy"):
    ms = [1000 * s for s in sorted(seconds)]
    return Row(
        variant=variant,
        form=form,
        backend="torch",
        dtype="float32",
        weights="random",
        threads=1,
        median_ms=ms[len(ms) // 2],
        min_ms=ms[0],
        q1_ms=ms[0],
        q3_ms=ms[-1],
        gmacs_per_s=1.0,
        base_rss_mib=100.0,
        peak_rss_mib=None,
        peak_cuda_mib=None,
        seconds=tuple(seconds),
    )


def test_ratios_are_within_rounds():
    """A machine that slows down threefold between rounds does not change them."""
    base = Time("A", "carn", "deploy", "A", 10.0, 0.0, "")
    lean = Time("B", "carn-m", "deploy", "A", 9.0, -10.0, "")
    unknown = Time("C", "", "", "A", 12.0, 20.0, "")
    rows = [row("carn-m", [0.8, 2.4, 0.72]), row("carn", [1.0, 3.0, 0.9])]
    first, second, third = ratios([base, lean, unknown], rows)
    assert (first.change_pct, first.min_change_pct) == (0, 0)
    assert (second.change_pct, second.change_q1_pct, second.change_q3_pct) == pytest.approx(
        (-20, -20, -20)
    )
    assert second.min_change_pct == pytest.approx(-20)
    assert (third.median_ms, third.change_pct) == (None, None)


def test_every_printed_time_of_a_network_of_ours_can_be_timed():
    known = tables()
    assert set(known) == {"fmen-1", "fmen-2", "fmen-4", "bsrn-7"}
    for times in known.values():
        models = {time.model for time in times}
        for time in times:
            assert time.base in models
            assert bool(time.variant) == bool(time.form)
            if time.variant:
                Contender(time.variant, SCALE, time.form, "torch")


def test_printed_changes_are_those_of_the_printed_times():
    """But for MemNet's, which is printed as 7.5 and is 7.4."""
    for times in tables().values():
        printed = {time.model: time.printed_ms for time in times}
        for time in times:
            change = 100 * (time.printed_ms / printed[time.base] - 1)
            assert time.printed_change_pct == pytest.approx(change, abs=0.1)


@pytest.mark.shared_data
def test_times_are_in_the_papers(shared_data):
    """On the line of their model, but for FMEN's Table 1, which has models in its columns."""
    for row in papers.rows("times"):
        path = shared_data.parent / "papers" / f"{row['paper'].lower()}.txt"
        text = path.read_text(encoding="utf-8")
        model = "ERB" if row["model"].endswith("ERB") else "RB"
        is_columns = (row["paper"], row["table"]) == ("FMEN", "1")
        start = re.escape(model if is_columns else row["model"].partition(" (")[0])
        lines = [line for line in text.splitlines() if re.match(rf"{start}(?=[\s(\[])", line)]
        for figure in (row["printed_ms"], row["printed_change_pct"].lstrip("-")):
            whole = re.compile(rf"(?<![\d.]){re.escape(figure)}(?![\d.])")
            assert any(whole.search(line) for line in lines), row


ABACUS = {
    "scale": 2,
    "lr_size": [90, 160],
    "warmup": 3,
    "runs": 20,
    "date": "2026-02-03",
    "machine": {
        "cpu": "Abacus",
        "cores": 4,
        "isa": [],
        "gpu": None,
        "versions": {"torch": "2.13", "onnxruntime": "1.31", "python": "3.11"},
        "threads": 2,
        "load_before": 0.5,
        "load_after": None,
    },
}


def test_text_of_rows():
    carn = row("carn", [0.012, 0.01234, 0.2], "training").as_json()
    value = ABACUS | {"rows": [carn]}
    assert machine_line(value) == (
        "2026-02-03, x2, 160 x 90 in, torch float32, 3 + 20 rounds, 2 thread(s) of Abacus, 4 "
        "cores, with no vector instructions known, torch 2.13, onnxruntime 1.31, python 3.11, "
        "load 0.50 before, - after"
    )
    assert bench_table(value).splitlines()[2] == (
        "| carn:training | torch | 12.3 | 12.0 | 12.0 to 200 | 1.00 | - | 100 |"
    )
    half = carn | {"backend": "cuda", "dtype": "float16", "peak_cuda_mib": 7.6}
    value = ABACUS | {"rows": [carn, half, half]}
    assert ", cuda float16 and torch float32, " in machine_line(value)
    head, _, first, second, _ = bench_table(value).splitlines()
    assert head.endswith("| RSS, MiB | before | on the GPU |")
    assert first.endswith("| - | 100 | - |")
    assert second.startswith("| carn:training | cuda float16 |")
    assert second.endswith("| - | 100 | 8 |")


def test_text_of_ratios():
    """Each model's memory is that of its own form, and there is none of a network not ours."""
    deploy, training = (
        replace(row("carn", [2.0, 4.0, 8.0], form), peak_rss_mib=peak, base_rss_mib=base)
        for form, peak, base in (("deploy", 300.4, 200.0), ("training", 412.0, 211.0))
    )
    printed = [
        Time("A", "carn", "training", "A", 10.0, 0.0, ""),
        Time("B", "carn", "deploy", "A", 9.0, -10.0, ""),
        Time("C", "", "", "A", 12.0, 20.0, ""),
    ]

    def told(*rows):
        found = [ratio.as_json() for ratio in ratios(printed, rows)]
        return cells(ABACUS | {"rows": [r.as_json() for r in rows], "ratios": found})

    change = ["+0.0 %", "+0.0 % to +0.0 %", "+0.0 %"]
    assert told(deploy, training) == [
        [
            *("model", "variant", "ours, ms", "change", "quartiles", "shortest"),
            *("RSS, MiB", "before", "printed, ms", "printed change"),
        ],
        ["A", "carn:training", "4000", "base", "", "", "412", "211", "10", "base"],
        ["B", "carn", "4000", *change, "300", "200", "9", "-10.0 %"],
        ["C", *["-"] * 7, "12", "+20.0 %"],
    ]
    on_gpu = told(replace(deploy, peak_cuda_mib=30.0), replace(training, peak_cuda_mib=41.0))
    assert [line[8] for line in on_gpu] == ["on the GPU", "41", "30", "-"]
    assert [len(line) for line in on_gpu] == [11] * 4


@pytest.mark.parametrize("path", MEASURED, ids=lambda path: path.stem)
def test_measured_files_are_what_the_command_prints(path):
    value = json.loads(path.read_text(encoding="utf-8"))
    assert set(value) - {"table", "ratios"} == RUN_KEYS
    assert all(set(row) == ROW_KEYS for row in value["rows"])
    assert machine_line(value).startswith(date.fromisoformat(value["date"]).isoformat())
    assert len(cells(value)) == len(value.get("ratios", value["rows"])) + 1
    assert measured(str(path)).count("\n") > len(value["rows"])
    if "table" in value:
        printed = {time.model: time.printed_ms for time in tables()[value["table"]]}
        assert {r["model"]: r["printed_ms"] for r in value["ratios"]} == printed
