"""Writes docs/reproduce/PAPER.md for every paper, and index.md; `make docs` runs it.

python docs/reproductions.py [--weights DIR --data-root DIR]

Each page is what `leansr reproduce PAPER --markdown` prints with what was measured and lies in
docs/measured: the times, and the quality of published checkpoints, which is measured again with
--weights, a folder of what `leansr import` made of them. A head names the day and the commit that
the page was written after.
"""

import argparse
import datetime
import json
import subprocess
from pathlib import Path

from leansr.lab.measure.times import tables
from leansr.lab.papers import PAPERS, TITLES
from leansr.lab.reproduce.measured import Figure, Key, Measured, measured_for, released
from leansr.lab.reproduce.render import markdown
from leansr.lab.reproduce.reproduction import KINDS, Reproduction, reproduce
from leansr.lab.reproduce.times import read_timings

FOLDER = Path(__file__).parent / "reproduce"
MEASURED = Path(__file__).parent / "measured"
QUALITY = MEASURED / "quality.json"
# What comes before the part that the test suite compares.
END_OF_HEAD = "-->\n"


def results() -> dict[str, Reproduction]:
    """Every paper with what was measured at hand."""
    timings = read_timings([MEASURED / f"bench-{table}.json" for table in tables()])
    stored = json.loads(QUALITY.read_text(encoding="utf-8"))
    found = {}
    for paper in PAPERS:
        quality: dict[Key, Figure] = {
            (row["variant"], row["scale"], row["column"]): Figure(row["value"], row["protocol"])
            for row in stored
            if row["paper"] == paper
        }
        found[paper] = reproduce(paper, Measured(released() | quality, timings))
    return found


def measure_quality(weights: Path, root: Path) -> None:
    """Measures `bicubic` and the given weights for every paper, and keeps the figures."""
    rows = []
    for paper in PAPERS:
        measured = measured_for(paper, weights, root, ())
        if measured.failures:
            raise measured.failures[0]
        kept = measured.quality.keys() - released().keys()
        for key in sorted(kept):
            variant, scale, column = key
            figure = measured.quality[key]
            rows.append(
                {
                    "paper": paper,
                    "variant": variant,
                    "scale": scale,
                    "column": column,
                    "value": round(figure.value, 5),
                    "protocol": figure.protocol,
                }
            )
    QUALITY.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def pages(found: dict[str, Reproduction]) -> dict[str, str]:
    """The text of every page by its name, without heads: one of each paper, and their index."""
    lines = [
        "# The papers' tables, reproduced",
        "",
        "How many figures that need no training fit what is printed. Counted: on networks of ours; "
        "arithmetic: of printed figures alone; forms: that training form and deploy form are one "
        "function; estimated: DRAM traffic by a model of the hardware "
        "([what it means that a figure fits](../decisions/009-what-fits.md)). Quality is that of "
        "released weights and of the checkpoints that the authors published, measured here.",
        "",
        "| paper | own networks, counted | arithmetic | forms | estimated | others, counted |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for paper, result in found.items():
        scores = [*(result.own(kind) for kind in KINDS), result.others()]
        texts = [f"{s.fitting} of {s.computed}" if s.computed else "" for s in scores]
        lines.append(f"| [{TITLES[paper]}]({paper}.md) | {' | '.join(texts)} |")
    index = "\n".join(lines) + "\n"
    return {"index": index} | {paper: markdown(result) for paper, result in found.items()}


def body(written: str) -> str:
    """A written page without its head."""
    return written.partition(END_OF_HEAD)[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--data-root", type=Path)
    arguments = parser.parse_args()
    if arguments.weights:
        measure_quality(arguments.weights, arguments.data_root)
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    FOLDER.mkdir(exist_ok=True)
    texts = pages(results())
    written = {path.stem: body(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.md")}
    if written == texts:
        return
    head = f"<!-- written by docs/reproductions.py on {day}, after commit {commit} {END_OF_HEAD}"
    for name, text in texts.items():
        (FOLDER / f"{name}.md").write_text(head + text, encoding="utf-8")


if __name__ == "__main__":
    main()
