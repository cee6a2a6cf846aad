"""What `leansr bench --json` says, for people: one line of where, and a table."""

import json
from pathlib import Path
from typing import Any


def measured(path: str) -> str:
    """A file of `leansr bench --json` as Markdown: its table, and what it was measured on."""
    value = json.loads(Path(path).read_text(encoding="utf-8"))
    return f"{bench_table(value)}\n{machine_line(value)}.\n"


def machine_line(value: dict[str, Any]) -> str:
    """The sizes, the machine and what else ran on it, of a benchmark's JSON."""
    machine = value["machine"]
    height, width = value["lr_size"]
    versions = machine["versions"]
    parts = [
        f"x{value['scale']}, {width} x {height} in",
        f"{value['warmup']} + {value['runs']} rounds",
        f"{machine['threads']} thread(s) of {machine['cpu']}, {machine['cores']} cores",
        "with " + (" ".join(machine["isa"]) or "no vector instructions known"),
        *([machine["gpu"]] if machine["gpu"] else []),
        *(f"{name} {versions[name]}" for name in ("torch", "onnxruntime", "python")),
        f"load {_number(machine['load_before'])} before, {_number(machine['load_after'])} after",
    ]
    return ", ".join(parts)


def cells(value: dict[str, Any]) -> list[list[str]]:
    """The table of a benchmark's JSON, its head first: of a paper's table, else of the rows."""
    return _ratio_cells(value) if "ratios" in value else _row_cells(value)


def bench_table(value: dict[str, Any]) -> str:
    """The table of a benchmark's JSON as Markdown."""
    head, *rows = cells(value)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _row_cells(value: dict[str, Any]) -> list[list[str]]:
    is_cuda = any(row["peak_cuda_mib"] is not None for row in value["rows"])
    head = ["variant", "backend", "median, ms", "min", "quartiles", "GMAC/s", "RSS, MiB", "before"]
    lines = [head + ["on the GPU"] * is_cuda]
    for row in value["rows"]:
        lines.append(
            [
                row["variant"] + (":training" if row["form"] == "training" else ""),
                row["backend"] + ("" if row["dtype"] == "float32" else f" {row['dtype']}"),
                _number(row["median_ms"]),
                _number(row["min_ms"]),
                f"{_number(row['q1_ms'])} to {_number(row['q3_ms'])}",
                _number(row["gmacs_per_s"]),
                _whole(row["peak_rss_mib"]),
                _whole(row["base_rss_mib"]),
                *([_whole(row["peak_cuda_mib"])] * is_cuda),
            ]
        )
    return lines


def _ratio_cells(value: dict[str, Any]) -> list[list[str]]:
    head = ["model", "variant", "ours, ms", "change", "quartiles", "shortest"]
    lines = [[*head, "printed, ms", "printed change"]]
    for ratio in value["ratios"]:
        is_base = ratio["model"] == ratio["base"]
        middle = ["-"] * 4
        if ratio["median_ms"] is not None:
            quartiles = f"{_signed(ratio['change_q1_pct'])} to {_signed(ratio['change_q3_pct'])}"
            middle = [
                _number(ratio["median_ms"]),
                _signed(ratio["change_pct"]),
                quartiles,
                _signed(ratio["min_change_pct"]),
            ]
        if is_base:
            middle[1:] = ["base", "", ""]
        name = ratio["variant"] + (":training" if ratio["form"] == "training" else "")
        change = "base" if is_base else _signed(ratio["printed_change_pct"])
        lines.append([ratio["model"], name or "-", *middle, f"{ratio['printed_ms']:g}", change])
    return lines


def _number(value: float | None) -> str:
    """Three digits that count, at most two after the point."""
    if value is None:
        return "-"
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def _whole(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _signed(percent: float) -> str:
    return f"{percent:+.1f} %"
