"""What the cost model knows of a piece of hardware, and the pieces that it knows."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Hardware:
    """An array of multipliers with a buffer beside it and memory behind it.

    `macs_per_s` is its peak. `lanes` are the input and output channels that the array takes at a
    time: fewer cost as many. Where `is_winograd`, a convolution of 3 x 3 makes 2 x 2 outputs with
    16 products, and a larger one is several of them. Where `is_upscaling_by_products`, a
    transposed convolution is a plain one of its output's size, over zeros and all, and a
    depth-to-space is one that picks values.

    Memory gives `dram_bytes_per_s`, `bytes_per_value` for each value of a feature or weight.
    Features lie in cells of `cell` x `cell` pixels; those of `compressible` channels or more take
    `compressed` of their size (1 is not at all). `buffer_bytes` hold what need not go to memory:
    features as they are made, `stripe` rows at a time, or whole features if `stripe` is 0. Of
    what comes from memory or goes there they hold `buffered` stripes.

    `sources` says of each group of numbers where it is from.
    """

    name: str
    macs_per_s: float
    dram_bytes_per_s: float
    buffer_bytes: int
    bytes_per_value: int
    lanes: tuple[int, int] = (1, 1)
    is_winograd: bool = False
    is_upscaling_by_products: bool = False
    cell: int = 1
    compressible: int = 1
    compressed: float = 1.0
    stripe: int = 0
    buffered: int = 2
    sources: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if min(self.macs_per_s, self.dram_bytes_per_s) <= 0 or self.buffer_bytes < 0:
            raise ValueError(f"{self.name}: peaks are positive, a buffer is 0 bytes or more")
        if not 0 < self.compressed <= 1:
            raise ValueError(f"{self.name}: a feature takes all or a part of itself")

        if self.buffered < 1:
            raise ValueError(f"{self.name}: a stripe at the least is held of what comes or goes")

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"sources": dict(self.sources)}


# Public facts, but for what its sources say was chosen to come near to SESR's Table 3.
ETHOS_N78 = Hardware(
    name="ethos-n78",
    macs_per_s=2e12,
    lanes=(16, 16),
    is_winograd=True,
    is_upscaling_by_products=True,
    dram_bytes_per_s=16 * 2e12 / 2048,
    buffer_bytes=1024 * 1024,
    bytes_per_value=1,
    cell=8,
    compressible=16,
    compressed=0.5,
    stripe=8,
    buffered=2,
    sources=(
        ("macs_per_s", "SESR, section 1: 4 TOP/s, that is 2048 multiply-accumulates at 977 MHz"),
        (
            "lanes",
            "Arm's Ethos-N driver stack, N78 4TOPS: 16 in x 16 out x 8 products "
            "(CapabilitiesInternal.cpp)",
        ),
        ("is_winograd", "the driver stack's estimator: 16 products for 2 x 2 outputs of 3 x 3"),
        (
            "is_upscaling_by_products",
            "the driver stack: zeros put in, then a plain convolution; depth-to-space is such a "
            "2 x 2 that selects",
        ),
        ("dram_bytes_per_s", "the driver stack's estimator: 16 bytes a cycle"),
        ("buffer_bytes", "the driver stack: 1 MiB for N78 4TOPS (CapabilitiesInternal.cpp)"),
        ("cell", "the driver stack: brick groups of 8 x 8 x 16 (CapabilitiesInternal.cpp)"),
        (
            "stripe",
            "our choice, nearest to Table 3, of what the driver stack allows: whole brick groups, "
            "8 rows at the least (cascading/StripeHelper.cpp); that a depth-to-space ends a chain "
            "is part of it",
        ),
        (
            "buffered",
            "part of that choice; the driver stack allows 1 or 2 of what comes from memory, 3 or 4 "
            "where neighbouring rows are needed (cascading/StripeHelper.cpp), 1 or 3 of what is "
            "passed on, 1 or 2 of what goes to memory (cascading/McePart.cpp)",
        ),
        ("compressed", "the driver stack compiles for a saving of 0.5 on compressed features"),
        (
            "compressible",
            "derived from SESR, Table 3: at 1080p x4 moves 52.0 bytes a pixel more than x2, which "
            "is so if features of 16 channels are halved and those of 1 and 4 are not",
        ),
    ),
)
