"""The figures of a paper again, of what is at hand."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from leansr import zoo
from leansr.errors import DataError
from leansr.image.arrays import Pixels
from leansr.lab.export.release import upscaler_of
from leansr.lab.measure.attention import attentions
from leansr.lab.measure.spectrum import spectra
from leansr.lab.plot.attention import draw_attention, draw_dispersion
from leansr.lab.plot.bubble import DEFAULT, bubbles, draw_bubbles
from leansr.lab.plot.front import draw_front
from leansr.lab.plot.inputs import Patch, as_input, hr_and_lr, network_of, read_rgb
from leansr.lab.plot.points import Cost, printed_points, released_points
from leansr.lab.plot.sheet import draw_sheet, panels
from leansr.lab.plot.spectrum import draw_spectra
from leansr.lab.plot.style import write
from leansr.lab.reproduce.measured import given
from leansr.runtime.benchmarks import find
from leansr.runtime.upscaler import Upscaler
from leansr.zoo.release import releases

SCALE = 4
# The picture that figures of pictures are drawn of is the first of this benchmark.
_PICTURES = "Set5"
# In HR pixels, about that of the papers' sheets.
_PATCH = (96, 72)
# paper: benchmark and scale of its quality and cost front (BSRN, Figure 1; SESR, Figure 1a)
_FRONTS = {"sesr": ("Set14", 2)}
_FRONT = ("Set5", SCALE)


@dataclass(frozen=True)
class AtHand:
    """The weights by variant and scale, and a picture, None where there is no benchmark."""

    weights: Mapping[tuple[str, int], Path]
    picture: Path | None


def at_hand(weights: Path | None, root: Path | None) -> AtHand:
    """What `--weights` and the data root give figures to draw."""
    picture = None
    if root is not None:
        try:
            picture = find(root, _PICTURES, SCALE).pairs[0].hr
        except DataError:
            picture = None
    return AtHand(given(weights) if weights is not None else {}, picture)


def draw(paper: str, folder: Path, have: AtHand) -> Iterator[tuple[Path | None, str]]:
    """Writes each figure of `paper` as PNG and SVG in `folder`.

    Yields the path of each file; for a figure that cannot be drawn of what there is, None and the
    reason.
    """
    for name, (make, wants) in _figures(paper).items():
        missing = _missing(wants, have)
        if missing:
            yield None, f"{name}: is not drawn; {missing}"
            continue
        figure = make(have)
        for suffix in (".png", ".svg"):
            path = folder / f"{paper}-{name}{suffix}"
            write(figure, path)
            yield path, ""


# What a figure needs: nothing, a picture, or a picture and the weights of a variant at x4.
_Wants = str | None
_NOTHING, _PICTURE = None, ""


def _figures(paper: str) -> dict[str, tuple[Callable[[AtHand], Figure], _Wants]]:
    front: dict[str, tuple[Callable[[AtHand], Figure], _Wants]] = {
        "front-multi-adds": (lambda have: _front(paper, "multi_adds"), _NOTHING),
        "front-params": (lambda have: _front(paper, "params"), _NOTHING),
        "sheet": (_sheet, _PICTURE),
    }
    return front | _OF_PAPERS.get(paper, {})


def _missing(wants: _Wants, have: AtHand) -> str:
    if wants is not None and have.picture is None:
        return f"it needs a picture, and there is no {_PICTURES} x{SCALE} below a data root"
    if wants and (wants, SCALE) not in have.weights:
        return f"it needs weights of {wants} x{SCALE}, with --weights"
    return ""


def _front(paper: str, cost: Cost) -> Figure:
    benchmark, scale = _FRONTS.get(paper, _FRONT)
    points = printed_points(scale, benchmark, cost) + released_points(scale, benchmark, cost)
    return draw_front(points, benchmark, scale, cost)


def _sheet(have: AtHand) -> Figure:
    hr = _picture(have)
    patch = _busiest(hr)
    methods = {name: Upscaler(name, SCALE) for name, scale in releases() if scale == SCALE}
    for (name, scale), path in have.weights.items():
        if scale == SCALE:
            methods[name] = upscaler_of(path, name, scale)
    cut, found = panels(hr, patch, methods, SCALE)
    return draw_sheet(cut, patch, found, SCALE)


def _busiest(hr: Pixels) -> Patch:
    """Where the picture has most detail, on a grid of half patches; methods differ there."""
    width, height = min(_PATCH[0], hr.shape[1]), min(_PATCH[1], hr.shape[0])
    grey = hr.mean(axis=2)
    patches = [
        Patch(left, top, width, height)
        for top in range(0, hr.shape[0] - height + 1, max(1, height // 2))
        for left in range(0, hr.shape[1] - width + 1, max(1, width // 2))
    ]
    return max(patches, key=lambda patch: float(np.abs(np.diff(patch.of(grey), axis=1)).mean()))


def _spectrum(have: AtHand) -> Figure:
    name = "fmen-s"
    network = network_of(name, SCALE, have.weights[name, SCALE])
    _, lr = hr_and_lr(_picture(have), SCALE)
    assert have.picture is not None
    found = spectra(network, as_input(lr, zoo.VARIANTS[name]))
    return draw_spectra(found, f"{name} x{SCALE} on {have.picture.name}")


def _attention(have: AtHand) -> Figure:
    """MDRN's last gate, with BSRN's, whose ESA it grew out of, above it where there is one."""
    _, lr = hr_and_lr(_picture(have), SCALE)
    gates = {}
    for name in ("bsrn", "mdrn"):
        if (name, SCALE) in have.weights:
            network = network_of(name, SCALE, have.weights[name, SCALE])
            found = attentions(network, as_input(lr, zoo.VARIANTS[name]))
            gates[f"{name}, gate {len(found)}"] = found[-1]
    return draw_attention(gates, lr)


def _picture(have: AtHand) -> Pixels:
    assert have.picture is not None
    return read_rgb(have.picture)


_OF_PAPERS: dict[str, dict[str, tuple[Callable[[AtHand], Figure], _Wants]]] = {
    "fmen": {
        "bubble": (lambda have: draw_bubbles(bubbles(DEFAULT, SCALE), SCALE), _NOTHING),
        "spectrum": (_spectrum, "fmen-s"),
    },
    "mdrn": {
        "dispersion": (lambda have: draw_dispersion(_picture(have)), _PICTURE),
        "attention": (_attention, "mdrn"),
    },
}
