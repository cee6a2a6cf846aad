"""Writes docs/reproduce/PAPER.md for every paper, and index.md; `make docs` runs it.

Each page is what `leansr reproduce PAPER --markdown` prints where only the released weights and the
times in docs/measured are at hand, under the day and the commit that it was written from.
"""

import datetime
import subprocess
from pathlib import Path

from leansr.lab.measure.times import tables
from leansr.lab.papers import PAPERS, TITLES
from leansr.lab.reproduce.measured import Measured, released
from leansr.lab.reproduce.render import markdown
from leansr.lab.reproduce.reproduction import reproduce
from leansr.lab.reproduce.times import read_timings

FOLDER = Path(__file__).parent / "reproduce"
MEASURED = Path(__file__).parent / "measured"
# What comes before the part that the test suite compares.
END_OF_HEAD = "-->\n"


def pages() -> dict[str, str]:
    """The text of every page by its name, without heads: one of each paper, and their index."""
    timings = read_timings([MEASURED / f"bench-{table}.json" for table in tables()])
    at_hand = Measured(released(), timings)
    results = {paper: reproduce(paper, at_hand) for paper in PAPERS}
    lines = [
        "# The papers' tables, reproduced",
        "",
        "How many of the figures that can be computed without training fit what is printed.",
        "",
        "| paper | its own networks | those it compares with |",
        "| --- | --- | --- |",
    ]
    for paper, result in results.items():
        own, others = result.own(), result.others()
        lines.append(
            f"| [{TITLES[paper]}]({paper}.md) | {own.fitting} of {own.computed} "
            f"| {others.fitting} of {others.computed} |"
        )
    index = "\n".join(lines) + "\n"
    return {"index": index} | {paper: markdown(result) for paper, result in results.items()}


def body(written: str) -> str:
    """A written page without its head."""
    return written.partition(END_OF_HEAD)[2]


def main() -> None:
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    FOLDER.mkdir(exist_ok=True)
    head = f"<!-- written by docs/reproductions.py on {day}, after commit {commit} {END_OF_HEAD}"
    for name, text in pages().items():
        path = FOLDER / f"{name}.md"
        if not path.exists() or body(path.read_text(encoding="utf-8")) != text:
            path.write_text(head + text, encoding="utf-8")


if __name__ == "__main__":
    main()
