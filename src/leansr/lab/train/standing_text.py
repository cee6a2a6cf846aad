"""What `leansr rank --json` says, for people: a table, verdicts, and one line of where."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

# A row, or a pair of rows, of a ranking's JSON.
_Row = Mapping[str, Any]


def measured(path: str) -> str:
    """A file of `leansr rank --json` as Markdown: its table, its verdicts and its machine."""
    value = json.loads(Path(path).read_text(encoding="utf-8"))
    head, *rows = cells(value)
    lines = [head, ["---"] * len(head), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    verdicts = "\n".join(f"- {line}" for line in verdict_lines(value))
    return f"{table}\n\n{verdicts}\n\n{protocol_line(value)}.\n"


def cells(value: Mapping[str, Any]) -> list[list[str]]:
    """The table of a ranking's JSON, its head first; rows as the paper orders them, if it does."""
    rows = sorted(value["rows"], key=_order)
    has_printed = any(row["printed"] is not None for row in rows)
    has_order = any(row["printed_place"] is not None for row in rows)
    head = ["row", "parameters", "Multi-Adds, G", "validation, dB", "over seeds", "runs", "minutes"]
    head += ["place"] if has_order else []
    head += ["printed, dB"] if has_printed else []
    head += ["printed place"] if has_order else []
    return [head, *(_cells(row, has_printed, has_order) for row in rows)]


def verdict_lines(value: Mapping[str, Any]) -> Iterator[str]:
    """A line for each two neighbours, then what holds over all pairs."""
    for pair in value["pairs"]:
        if pair["are_neighbours"]:
            yield _verdict(pair)
    if value["tau"] is not None:
        counts = ", ".join(f"{count} {verdict}" for verdict, count in value["verdicts"].items())
        yield f"of all {len(value['pairs'])} pairs: {counts}; Kendall's tau {value['tau']:.2f}"


def protocol_line(value: Mapping[str, Any]) -> str:
    """The day, what was trained on, measured how and on which machine."""
    machine = value["machine"]
    sees = {"y": "luma", "rgb": "RGB"}[value["colour"]]
    threads = "all" if machine["threads"] is None else machine["threads"]
    return ", ".join(
        [
            value["date"],
            f"x{value['scale']}",
            f"{value['steps']} steps each",
            f"{sees} PSNR of the 8-bit output on the validation pictures",
            f"trained on {value['data']['source']}",
            f"{threads} thread(s) of {machine['gpu'] or machine['cpu']}",
            f"torch {machine['versions']['torch']}",
        ]
    )


def _order(row: _Row) -> tuple[bool, int]:
    """By the paper's place; rows that have none stay as they are, behind those that do."""
    return row["printed_place"] is None, row["printed_place"] or 0


def _cells(row: _Row, has_printed: bool, has_order: bool) -> list[str]:
    psnr: Sequence[float] = list(row["psnr"].values())
    over = f"{min(psnr):.3f} to {max(psnr):.3f}" if len(psnr) > 1 else "-"
    found = [
        row["name"],
        f"{row['params']:,}".replace(",", " "),
        f"{row['multi_adds'] / 1e9:.2f}",
        _or_dash(row["mean"], ".3f"),
        over,
        str(len(psnr)),
        f"{row['minutes']:.1f}",
    ]
    found += [_or_dash(row["place"], "d")] if has_order else []
    found += [_or_dash(row["printed"], ".2f")] if has_printed else []
    found += [_or_dash(row["printed_place"], "d")] if has_order else []
    return found


def _verdict(pair: _Row) -> str:
    joint = {"order": "over", "tie": "and", "base": "against"}[pair["kind"]]
    known = [f"{pair['difference']:+.3f} dB"]
    known += ["one seed" if pair["margin"] is None else f"margin {pair['margin']:.3f}"]
    if pair["printed_difference"] is not None:
        known += [f"printed {pair['printed_difference']:+.2f}"]
    return f"{pair['first']} {joint} {pair['second']}: {pair['verdict']} ({', '.join(known)})"


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
