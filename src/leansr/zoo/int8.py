"""Rows of eight bits: the papers' networks, each in the scheme of its own paper or the nearest."""

from dataclasses import replace

from leansr.zoo import bsrn, fmen, mdrn, sesr, study
from leansr.zoo.variant import Variant

_OWN = {row.name: row for family in (sesr, study, fmen, bsrn, mdrn) for row in family.ROWS}
# name: scheme, and where it is from
_SCHEMES = {
    **dict.fromkeys(
        ("sesr-m3", "sesr-m5", "sesr-m7", "sesr-m11", "sesr-xl"), ("sesr", "SESR's code")
    ),
    "rcan-bl": ("study", "study, section 5.1 and Table 4"),
    **dict.fromkeys(
        ("fmen", "fmen-s", "bsrn", "bsrn-s", "mdrn", "mdrn-s"),
        ("sesr", "ours: SESR's scheme for another network"),
    ),
}


def _row(of: Variant, scheme: str, source: str) -> Variant:
    return replace(
        of,
        name=f"{of.name}-int8",
        family="int8",
        network="leansr.lab.quantize.int8:Int8",
        arguments={"of": of.name, "scheme": scheme},
        source=source,
        dtype="int8",
    )


ROWS = [_row(_OWN[name], scheme, source) for name, (scheme, source) in _SCHEMES.items()]
