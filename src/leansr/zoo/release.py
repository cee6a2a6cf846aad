"""Releases: the trained weights that come with the package, and the cards that describe them."""

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from leansr.errors import WeightsError


@dataclass(frozen=True)
class Release:
    """One released network: `onnx` and `tensors` beside the card that says what they are."""

    variant: str
    scale: int
    onnx: Path
    tensors: Path
    card: dict[str, Any]

    def psnr_y(self, benchmark: str) -> float | None:
        """Luma PSNR in dB that the card states for a benchmark, if it does."""
        for row in self.card["quality"]:
            if row["benchmark"] == benchmark:
                return float(row["psnr_y"])
        return None


def folder() -> Path:
    """Where the releases lie in the installed package."""
    return Path(str(resources.files("leansr.zoo") / "weights"))


def releases() -> dict[tuple[str, int], Release]:
    """Every release by variant and scale, read from the cards alone."""
    result = {}
    for path in sorted(folder().glob("*.json")):
        card = json.loads(path.read_text(encoding="utf-8"))
        key = card["variant"], card["scale"]
        result[key] = Release(
            *key,
            path.with_name(card["onnx"]["file"]),
            path.with_name(card["tensors"]["file"]),
            card,
        )
    return result


def release_of(variant: str, scale: int) -> Release:
    """The release of a variant at a scale; WeightsError if there is none."""
    known = releases()
    try:
        return known[variant, scale]
    except KeyError:
        names = ", ".join(f"{name} x{at}" for name, at in known)
        raise WeightsError(
            f"{variant} x{scale}: has no released weights; give --weights, or use one of {names}"
        ) from None
