"""SESR's rows: M3 to XL of Tables 1 and 2, the hardware form of 3.2, the ablations of 4.4."""

from typing import Any

from leansr.zoo.variant import Variant

# name: the paper's f and m (section 4.1)
_SIZES = {"m3": (16, 3), "m5": (16, 5), "m7": (16, 7), "m11": (16, 11), "xl": (32, 11)}
# suffix: arguments, and where the paper has them
_FORMS: dict[str, tuple[dict[str, Any], str]] = {
    "": ({}, "SESR, Tables 1 and 2"),
    "-hw": ({"activation": "relu", "input_residual": False}, "SESR, section 3.2 and Table 3"),
}

# M11 without one part of it each; without two of them it is the hardware form
_ABLATIONS: dict[str, dict[str, Any]] = {
    "no-short-residual": {"short_residuals": False},
    "no-linear-block": {"linear_blocks": False},
    "relu": {"activation": "relu"},
}


def _row(name: str, arguments: dict[str, Any], source: str) -> Variant:
    return Variant(
        name=name,
        family="sesr",
        network="leansr.lab.nets.sesr:SESR",
        arguments=arguments,
        scales=(2, 4),
        colour="y",
        source=source,
    )


ROWS = [
    _row(f"sesr-{size}{suffix}", {"channels": channels, "blocks": blocks} | form, source)
    for suffix, (form, source) in _FORMS.items()
    for size, (channels, blocks) in _SIZES.items()
] + [
    _row(f"sesr-m11-{suffix}", {"channels": 16, "blocks": 11} | form, "SESR, section 4.4")
    for suffix, form in _ABLATIONS.items()
]
