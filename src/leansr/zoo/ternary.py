"""The rows of ternary weights at the efficiency study's four ranks: its bl, and a small network."""

from leansr.zoo.variant import Variant

# r in units of the outputs of each convolution.
_RANKS = (1, 2, 4, 6)

ROWS = [
    Variant(
        name=f"rcan-bl-ternary-r{rank}",
        family="ternary",
        network="leansr.lab.quantize.ternary:Ternary",
        arguments={"of": "rcan-bl", "rank": rank},
        scales=(2, 3, 4),
        colour="rgb",
        source="study, section 5.2 and Table 5",
        is_global=True,
    )
    for rank in _RANKS
] + [
    Variant(
        name=f"sesr-m5-ternary-r{rank}",
        family="ternary",
        network="leansr.lab.quantize.ternary:Ternary",
        arguments={"of": "sesr-m5", "rank": rank},
        scales=(2, 4),
        colour="y",
        source="ours: SESR-M5 by section 5.2 of the study",
    )
    for rank in _RANKS
]
