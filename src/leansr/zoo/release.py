"""Releases: the trained weights that come with the package, and the cards that describe them."""

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from leansr.errors import WeightsError

# What pictures weights are for: clean ones, or photos, which are compressed.
Kind = Literal["clean", "photo"]
KINDS: tuple[Kind, ...] = ("clean", "photo")


@dataclass(frozen=True)
class Release:
    """One released network: `onnx` and `tensors` beside the card that says what they are."""

    variant: str
    scale: int
    onnx: Path
    tensors: Path
    card: dict[str, Any]

    @property
    def kind(self) -> Kind:
        """What pictures it is for; a card that does not say so is of weights for clean ones."""
        kind: Kind = self.card.get("input", "clean")
        return kind

    def psnr_y(self, benchmark: str) -> float | None:
        """Luma PSNR in dB that the card states for a benchmark, if it does."""
        for row in self.card["quality"]:
            if row["benchmark"] == benchmark:
                return float(row["psnr_y"])
        return None


def folder() -> Path:
    """Where the releases lie in the installed package."""
    return Path(str(resources.files("leansr.zoo") / "weights"))


def stem(variant: str, scale: int, kind: Kind = "clean") -> str:
    """What the files of a release are called: `sesr-m11_x2`, `sesr-m11-photo_x2`."""
    return f"{variant}{'' if kind == 'clean' else f'-{kind}'}_x{scale}"


def every_release() -> list[Release]:
    """The releases of both kinds, read from the cards alone."""
    return [read_card(path) for path in sorted(folder().glob("*.json"))]


def read_card(path: Path) -> Release:
    """The release that a card describes; WeightsError if it is no card."""
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        onnx, tensors = (path.with_name(card[part]["file"]) for part in ("onnx", "tensors"))
        return Release(card["variant"], card["scale"], onnx, tensors, card)
    except (OSError, ValueError, LookupError, TypeError) as cause:
        raise WeightsError(f"{path}: cannot be read as a card ({cause})") from cause


def releases(kind: Kind = "clean") -> dict[tuple[str, int], Release]:
    """Every release of a kind by variant and scale."""
    return {(r.variant, r.scale): r for r in every_release() if r.kind == kind}


def release_of(variant: str, scale: int, kind: Kind = "clean") -> Release:
    """The release of a variant at a scale; WeightsError if there is none of that kind."""
    known = releases(kind)
    if (variant, scale) in known:
        return known[variant, scale]
    names = ", ".join(f"{name} x{at}" for name, at in known) or "none yet"
    if kind == "photo":
        raise WeightsError(
            f"{variant} x{scale}: has no photo weights, and --input photo asks for them; "
            f"those that have them: {names}"
        )
    raise WeightsError(
        f"{variant} x{scale}: has no released weights; give --weights, or use one of {names}"
    )
