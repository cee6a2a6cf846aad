"""RFDN's rows: the paper's network, the challenge's, and BSRN's decompositions of the latter."""

from typing import Any

from leansr.zoo.variant import Variant

_E_RFDN = {"channels": 50, "blocks": 4}
# name: class, arguments, scales, source, smallest
_ROWS: dict[str, tuple[str, dict[str, Any], tuple[int, ...], str, int]] = {
    "rfdn": ("RFDN", {"channels": 48, "blocks": 6}, (2, 3, 4), "FMEN, Table 3", 1),
    "e-rfdn": ("ERFDN", _E_RFDN, (4,), "FMEN, Table 4", 15),
} | {
    f"rfdn-{conv}": ("ERFDN", _E_RFDN | {"convolution": conv}, (4,), "BSRN, Table 1", 15)
    for conv in ("dsconv", "bsconvs", "bsconvu")
}

ROWS = [
    Variant(
        name=name,
        family="rfdn",
        network=f"leansr.lab.nets.rfdn:{network}",
        arguments=arguments,
        scales=scales,
        colour="rgb",
        source=source,
        is_global=True,
        smallest=smallest,
    )
    for name, (network, arguments, scales, source, smallest) in _ROWS.items()
]
