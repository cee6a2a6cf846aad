"""FMEN's rows: its two sizes, the blocks of its Table 1 and the attention of its Table 2."""

from leansr.zoo.variant import Variant

# The channels and the blocks of each HFAB, the warm-up's first (published checkpoints).
_FMEN = {
    "channels": 64,
    "attention_channels": (28, 32, 32, 32, 32),
    "attention_blocks": (3, 2, 2, 2, 2),
}
_FMEN_S = {
    "channels": 50,
    "attention_channels": (12, 16, 16, 16, 16),
    "attention_blocks": (2, 1, 1, 1, 1),
}
# name: class, arguments, and where the paper has it
_NETWORKS = {
    "fmen": ("FMEN", _FMEN, "FMEN, Table 3"),
    "fmen-s": ("FMEN", _FMEN_S, "FMEN, Table 4"),
    "fmen-pb": ("PlainFMEN", _FMEN | {"block": "pb"}, "FMEN, Figure 5"),
    "fmen-rb": ("PlainFMEN", _FMEN | {"block": "rb"}, "FMEN, Figure 5 and Table 1"),
}
# suffix: attention, and the smallest picture for it
_STUDY = {"": ("none", 1), "-cca": ("cca", 1), "-esa": ("esa", 15)}

ROWS = [
    Variant(
        name=name,
        family="fmen",
        network=f"leansr.lab.nets.fmen:{network}",
        arguments=arguments,
        scales=(2, 3, 4),
        colour="rgb",
        source=source,
    )
    for name, (network, arguments, source) in _NETWORKS.items()
] + [
    Variant(
        name=f"fmen-15erb{suffix}",
        family="fmen",
        network="leansr.lab.nets.fmen_attention:AttentionStudy",
        arguments={"channels": 52, "groups": 5, "attention": attention},
        scales=(4,),
        colour="rgb",
        source="FMEN, Table 2",
        is_global=attention != "none",
        smallest=smallest,
    )
    for suffix, (attention, smallest) in _STUDY.items()
]
