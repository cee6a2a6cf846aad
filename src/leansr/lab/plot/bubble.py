"""Time, memory and parameters in one figure, as FMEN's Figure 1 has them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from leansr import zoo
from leansr.errors import DataError
from leansr.lab.measure.complexity import CHALLENGE_INPUT, counted
from leansr.lab.measure.memory import peak_of
from leansr.lab.measure.trace import trace
from leansr.lab.nets import build
from leansr.lab.plot.labels import Label, place
from leansr.lab.plot.style import CYCLE, DARK, caption, styled
from leansr.lab.plot.times import Times

# FMEN's own figure has E-RFDN and what else NTIRE 2022 compared; these of it are in the zoo.
DEFAULT = ("imdn-ntire", "e-rfdn", "rlfn", "fmen-s", "bsrn-s", "fmen")
# Of the bubble with most parameters, in points.
_LARGEST_RADIUS = 26


@dataclass(frozen=True)
class Bubble:
    """A network's deploy form: `ms` is None where it was not timed, else a median.

    `memory` in bytes at its peak and `multi_adds` are for a 256 x 256 input.
    """

    variant: str
    params: int
    memory: int
    multi_adds: int
    ms: float | None


def bubbles(variants: Sequence[str], scale: int, times: Times | None = None) -> list[Bubble]:
    """What `variants` cost by the counter and the memory model, activations in place.

    DataError if `times` are given and lack one of them.
    """
    found = []
    for name in variants:
        variant = zoo.find(name, scale)
        if times is not None and name not in times.ms:
            raise DataError(f"{name}: is not among the times; they have {', '.join(times.ms)}")
        network = build(variant, scale).deploy()
        shape = (1, variant.channels, *CHALLENGE_INPUT)
        run = trace(network, shape)
        cost, memory = counted(network, run), peak_of(run, in_place=True).total
        ms = None if times is None else times.ms[name]
        found.append(Bubble(name, cost.params, memory, cost.multi_adds, ms))
    return found


@styled
def draw_bubbles(found: Sequence[Bubble], scale: int, times: Times | None = None) -> Figure:
    """Peak memory against time, or Multi-Adds without `times`; the areas are the parameters."""
    figure = Figure(figsize=(5.4, 3.9), layout="constrained")
    axes = figure.add_subplot()
    most = max(bubble.params for bubble in found)
    labels = []
    for index, bubble in enumerate(found):
        x = bubble.multi_adds / 1e9 if bubble.ms is None else bubble.ms
        y = bubble.memory / 2**20
        radius = _LARGEST_RADIUS * math.sqrt(bubble.params / most)
        colour = CYCLE[index % len(CYCLE)]
        # In scatter's units, the square of the diameter in points.
        axes.scatter([x], [y], s=(2 * radius) ** 2, color=colour, alpha=0.55, linewidths=0)
        text = f"{bubble.variant}\n{bubble.params / 1e3:,.0f} K".replace(",", " ")
        labels.append(Label(x, y, text, DARK, radius))
    axes.margins(0.25)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(
        "measured time, ms" if times else "Multi-Adds for a 256 x 256 input, G (not timed)"
    )
    axes.set_ylabel("peak memory for a 256 x 256 input, MiB")
    caption(
        figure,
        f"x{scale}, deploy forms. The area is the number of parameters. Memory by FMEN's model "
        f"(its section 3.1), float32, activations in place."
        + (f" Time: {times.how}." if times else ""),
    )
    place(axes, labels, labels, [])
    return figure
