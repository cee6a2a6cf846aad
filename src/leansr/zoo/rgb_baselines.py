"""Baselines that see RGB, as the papers' tables name them."""

from leansr.zoo.variant import Variant

# suffix: class, arguments, and where a paper has it
_EDSR = {
    "": ("EDSR", {"block": "rb"}, "FMEN, Table 3"),
    "-pb": ("EDSR", {"block": "pb"}, "FMEN, Figure 5"),
    "-erb": ("EDSRWithERB", {}, "FMEN, Figure 5 and Table 1"),
}

ROWS: list[Variant] = [
    *(
        Variant(
            name=f"edsr-baseline{suffix}",
            family="baselines",
            network=f"leansr.lab.nets.edsr:{network}",
            arguments={"channels": 64, "blocks": 16} | arguments,
            scales=(2, 3, 4),
            colour="rgb",
            source=source,
        )
        for suffix, (network, arguments, source) in _EDSR.items()
    ),
    Variant(
        name="rcan",
        family="baselines",
        network="leansr.lab.nets.rcan:RCAN",
        arguments={"groups": 10, "blocks": 20},
        scales=(2, 3, 4),
        colour="rgb",
        source="RCAN, section 3.5",
        is_global=True,
    ),
    Variant(
        name="imdn",
        family="baselines",
        network="leansr.lab.nets.imdn:IMDN",
        arguments={"channels": 64, "blocks": 6},
        scales=(2, 3, 4),
        colour="rgb",
        source="BSRN, Table 5",
        is_global=True,
    ),
    Variant(
        name="imdn-ntire",
        family="baselines",
        network="leansr.lab.nets.imdn:SimplifiedIMDN",
        arguments={"channels": 64, "blocks": 8},
        scales=(4,),
        colour="rgb",
        source="BSRN, Table 7",
    ),
    *[
        Variant(
            name=name,
            family="baselines",
            network="leansr.lab.nets.carn:CARN",
            arguments={"form": name, "channels": 64},
            scales=(2, 3, 4),
            colour="rgb",
            source="study, Table 3",
        )
        for name in ("carn", "carn-m")
    ],
    Variant(
        name="idn",
        family="baselines",
        network="leansr.lab.nets.idn:IDN",
        arguments={"blocks": 4},
        scales=(2, 3, 4),
        colour="rgb",
        source="FMEN, Table 3",
    ),
    Variant(
        name="lapar-a",
        family="baselines",
        network="leansr.lab.nets.lapar:LAPAR",
        arguments={"channels": 32, "blocks": 4},
        scales=(2, 3, 4),
        colour="rgb",
        source="BSRN, Table 5",
        smallest=2,
    ),
    Variant(
        name="latticenet",
        family="baselines",
        network="leansr.lab.nets.latticenet:LatticeNet",
        arguments={"channels": 64, "inner": 48, "blocks": 4},
        scales=(2, 3, 4),
        colour="rgb",
        source="MDRN, Table 5",
        is_global=True,
    ),
    Variant(
        name="msrresnet",
        family="baselines",
        network="leansr.lab.nets.msrresnet:MSRResNet",
        arguments={"channels": 64, "blocks": 16},
        scales=(4,),
        colour="rgb",
        source="BSRN, Table 7",
    ),
    Variant(
        name="pan",
        family="baselines",
        network="leansr.lab.nets.pan:PAN",
        arguments={"channels": 40, "upsampling_channels": 24, "blocks": 16},
        scales=(2, 3, 4),
        colour="rgb",
        source="BSRN, Table 5",
    ),
    Variant(
        name="rlfn",
        family="baselines",
        network="leansr.lab.nets.rlfn:RLFN",
        arguments={"channels": 52, "attention_channels": 16, "blocks": 6},
        scales=(2, 3, 4),
        colour="rgb",
        source="MDRN, Table 5",
        is_global=True,
        smallest=15,
    ),
] + [
    Variant(
        name=name,
        family="baselines",
        network="leansr.lab.nets.span:SPAN",
        arguments={"channels": channels, "blocks": 6},
        scales=(2, 3, 4),
        colour="rgb",
        source="Wan et al., 2024",
    )
    # The paper's two sizes, and the winner of NTIRE 2024.
    for name, channels in (("span", 52), ("span-s", 48), ("span-ntire", 28))
]
