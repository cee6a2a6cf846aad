"""SESR's rows: M3 to XL of its Tables 1 and 2, and the hardware form of its section 3.2."""

from leansr.zoo.variant import Variant

# name: the paper's f and m (section 4.1)
_SIZES = {"m3": (16, 3), "m5": (16, 5), "m7": (16, 7), "m11": (16, 11), "xl": (32, 11)}
# suffix: arguments, and where the paper has them
_FORMS = {
    "": ({}, "SESR, Tables 1 and 2"),
    "-hw": ({"activation": "relu", "input_residual": False}, "SESR, section 3.2 and Table 3"),
}

ROWS = [
    Variant(
        name=f"sesr-{size}{suffix}",
        family="sesr",
        network="leansr.lab.nets.sesr:SESR",
        arguments={"channels": channels, "blocks": blocks} | form,
        scales=(2, 4),
        colour="y",
        source=source,
    )
    for suffix, (form, source) in _FORMS.items()
    for size, (channels, blocks) in _SIZES.items()
]
