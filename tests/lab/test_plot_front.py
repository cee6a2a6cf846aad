"""The front of quality and cost: its points are the papers' and ours, its labels legible."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from leansr import zoo
from leansr.lab.plot.front import draw_front
from leansr.lab.plot.labels import Label, place
from leansr.lab.plot.points import (
    BENCHMARKS,
    Point,
    pareto,
    printed_points,
    released_points,
    timed_points,
)
from leansr.lab.plot.style import write
from leansr.zoo.release import releases


def test_printed_points_are_what_the_papers_print():
    points = {(p.name, p.kind): p for p in printed_points(4, "Set5", "multi_adds")}
    # Cells of BSRN's Table 5, MDRN's Table 5, FMEN's Table 3 and SESR's Table 2.
    assert points["BSRN", "own"] == Point("BSRN", 19.4e9, 32.35, "own")
    assert points["MDRN", "own"] == Point("MDRN", 17.3e9, 32.35, "own")
    assert points["FMEN", "own"] == Point("FMEN", 44.2e9, 32.24, "own")
    assert points["SESR-M5", "own"].psnr == 30.99
    assert points["VDSR", "baseline"].cost == 612.6e9
    # Not the ablations' BSRN of 32.25, nor what has no cost.
    assert not any(p.psnr == 32.25 and p.kind == "own" for p in points.values())
    assert ("Bicubic", "baseline") not in points
    lower = [p for p in printed_points(4, "Set5", "params") if p.name == "MDRN"]
    assert [(p.cost, p.psnr) for p in lower] == [(322e3, 32.35)]


def test_released_points_are_those_of_the_cards():
    for (name, scale), release in releases().items():
        found = [p for p in released_points(scale, "Set5", "multi_adds") if p.name == name]
        if zoo.VARIANTS[name].dtype == "int8":
            # Its Multi-Adds are no cost to be compared with those in floats.
            assert not found
            continue
        (point,) = found
        assert (point.cost, point.psnr) == (release.card["multi_adds"], release.psnr_y("Set5"))
        assert point.kind == "ours"
    assert released_points(4, "Manga109", "params") == []
    ms = {"sesr-m5": 2.0, "bsrn": 50.0, "imdn": 90.0, "elsewhere": 1.0}
    (ours,) = released_points(4, "Set5", "measured_ms", ms)
    assert (ours.name, ours.cost) == ("sesr-m5", 2.0)
    # Each variant once, with its own paper's figure: two others print BSRN as well.
    timed = {p.name: p for p in timed_points(4, "Set5", ms)}
    assert timed["BSRN"] == Point("BSRN", 50.0, 32.35, "own")
    assert timed["IMDN"].kind == "baseline"
    assert len(timed) == 3


POINTS = st.builds(
    Point, st.just("x"), st.integers(1, 9).map(float), st.integers(1, 9).map(float), st.just("own")
)


@given(st.lists(POINTS, min_size=1))
def test_the_front_is_what_nothing_beats(points):
    front = pareto(points)

    def beats(one, other):
        no_worse = one.cost <= other.cost and one.psnr >= other.psnr
        return no_worse and (one.cost, one.psnr) != (other.cost, other.psnr)

    on_it = {(p.cost, p.psnr) for p in front}
    unbeaten = {(p.cost, p.psnr) for p in points if not any(beats(q, p) for q in points)}
    assert on_it == unbeaten
    assert [p.psnr for p in front] == sorted({p.psnr for p in front})


@pytest.mark.parametrize("benchmark", BENCHMARKS)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_labels_of_a_front_do_not_overlap(scale, benchmark):
    points = printed_points(scale, benchmark, "multi_adds")
    points += released_points(scale, benchmark, "multi_adds")
    figure = draw_front(points, benchmark, scale, "multi_adds")
    boxes = shown(figure)
    names = [text for text, _ in boxes]
    assert len(set(names)) == len(names)
    assert {p.name for p in released_points(scale, benchmark, "multi_adds")} <= set(names)
    assert len(names) > 8
    for (one, first), (other, second) in combinations(boxes, 2):
        assert not first.overlaps(second), f"{one} and {other}"
    axes = figure.axes[0]
    marks = axes.transData.transform([(p.cost / 1e9, p.psnr) for p in points])
    for text, box in boxes:
        assert box.count_contains(marks) == 0, text
        assert axes.get_window_extent().count_contains(box.get_points()) == 2, text


def shown(figure):
    """The labels of a figure's first axes and their boxes in pixels."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    texts = [text for text in figure.axes[0].texts if text.get_text()]
    return [(text.get_text(), text.get_window_extent(renderer)) for text in texts]


def test_a_label_without_a_place_is_left_out():
    figure = Figure(figsize=(1, 1), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    labels = [Label(0.5, 0.5, f"number {i}", "black") for i in range(50)]
    place(axes, [*labels, Label(0.5, 0.5, "much too long for this figure", "black")], labels, [])
    names = [text for text, _ in shown(figure)]
    assert names == [label.text for label in labels[: len(names)]]
    assert len(names) < 10


def test_numbers_of_a_short_axis_are_no_markup():
    """It labels its smaller steps too."""
    points = [Point("a", 3e3, 30, "own"), Point("b", 5e3, 31, "own")]
    (axes,) = draw_front(points, "Set5", 4, "params").axes
    numbers = [tick.get_text() for tick in axes.get_xticklabels(minor=True)]
    assert "6" in numbers
    assert not any("$" in number for number in numbers)


def test_the_same_figure_is_written_as_the_same_bytes(tmp_path):
    points = printed_points(4, "Set5", "params")
    for suffix in ("png", "svg"):
        paths = [tmp_path / f"{i}.{suffix}" for i in range(2)]
        for path in paths:
            write(draw_front(points, "Set5", 4, "params"), path)
        assert paths[0].read_bytes() == paths[1].read_bytes()
