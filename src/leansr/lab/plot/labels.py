"""Labels that overlap neither each other nor what is drawn."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from leansr.image.arrays import Floats

# Around a mark, in the order tried: right, left, above, below, then between them.
_ANGLES = (0, 180, 90, 270, 45, 135, 315, 225)
# Between mark and label, in points (1/72 inch); from the second on a line joins them.
_GAPS = (3.0, 10.0, 18.0, 28.0)


@dataclass(frozen=True)
class Label:
    """`text` for the mark at `x`, `y` (of the data), whose radius is in points."""

    x: float
    y: float
    text: str
    colour: str
    radius: float = 3.0
    is_bold: bool = False


def place(
    axes: Axes, labels: Sequence[Label], marks: Sequence[Label], lines: Sequence[Bbox]
) -> None:
    """Writes each label at the first free place around its mark, the most important first.

    `marks` are all marks and `lines` boxes, of the data, that stay free too. A label without a
    free place is left out. The limits of `axes` must be set before.
    """
    figure = axes.get_figure(root=True)
    assert isinstance(figure, Figure)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    dot = figure.dpi / 72
    inside = axes.get_window_extent()
    taken = [_box_of(axes, mark, dot) for mark in marks]
    taken += [axes.transData.transform_bbox(line).padded(dot) for line in lines]
    for label in labels:
        note = axes.annotate(
            label.text,
            (label.x, label.y),
            xytext=(0, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            multialignment="center",
            fontsize=7,
            color=label.colour,
            fontweight="bold" if label.is_bold else "normal",
        )
        note.set_in_layout(False)
        size = note.get_window_extent(renderer)
        mark = _box_of(axes, label, dot)
        others = [box for box in taken if not _is_same(box, mark)]
        for gap, box in _places(mark, size.width, size.height, dot):
            line = _line(mark, box) if gap > _GAPS[0] else []
            pieces = [box, *line]
            if _holds(inside, box) and not any(b.count_overlaps(others) for b in pieces):
                taken += pieces
                note.set_position(tuple((_centre(box) - _centre(mark)) / dot))
                if line:
                    _join(axes, label, mark, box, dot)
                break
        else:
            note.remove()


def _places(mark: Bbox, width: float, height: float, dot: float) -> Iterator[tuple[float, Bbox]]:
    """Boxes of `width` x `height` pixels around `mark`, near ones first, and their gaps."""
    middle = _centre(mark)
    for gap in _GAPS:
        for angle in _ANGLES:
            x, y = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            reach = mark.width / 2 + gap * dot
            # Rounded, x and y say on which side of the mark the label's centre lies.
            across = middle[0] + x * reach + round(x) * width / 2
            up = middle[1] + y * reach + round(y) * height / 2
            yield gap, Bbox.from_bounds(across - width / 2, up - height / 2, width, height)


def _line(mark: Bbox, box: Bbox) -> list[Bbox]:
    """The way from the middle of `mark` to the nearest point of `box`, as small boxes."""
    start = _centre(mark)
    way = start.clip(box.min, box.max) - start
    steps = np.linspace(0, 1, 12, endpoint=False)
    return [Bbox([start + step * way - 0.5, start + step * way + 0.5]) for step in steps]


def _join(axes: Axes, label: Label, mark: Bbox, box: Bbox, dot: float) -> None:
    """Draws a thin line from the mark to the nearest point of the label's box."""
    start = _centre(mark)
    line = axes.annotate(
        "",
        (label.x, label.y),
        xytext=tuple((start.clip(box.min, box.max) - start) / dot),
        textcoords="offset points",
        arrowprops={
            "arrowstyle": "-",
            "color": label.colour,
            "lw": 0.5,
            "shrinkA": 0,
            "shrinkB": label.radius,
        },
    )
    line.set_in_layout(False)


def _box_of(axes: Axes, label: Label, dot: float) -> Bbox:
    x, y = axes.transData.transform((label.x, label.y))
    reach = label.radius * dot
    return Bbox([[x - reach, y - reach], [x + reach, y + reach]])


def _centre(box: Bbox) -> Floats:
    centre: Floats = box.get_points().mean(axis=0)
    return centre


def _is_same(first: Bbox, second: Bbox) -> bool:
    return bool(np.allclose(first.get_points(), second.get_points()))


def _holds(outer: Bbox, inner: Bbox) -> bool:
    return bool(outer.count_contains(inner.get_points()) == 2)
