"""What a network costs by the convention of the paper that prints it."""

from functools import cache, lru_cache

from leansr import zoo
from leansr.lab.measure.complexity import (
    CHALLENGE_INPUT,
    Complexity,
    Convention,
    lr_size,
)
from leansr.lab.measure.complexity import counted as counted_of
from leansr.lab.measure.memory import peak_of
from leansr.lab.measure.trace import Trace, trace
from leansr.lab.nets import build
from leansr.lab.nets.network import Network

MIB = 2**20
# How each paper counts; what it prints by the challenge's rules is counted by those.
CONVENTIONS: dict[str, Convention] = {
    "bsrn": "thop",
    "fmen": "pure",
    "mdrn": "thop",
    "study": "pure",
    "sesr": "pure",
}
# Where a paper prints the weights of convolutions alone.
_KERNELS_ONLY = {"sesr": ("sesr", "fsrcnn")}
# The side of the input that the peak of memory was printed for. The challenge's is not told;
# 510 meets FMEN-S's figure, and is to the others as Table 7 of BSRN (256) is to its Table 6.
_MEMORY_INPUT = {("bsrn", "7"): 256}
_CHALLENGE_PICTURE = 510


@cache
def as_counted(name: str, scale: int) -> Network:
    """The form that its authors counted: the one drawn, but for linear blocks the deploy form.

    Of shapes alone, as everything here.
    """
    network = build(zoo.VARIANTS[name], scale)
    return (network.deploy() if network.spaces else network).eval().to("meta")


@cache
def counted(
    name: str, scale: int, convention: Convention, lr: tuple[int, int] | None = None
) -> Complexity:
    """For an input of `lr` (height, width), or the convention's: for a 1280 x 720 output, or by
    the challenge's rules 256 x 256."""
    if lr is None:
        lr = CHALLENGE_INPUT if convention == "challenge" else lr_size(scale)
    return counted_of(as_counted(name, scale), run_of(name, scale, lr), convention)


# Conventions differ in what they count of one and the same run; they are asked for in a row.
@lru_cache(4)
def run_of(name: str, scale: int, lr: tuple[int, int]) -> Trace:
    """What it does with a picture of `lr` (height, width)."""
    return trace(as_counted(name, scale), (1, zoo.VARIANTS[name].channels, *lr))


def params(paper: str, name: str, scale: int) -> int:
    """What `paper` counts as parameters: everything that is learnt, or kernels alone."""
    of = counted(name, scale, "pure")
    return of.conv_weights if is_kernels(paper, name) else of.params


def is_kernels(paper: str, name: str) -> bool:
    """Whether what `paper` counts as parameters of a network are kernels alone."""
    return name.startswith(_KERNELS_ONLY.get(paper, "-"))


def memory_input(paper: str, table: str) -> int:
    """The side of the square input that a table's memory is of."""
    return _MEMORY_INPUT.get((paper, table), _CHALLENGE_PICTURE)


@cache
def memory(name: str, scale: int, side: int) -> float:
    """The peak in MiB for a square input, of the deploy form (FMEN, section 3.1)."""
    variant = zoo.VARIANTS[name]
    network = build(variant, scale).deploy().to("meta")
    return peak_of(trace(network, (1, variant.channels, side, side))).total / MIB
