"""What a card says beside what was measured: the paper's figures, and where weights come from."""

import json
from typing import Any

import msgspec

from leansr import zoo
from leansr.lab import papers
from leansr.lab.weights import Facts, Trained


def printed(variant: str, scale: int, benchmark: str) -> dict[str, Any] | None:
    """Luma PSNR in dB, SSIM and the table that prints them; None where no paper prints them.

    Of the network's own paper, its comparison of whole networks before its ablations; of a
    baseline, the first paper that compares with it.
    """
    column = f"{benchmark.casefold()}_psnr"
    found = []
    for paper in papers.PAPERS:
        is_own = zoo.VARIANTS[variant].family == paper
        for row in papers.rows(paper):
            is_whole = row["table"] in papers.WHOLE_TABLES[paper]
            if (row["variant"], row["scale"]) == (variant, str(scale)) and row.get(column):
                found.append((not is_own, not is_whole, paper, row))
    if not found:
        return None
    *_, paper, row = min(found, key=lambda one: one[:2])
    ssim = row[f"{benchmark.casefold()}_ssim"]
    return {
        "psnr_y": float(row[column]),
        "ssim_y": float(ssim) if ssim else None,
        "table": f"{papers.TITLES[paper]}, Table {row['table']}",
    }


def origin(facts: Facts) -> dict[str, Any]:
    """What the weights file says of itself, under what made it.

    Of a training run its hours too, which are of that run alone, not of one that it started from.
    """
    told: dict[str, Any] = json.loads(msgspec.json.encode(facts))
    kept = {key: value for key, value in told.items() if key not in ("variant", "scale", "space")}
    if not isinstance(facts, Trained):
        return {"imported": kept}
    return {"training": kept | {"hours": round(facts.minutes / 60, 2), "device": facts.device}}
