"""Quality against cost: what the papers print, what we released, and the front of both."""

from collections.abc import Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, LogLocator
from matplotlib.transforms import Bbox

from leansr.errors import DataError
from leansr.lab.plot.labels import Label, place
from leansr.lab.plot.points import Cost, Point, pareto
from leansr.lab.plot.style import BLUE, DARK, GREY, VERMILLION, caption, styled
from leansr.lab.plot.times import Times

_AXES: dict[Cost, tuple[str, float]] = {
    "multi_adds": ("Multi-Adds for a 1280 x 720 output, G", 1e9),
    "params": ("parameters, K", 1e3),
    "measured_ms": ("measured time, ms", 1),
}
_HOW = {
    "multi_adds": "Multi-Adds of printed points as each paper counts them, ours without biases.",
    "params": "Parameters of printed points as each paper counts them, ours all that is learnt.",
}
# kind: legend, marker, edge, face, size in points
_MARKS = {
    "baseline": ("baselines, as printed", "o", GREY, "white", 4.5),
    "own": ("the five papers' networks, as printed", "D", VERMILLION, "white", 5.0),
    "ours": ("released here, as measured", "o", BLUE, BLUE, 6.0),
}


@styled
def draw_front(
    points: Sequence[Point], benchmark: str, scale: int, cost: Cost, times: Times | None = None
) -> Figure:
    """PSNR on `benchmark` against `cost`, on a logarithmic axis, with the Pareto front.

    `times` are those of the cost "measured_ms". DataError if there are no points.
    """
    if not points:
        raise DataError(f"{benchmark} x{scale}: no network has both a PSNR and a cost to draw")
    axis, unit = _AXES[cost]
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.add_subplot()
    for kind, (told, marker, edge, face, size) in _MARKS.items():
        these = [p for p in points if p.kind == kind]
        if not these:
            continue
        axes.plot(
            [p.cost / unit for p in these],
            [p.psnr for p in these],
            linestyle="none",
            marker=marker,
            markersize=size,
            markeredgecolor=edge,
            markerfacecolor=face,
            label=told,
            zorder=3 if kind == "ours" else 2,
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=20))
    axes.xaxis.set_major_formatter("{x:g}")
    # The scale's own formatter writes markup.
    axes.xaxis.set_minor_formatter(LogFormatter())
    axes.margins(0.07)
    axes.set_xlabel(axis)
    axes.set_ylabel(f"PSNR on {benchmark} x{scale}, dB")
    steps = _draw_front_line(axes, points, unit)
    axes.legend(loc="lower right")
    how = _HOW[cost] if times is None else f"Time: {times.how}."
    caption(figure, f"Luma of BT.601, {scale} pixels of border cut. {how}")
    _draw_labels(axes, points, unit, steps)
    return figure


def _draw_front_line(axes: Axes, points: Sequence[Point], unit: float) -> list[Bbox]:
    """The front as a step line; its pieces as boxes of the data."""
    front = pareto(list(points))
    right = axes.get_xlim()[1]
    corners = [(front[0].cost / unit, front[0].psnr)]
    for point in front[1:]:
        corners += [(point.cost / unit, corners[-1][1]), (point.cost / unit, point.psnr)]
    corners.append((right, corners[-1][1]))
    axes.set_xlim(axes.get_xlim())
    axes.set_ylim(axes.get_ylim())
    axes.plot(*zip(*corners, strict=True), color=DARK, lw=1, label="best for its cost", zorder=1)
    return [Bbox([first, second]) for first, second in pairwise(corners)]


def _draw_labels(axes: Axes, points: Sequence[Point], unit: float, steps: Sequence[Bbox]) -> None:
    """Names, of ours first, then of the front, the papers' own, the rest; each name once."""
    front = pareto(list(points))
    ranks = {"ours": 0, "own": 2, "baseline": 3}
    ranked = sorted(points, key=lambda p: 1 if p in front and p.kind != "ours" else ranks[p.kind])
    labels: dict[str, Label] = {}
    for point in ranked:
        _, _, edge, _, size = _MARKS[point.kind]
        label = Label(
            point.cost / unit, point.psnr, point.name, edge, size / 2, point.kind == "ours"
        )
        labels.setdefault(f"{point.kind == 'ours'} {point.name.lower()}", label)
    marks = [Label(p.cost / unit, p.psnr, "", "", _MARKS[p.kind][4] / 2) for p in points]
    legend = axes.get_legend()
    assert legend is not None
    box = legend.get_window_extent().transformed(axes.transData.inverted())
    place(axes, list(labels.values()), marks, [*steps, box])
