"""One printed figure and ours, and when the two are one."""

from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Any, Literal

# counted: on a network of ours, with no weights. arithmetic: of printed figures alone.
# form: that two forms of a network are one function. estimated: by a model of hardware.
# measured: of weights or on a machine, and held to nothing.
Kind = Literal["counted", "arithmetic", "form", "estimated", "measured"]

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

    `printed` is empty for what the paper says in words alone. `ours` is None where nothing at hand
    computes it. `fits` is None there and for what is measured: quality and time, modelled time
    too. `convention` is what ours was counted or measured by, `tolerance` the share of the print
    that it may be off, None for none beyond the printed digits; `why` is the reason of a
    difference or of an empty place.
    """

    paper: str
    table: str
    model: str
    variant: str
    scale: int
    column: str
    printed: str
    ours: float | None
    kind: Kind
    fits: bool | None
    convention: str
    why: str = ""
    tolerance: float | None = None

    @property
    def is_own(self) -> bool:
        """Whether the network is of the paper that prints it, not one that it compares with."""
        return self.variant.startswith(_OWN[self.paper])

    def as_json(self) -> dict[str, Any]:
        """A row of `leansr reproduce --json`: the contract's keys, and what scores are made of."""
        return {
            "model": self.model,
            "variant": self.variant or None,
            "scale": self.scale,
            "column": self.column,
            "printed": float(self.printed) if self.printed else None,
            "ours": self.ours,
            "fits": self.fits,
            "convention": self.convention,
            "why": self.why,
            "kind": self.kind,
            "tolerance": self.tolerance,
            "is_own": self.is_own,
        }


def fits(ours: float, printed: str, tolerance: float | None = None) -> bool:
    """Whether `ours` is `printed` to its digits, rounded or cut, or within `tolerance` of it.

    `tolerance` is a share of the printed figure; None is none.
    """
    if tolerance is not None and abs(ours - float(printed)) <= tolerance * abs(float(printed)):
        return True
    return at_digits(ours, printed) == float(printed)


def at_digits(ours: float, printed: str) -> float:
    """`ours` with as many decimals as `printed`: cut if that is what the print is, else rounded."""
    digits = Decimal(1).scaleb(Decimal(printed).as_tuple().exponent)  # type: ignore[arg-type]
    exact = Decimal(repr(ours))
    cut = exact.quantize(digits, ROUND_DOWN)
    return float(cut if cut == Decimal(printed) else exact.quantize(digits, ROUND_HALF_UP))
