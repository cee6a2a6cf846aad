"""What `leansr bench --json` says, for people: one line of where, and a table."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

# A row of a benchmark's JSON.
_Row = Mapping[str, Any]


def measured(path: str) -> str:
    """A file of `leansr bench --json` as Markdown: its table, and what it was measured on."""
    value = json.loads(Path(path).read_text(encoding="utf-8"))
    return f"{bench_table(value)}\n{machine_line(value)}.\n"


def machine_line(value: dict[str, Any]) -> str:
    """When, what and on which machine a benchmark's JSON is of, and what else ran there."""
    machine = value["machine"]
    height, width = value["lr_size"]
    versions = machine["versions"]
    parts = [
        value["date"],
        f"x{value['scale']}, {width} x {height} in",
        ways(value["rows"]),
        f"{value['warmup']} + {value['runs']} rounds",
        f"{machine['threads']} thread(s) of {machine['cpu']}, {machine['cores']} cores",
        "with " + (" ".join(machine["isa"]) or "no vector instructions known"),
        *([machine["gpu"]] if machine["gpu"] else []),
        *(f"{name} {versions[name]}" for name in ("torch", "onnxruntime", "python")),
        f"load {_number(machine['load_before'])} before, {_number(machine['load_after'])} after",
    ]
    return ", ".join(parts)


def ways(rows: Iterable[_Row]) -> str:
    """The backends of the rows, each with its dtype."""
    return " and ".join(sorted({f"{row['backend']} {row['dtype']}" for row in rows}))


def cells(value: dict[str, Any]) -> list[list[str]]:
    """The table of a benchmark's JSON, its head first: of a paper's table, else of the rows."""
    return _ratio_cells(value) if "ratios" in value else _row_cells(value)


def bench_table(value: dict[str, Any]) -> str:
    """The table of a benchmark's JSON as Markdown."""
    head, *rows = cells(value)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _row_cells(value: dict[str, Any]) -> list[list[str]]:
    rows = value["rows"]
    head = ["variant", "backend", "median, ms", "min", "quartiles", "GMAC/s"]
    lines = [[*head, *_memory_head(rows)]]
    for row in rows:
        lines.append(
            [
                _name(row),
                row["backend"] + ("" if row["dtype"] == "float32" else f" {row['dtype']}"),
                _number(row["median_ms"]),
                _number(row["min_ms"]),
                f"{_number(row['q1_ms'])} to {_number(row['q3_ms'])}",
                _number(row["gmacs_per_s"]),
                *_memory(row, rows),
            ]
        )
    return lines


def _ratio_cells(value: dict[str, Any]) -> list[list[str]]:
    rows = value["rows"]
    by_name = {_name(row): row for row in rows}
    head = ["model", "variant", "ours, ms", "change", "quartiles", "shortest"]
    lines = [[*head, *_memory_head(rows), "printed, ms", "printed change"]]
    for ratio in value["ratios"]:
        is_base = ratio["model"] == ratio["base"]
        ours = ["-"] * 4
        if ratio["median_ms"] is not None:
            quartiles = f"{_signed(ratio['change_q1_pct'])} to {_signed(ratio['change_q3_pct'])}"
            ours = [
                _number(ratio["median_ms"]),
                _signed(ratio["change_pct"]),
                quartiles,
                _signed(ratio["min_change_pct"]),
            ]
        if is_base:
            ours[1:] = ["base", "", ""]
        name = _name(ratio)
        memory = _memory(by_name.get(name), rows)
        change = "base" if is_base else _signed(ratio["printed_change_pct"])
        printed = [f"{ratio['printed_ms']:g}", change]
        lines.append([ratio["model"], name or "-", *ours, *memory, *printed])
    return lines


def _name(row: _Row) -> str:
    return row["variant"] + (":training" if row["form"] == "training" else "")


def _memory_head(rows: Sequence[_Row]) -> list[str]:
    return ["RSS, MiB", "before", *(["on the GPU"] if _is_cuda(rows) else [])]


def _memory(row: _Row | None, rows: Sequence[_Row]) -> list[str]:
    """What stands below `_memory_head(rows)` for `row`, None being one that was not run."""
    keys = ["peak_rss_mib", "base_rss_mib", *(["peak_cuda_mib"] if _is_cuda(rows) else [])]
    return [_whole(row[key]) if row else "-" for key in keys]


def _is_cuda(rows: Sequence[_Row]) -> bool:
    return any(row["peak_cuda_mib"] is not None for row in rows)


def _number(value: float | None) -> str:
    """Three digits that count, at most two after the point."""
    if value is None:
        return "-"
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def _whole(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _signed(percent: float) -> str:
    return f"{percent:+.1f} %"
