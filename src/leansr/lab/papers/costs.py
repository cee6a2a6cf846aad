"""The costs that the papers print beside ours."""

from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from functools import cache

from leansr import zoo
from leansr.lab.measure.complexity import (
    CHALLENGE_INPUT,
    Complexity,
    Convention,
    complexity,
    lr_size,
)
from leansr.lab.nets import build
from leansr.lab.papers import PAPERS, rows
from leansr.zoo.variant import Variant

# How each paper counts; BSRN-S's and MDRN-S's sizes by the challenge's rules are a table apart.
CONVENTIONS: dict[str, Convention] = {
    "bsrn": "thop",
    "mdrn": "thop",
    "fmen": "pure",
    "study": "pure",
    "sesr": "pure",
    "challenge": "challenge",
}
# How the names of a paper's own networks and ablations begin.
_OWN = {
    "BSRN": ("bsrn", "rfdn-"),
    "FMEN": ("fmen",),
    "MDRN": ("mdrn",),
    "Efficiency study": ("rcan-",),
    "SESR": ("sesr",),
}
# column: what of ours stands there, how many of it are one of the unit, and how far it may be
# from the print if it is not equal to its digits, rounded or cut
_COLUMNS: dict[str, tuple[str, float, float | None]] = {
    "params_k": ("params", 1e3, None),
    "macs_g": ("multi_adds", 1e9, 0.005),
    "params_m": ("params", 1e6, None),
    "flops_g_256": ("multi_adds", 1e9, 0.005),
    "acts_m_256": ("activations", 1e6, 0.005),
    "convs": ("convs", 1, None),
}
# Where a paper prints the weights of convolutions alone.
_KERNELS_ONLY = {"SESR": ("sesr", "fsrcnn")}


@dataclass(frozen=True)
class Cell:
    """One printed cost and ours, in the column's unit; `why` is the reason if they differ."""

    paper: str
    table: str
    model: str
    variant: str
    scale: int
    column: str
    printed: str
    ours: float
    convention: Convention
    fits: bool
    is_own: bool
    why: str


def cells() -> list[Cell]:
    """Every printed cost of a network that is in the zoo."""
    found = []
    for name in (*PAPERS, "challenge"):
        for row in rows(name):
            if row["variant"] not in zoo.VARIANTS:
                continue
            variant, scale = zoo.VARIANTS[row["variant"]], int(row["scale"])
            for column in _COLUMNS.keys() & row.keys():
                if row[column] and scale in variant.scales:
                    found.append(_cell(row, variant, scale, column, CONVENTIONS[name]))
    return sorted(found, key=lambda c: (c.paper, c.table, c.model, c.scale, c.column))


def _cell(
    row: dict[str, str],
    variant: Variant,
    scale: int,
    column: str,
    convention: Convention,
) -> Cell:
    what, unit, tolerance = _COLUMNS[column]
    if column == "params_k" and variant.name.startswith(_KERNELS_ONLY.get(row["paper"], "-")):
        what = "conv_weights"
    ours = getattr(_counted(variant.name, scale, convention), what) / unit
    printed = row[column]
    fits = _equal_to_the_digits(ours, printed)
    if tolerance is not None:
        fits = fits or abs(ours - float(printed)) <= tolerance * float(printed)
    place = row["paper"], row["table"], variant.name, str(scale), column
    return Cell(
        paper=row["paper"],
        table=row["table"],
        model=row["model"],
        variant=variant.name,
        scale=scale,
        column=column,
        printed=printed,
        ours=ours,
        convention=convention,
        fits=fits,
        is_own=variant.name.startswith(_OWN[row["paper"]]),
        why="" if fits else _reason(place),
    )


@cache
def _counted(name: str, scale: int, convention: Convention) -> Complexity:
    variant = zoo.VARIANTS[name]
    lr = CHALLENGE_INPUT if convention == "challenge" else lr_size(scale)
    # As published: what a network is drawn as is what its authors counted, but for linear blocks.
    network = build(variant, scale)
    form = network.deploy() if network.spaces else network
    return complexity(form.eval(), (1, variant.channels, *lr), convention)


def _equal_to_the_digits(ours: float, printed: str) -> bool:
    digits = Decimal(1).scaleb(Decimal(printed).as_tuple().exponent)  # type: ignore[arg-type]
    exact = Decimal(repr(ours))
    ways = (ROUND_HALF_UP, ROUND_DOWN)
    return any(exact.quantize(digits, way) == Decimal(printed) for way in ways)


def _reason(place: tuple[str, ...]) -> str:
    """The first line of misfits.csv for a paper, table, variant, scale and column; `*` is any."""
    for row in rows("misfits"):
        *pattern, why = row.values()
        if all(part in ("*", own) for part, own in zip(pattern, place, strict=True)):
            return why
    return ""
