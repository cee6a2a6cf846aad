"""What exists: one row per variant, and the releases that come with the package."""

import difflib
from itertools import chain

from leansr.errors import UsageError
from leansr.zoo import (
    bsrn,
    fmen,
    int8,
    luma_baselines,
    mdrn,
    rfdn,
    rgb_baselines,
    sesr,
    study,
    ternary,
)
from leansr.zoo.variant import Variant

_FAMILIES = (sesr, bsrn, fmen, mdrn, study, ternary, int8, rfdn, luma_baselines, rgb_baselines)
VARIANTS: dict[str, Variant] = {
    row.name: row for row in chain.from_iterable(family.ROWS for family in _FAMILIES)
}


def find(name: str, scale: int) -> Variant:
    """The row called `name`; UsageError if there is none or it has no such scale."""
    try:
        variant = VARIANTS[name]
    except KeyError:
        of = name.removesuffix("-photo")
        if of in VARIANTS:
            raise UsageError(
                f"{name}: are weights of {of}, for `leansr upscale --model {of} --input photo`"
            ) from None
        close = difflib.get_close_matches(name, VARIANTS, n=1)
        hint = f"did you mean {close[0]}?" if close else "`leansr models` lists them"
        raise UsageError(f"{name}: no such variant; {hint}") from None
    if scale not in variant.scales:
        scales = " and ".join(f"x{s}" for s in variant.scales)
        raise UsageError(f"{name}: there is no x{scale}; it has {scales}")
    return variant
