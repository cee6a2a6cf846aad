"""What the texts argue beside their tables: memory, training in collapsed space, equal forms."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from leansr import zoo
from leansr.lab.measure.certificate import TOLERANCE, certificate, with_nothing_zero
from leansr.lab.measure.complexity import complexity
from leansr.lab.measure.memory import peak_memory
from leansr.lab.nets import as_drawn, build
from leansr.lab.nets.collapse import is_deployed
from leansr.lab.reproduce.cell import CLAIM, Cell, fits
from leansr.lab.reproduce.costs import memory

COLLAPSE = "collapse_difference"
# A batch of SESR's training: 32 crops of 64 x 64 (section 4.1).
_BATCH = (32, 1, 64, 64)


@dataclass(frozen=True)
class Argument:
    """A figure of a text and how it is computed; `why` is shown with a difference."""

    paper: str
    place: str
    words: str
    variant: str
    scale: int
    printed: str
    ours: Callable[[], float]
    convention: str
    tolerance: float | None = None
    why: str = ""


@cache
def _features(name: str, scale: int) -> float:
    """The peak of features alone, in features of the trunk's channels."""
    network = build(zoo.VARIANTS[name], scale).deploy().to("meta")
    peak = peak_memory(network, (1, 3, 256, 256))
    channels = zoo.VARIANTS[name].arguments["channels"]
    return peak.features / (4 * channels * 256**2)


def _forward(space: str) -> float:
    """Multi-Adds in G of SESR-M5 over one batch of its training."""
    variant = zoo.VARIANTS["sesr-m5"]
    network = as_drawn(variant, 2) if space == "expanded" else build(variant, 2, "collapsed")
    return complexity(network, _BATCH).multi_adds / 1e9


ARGUMENTS = (
    Argument(
        "fmen",
        "section 4.5",
        "peak memory of FMEN (MB)",
        "fmen",
        4,
        "68",
        lambda: memory("fmen", 4, 256),
        "FMEN's memory model, 256 x 256 in, MiB",
        0.05,
    ),
    Argument(
        "fmen",
        "section 4.5",
        "peak memory of LatticeNet (MB)",
        "latticenet",
        4,
        "225",
        lambda: memory("latticenet", 4, 256),
        "FMEN's memory model, 256 x 256 in, MiB",
        0.05,
        "was measured on a GPU, on the authors' code; ours is what the graph needs at least",
    ),
    Argument(
        "fmen",
        "section 3.2",
        "features of C H W at the peak",
        "fmen",
        4,
        "4",
        lambda: _features("fmen", 4),
        "FMEN's memory model",
    ),
    Argument(
        "sesr",
        "section 3.3",
        "MACs of a training step's forward pass in expanded space (G)",
        "sesr-m5",
        2,
        "41.77",
        lambda: _forward("expanded"),
        "pure, a batch of 32 crops of 64 x 64",
        0.005,
    ),
    Argument(
        "sesr",
        "section 3.3",
        "MACs of a training step's forward pass in collapsed space (G)",
        "sesr-m5",
        2,
        "1.84",
        lambda: _forward("collapsed"),
        "pure, a batch of 32 crops of 64 x 64",
        0.005,
        "Algorithm 1 convolves an identity (0.07 G); ours collapses by a matrix product a block",
    ),
)
# How the names of a paper's own networks with two forms begin.
_TWO_FORMS = {"bsrn": ("bsrn-s",), "fmen": ("fmen",), "sesr": ("sesr",)}


def cells(paper: str) -> Iterator[Cell]:
    """Every argument of `paper`, and that the two forms of its networks are one function."""
    for argument in ARGUMENTS:
        if argument.paper == paper:
            ours = argument.ours()
            is_fit = fits(ours, argument.printed, argument.tolerance)
            yield Cell(
                paper=paper,
                table=argument.place,
                model=argument.words,
                variant=argument.variant,
                scale=argument.scale,
                column=CLAIM,
                printed=argument.printed,
                ours=ours,
                kind="counted",
                fits=is_fit,
                convention=argument.convention,
                why="" if is_fit else argument.why,
                tolerance=argument.tolerance,
            )
    yield from _equal_forms(paper)


def _equal_forms(paper: str) -> Iterator[Cell]:
    for name, variant in zoo.VARIANTS.items():
        if variant.family != paper or not name.startswith(_TWO_FORMS.get(paper, "-")):
            continue
        scale = variant.scales[-1]
        network = as_drawn(variant, scale)
        if is_deployed(network):
            continue
        proof = certificate(with_nothing_zero(network), variant, scale, shapes=2)
        yield Cell(
            paper=paper,
            table="training form and deploy form",
            model=name,
            variant=name,
            scale=scale,
            column=COLLAPSE,
            printed="",
            ours=proof.difference,
            kind="form",
            fits=proof.holds,
            convention=f"largest difference, relative to the largest output; at most {TOLERANCE:g}",
        )
