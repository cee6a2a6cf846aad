"""BSRN's rows: its Tables 2 to 5, and BSRN-S."""

from typing import Any

from leansr.zoo.variant import Variant

_BSRN = {"channels": 64, "blocks": 8}
# suffix: arguments, scales, source, smallest
_FORMS: dict[str, tuple[dict[str, Any], tuple[int, ...], str, int]] = {
    "": ({}, (2, 3, 4), "BSRN, Table 5", 15),
    "-1": ({"channels": 48}, (4,), "BSRN, Table 4", 15),
    "-2": ({"channels": 72}, (4,), "BSRN, Table 4", 15),
    "-no-esa": ({"esa": False}, (4,), "BSRN, Table 2", 1),
    "-no-cca": ({"cca": False}, (4,), "BSRN, Table 2", 15),
    "-relu": ({"activation": "relu"}, (4,), "BSRN, Table 3", 15),
    "-leakyrelu": ({"activation": "leakyrelu"}, (4,), "BSRN, Table 3", 15),
    "-hswish": ({"activation": "hswish"}, (4,), "BSRN, Table 3", 15),
}

ROWS = [
    Variant(
        name=f"bsrn{suffix}",
        family="bsrn",
        network="leansr.lab.nets.bsrn:BSRN",
        arguments=_BSRN | form,
        scales=scales,
        colour="rgb",
        source=source,
        is_global=True,
        smallest=smallest,
    )
    for suffix, (form, scales, source, smallest) in _FORMS.items()
]
ROWS.insert(
    1,
    Variant(
        name="bsrn-s",
        family="bsrn",
        network="leansr.lab.nets.bsrn_s:BSRNS",
        arguments={"channels": 48, "blocks": 5},
        scales=(4,),
        colour="rgb",
        source="BSRN, section 4.1 and Table 5",
        is_global=True,
        smallest=15,
    ),
)
