"""The rows of the efficiency study: a shallow RCAN, and ten blocks put into it, place by place."""

from leansr.zoo.variant import Variant

_SHALLOW = {"groups": 2, "blocks": 5}
# The block's name and parameters as the study writes them, and as they are passed.
_BLOCKS = [
    ("blrn", "-r2", {"reduction": 2}),
    ("blrn", "-r4", {"reduction": 4}),
    ("blrxn", "-r2-g4", {"reduction": 2, "groups": 4}),
    ("blm1", "", {}),
    ("bleff", "-r2", {"reduction": 2}),
    ("bls1", "-r2-g4", {"reduction": 2, "groups": 4}),
    ("blclc", "-g32-g2", {"spatial_groups": 32, "pointwise_groups": 2}),
    ("bls2", "", {}),
    ("blm2", "-e2", {"expansion": 2}),
    ("blm2", "-e3", {"expansion": 3}),
]
# suffix: the upsampler, where blocks can be put, and the study's place for it
_UPSAMPLERS = {
    "": ("subpixel", ("rb", "rg"), "study, section 4.1 and Table 1"),
    "-e": ("erum", ("rb", "rg", "rgu"), "study, section 4.2 and Table 2"),
}
# Its printed counts alone (363, 437, 511 K) have room for these biases, and need them.
_ODD = {"rcan-blm1-e-rb": {"depthwise_bias": True}}


def _row(name: str, source: str, **arguments: object) -> Variant:
    return Variant(
        name=name,
        family="study",
        network="leansr.lab.nets.rcan:RCAN",
        arguments=_SHALLOW | arguments,
        scales=(2, 3, 4),
        colour="rgb",
        source=source,
        is_global=True,
    )


ROWS = [
    _row(f"rcan-bl{suffix}", source, upsampler=upsampler)
    for suffix, (upsampler, _, source) in _UPSAMPLERS.items()
] + [
    _row(
        name := f"rcan-{block}{suffix}{label}-{where}",
        source,
        upsampler=upsampler,
        block=block,
        parameters=parameters | _ODD.get(name, {}),
        where=where,
    )
    for suffix, (upsampler, places, source) in _UPSAMPLERS.items()
    for where in places
    for block, label, parameters in _BLOCKS
]
