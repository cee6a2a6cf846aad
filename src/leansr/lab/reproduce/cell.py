"""One printed figure and ours, and when the two are one."""

from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Any

# The column of what is said in a text, not in a table.
CLAIM = "claim"
# How the names of a paper's own networks and ablations begin.
_OWN = {
    "bsrn": ("bsrn", "rfdn-"),
    "fmen": ("fmen",),
    "mdrn": ("mdrn",),
    "study": ("rcan-",),
    "sesr": ("sesr",),
}


@dataclass(frozen=True)
class Cell:
    """A printed figure and ours, in the column's unit.

    `ours` is None where nothing at hand computes it. `fits` is None there and where figures are
    measured, not computed: quality and time. `convention` is what ours was counted or measured by;
    `why` is the reason of a difference or of an empty place. `is_own` is whether it is of the
    paper's own networks.
    """

    paper: str
    table: str
    model: str
    variant: str
    scale: int
    column: str
    printed: str
    ours: float | None
    fits: bool | None
    convention: str
    why: str
    is_own: bool

    def as_json(self) -> dict[str, Any]:
        """The keys of a row of `leansr reproduce --json`."""
        return {
            "model": self.model,
            "variant": self.variant or None,
            "scale": self.scale,
            "column": self.column,
            "printed": float(self.printed),
            "ours": self.ours,
            "fits": self.fits,
            "convention": self.convention,
            "why": self.why,
        }


def is_own(paper: str, variant: str) -> bool:
    """Whether a network is of the paper that prints it, and not one that it compares with."""
    return variant.startswith(_OWN[paper])


def fits(ours: float, printed: str, tolerance: float | None) -> bool:
    """Whether `ours` is `printed` to its digits, rounded or cut, or within `tolerance` of it.

    `tolerance` is a share of the printed figure; None is none.
    """
    if tolerance is not None and abs(ours - float(printed)) <= tolerance * abs(float(printed)):
        return True
    digits = Decimal(1).scaleb(Decimal(printed).as_tuple().exponent)  # type: ignore[arg-type]
    ways = (ROUND_HALF_UP, ROUND_DOWN)
    return any(Decimal(repr(ours)).quantize(digits, way) == Decimal(printed) for way in ways)
