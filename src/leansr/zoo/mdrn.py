"""MDRN's rows: the networks of its Tables 5 and 6, and the ablations of Tables 1 to 4."""

from leansr.zoo.variant import Variant

# name: channels, attention other than MDSA and ECCA, the paper's table, smallest LR
_NETWORKS: dict[str, tuple[int, dict[str, str], int, int]] = {
    "mdrn": (56, {}, 5, 15),
    "mdrn-s": (28, {}, 6, 15),
    "mdrn-esa-cca": (56, {"spatial": "esa", "channel": "cca"}, 1, 21),
    "mdrn-no-esa": (56, {"spatial": "none"}, 2, 2),
    "mdrn-esa": (56, {"spatial": "esa"}, 2, 21),
    "mdrn-esa-d7": (56, {"spatial": "d7"}, 2, 15),
    "mdrn-esa-d7-d5": (56, {"spatial": "d7-d5"}, 2, 15),
    "mdrn-esa-d7-d5-d3": (56, {"spatial": "d7-d5-d3"}, 2, 15),
    "mdrn-no-cca": (56, {"channel": "none"}, 3, 15),
    "mdrn-cca": (56, {"channel": "cca"}, 3, 15),
    "mdrn-cca-lr": (56, {"channel": "cca-lr"}, 3, 15),
    "mdrn-no-dispersion": (56, {"spatial": "refinement"}, 4, 2),
    "mdrn-no-refine": (56, {"spatial": "dispersion"}, 4, 15),
}

ROWS = [
    Variant(
        name=name,
        family="mdrn",
        network="leansr.lab.nets.mdrn:MDRN",
        arguments={"channels": channels, "blocks": 8} | attention,
        scales=(2, 3, 4),
        colour="rgb",
        source=f"MDRN, Table {table}",
        # Without either attention the other still looks at the whole picture.
        is_global=True,
        smallest=smallest,
    )
    for name, (channels, attention, table, smallest) in _NETWORKS.items()
]
