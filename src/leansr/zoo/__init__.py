"""What exists: one row per variant, and the releases that come with the package."""

import difflib

from leansr.errors import UsageError
from leansr.zoo import sesr
from leansr.zoo.variant import Variant

VARIANTS: dict[str, Variant] = {row.name: row for row in sesr.ROWS}


def find(name: str, scale: int) -> Variant:
    """The row called `name`; UsageError if there is none or it has no such scale."""
    try:
        variant = VARIANTS[name]
    except KeyError:
        close = difflib.get_close_matches(name, VARIANTS, n=1)
        hint = f"did you mean {close[0]}?" if close else "`leansr models` lists them"
        raise UsageError(f"{name}: no such variant; {hint}") from None
    if scale not in variant.scales:
        scales = " and ".join(f"x{s}" for s in variant.scales)
        raise UsageError(f"{name}: there is no x{scale}; it has {scales}")
    return variant
