"""What a card says beside what was measured: the paper's figures, and where weights come from."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from leansr import zoo
from leansr.lab import papers
from leansr.lab.weights import Facts, Trained
from leansr.zoo.release import every_release


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


def with_floats(told: Mapping[str, Any], quality: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """What a card is told, and for fewer bits how good the release in floats is beside `quality`.

    That is the release whose tensors the quantising started from: its luma PSNR and what is lost of
    it, in dB, on the benchmarks that both were measured on alike. None if it is not a release.
    """
    if "quantized" not in told:
        return told
    floats = None
    for release in every_release():
        if release.card["tensors"]["sha256"] == told["quantized"]["start_sha256"]:
            before = {
                (row["benchmark"], str(row["protocol"])): row for row in release.card["quality"]
            }
            pairs = [(row, before.get((row["benchmark"], str(row["protocol"])))) for row in quality]
            floats = {
                "release": release.onnx.stem,
                "quality": [
                    {
                        "benchmark": row["benchmark"],
                        "psnr_y": own["psnr_y"],
                        "drop": round(own["psnr_y"] - row["psnr_y"], 4),
                    }
                    for row, own in pairs
                    if own is not None
                ],
            }
    return {**told, "quantized": {**told["quantized"], "floats": floats}}
