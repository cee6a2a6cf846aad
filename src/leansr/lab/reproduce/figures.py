"""The figures of a paper again, of what is at hand."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from leansr import zoo
from leansr.errors import DataError, UsageError
from leansr.image.arrays import Pixels
from leansr.lab.export.release import upscaler_of
from leansr.lab.measure.attention import attentions
from leansr.lab.measure.spectrum import spectra
from leansr.lab.plot.attention import draw_attention, draw_dispersion
from leansr.lab.plot.bubble import DEFAULT, bubbles, draw_bubbles
from leansr.lab.plot.front import draw_front
from leansr.lab.plot.inputs import as_input, network_of
from leansr.lab.plot.pictures import Patch, hr_and_lr, read_rgb
from leansr.lab.plot.points import Cost, printed_points, released_points
from leansr.lab.plot.sheet import draw_sheet, panels
from leansr.lab.plot.spectrum import draw_spectra
from leansr.lab.plot.style import write
from leansr.lab.plot.times import read_times
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
    """The weights by variant and scale, files of times, and a picture, None without a benchmark."""

    weights: Mapping[tuple[str, int], Path]
    times: tuple[Path, ...]
    picture: Path | None


def at_hand(weights: Path | None, root: Path | None, times: tuple[Path, ...] = ()) -> AtHand:
    """What `--weights`, `--times` and the data root give figures to draw."""
    picture = None
    if root is not None:
        try:
            picture = find(root, _PICTURES, SCALE).pairs[0].hr
        except DataError:
            picture = None
    return AtHand(given(weights) if weights is not None else {}, times, picture)


@dataclass(frozen=True)
class Wanted:
    """A figure, and what it is drawn of: perhaps a picture, perhaps weights of one of `variants`,
    the first that is at hand."""

    draw: Callable[[AtHand], Figure]
    picture: bool = False
    variants: tuple[str, ...] = ()

    def missing(self, have: AtHand) -> str:
        """What keeps it from being drawn; empty if nothing does."""
        if self.picture and have.picture is None:
            return f"it needs a picture, and there is no {_PICTURES} x{SCALE} below a data root"
        if self.variants and not _first(self.variants, have):
            names = " or ".join(self.variants)
            return f"it needs weights of {names} x{SCALE}, with --weights"
        return ""


def make_folder(folder: Path) -> None:
    """Makes the folder that figures go to, before the work; UsageError if that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise UsageError(f"{folder}: cannot be a folder of figures ({cause.strerror})") from cause
    if not os.access(folder, os.W_OK):
        raise UsageError(f"{folder}: figures cannot be written there")


def draw(paper: str, folder: Path, have: AtHand) -> Iterator[tuple[Path | None, str]]:
    """Writes each figure of `paper` as PNG and SVG in `folder`.

    Yields the path of each file; for a figure that cannot be drawn of what there is, None and the
    reason.
    """
    for name, wanted in _figures(paper).items():
        missing = wanted.missing(have)
        if missing:
            yield None, f"{name}: is not drawn; {missing}"
            continue
        figure = wanted.draw(have)
        for suffix in (".png", ".svg"):
            path = folder / f"{paper}-{name}{suffix}"
            write(figure, path)
            yield path, ""


def _figures(paper: str) -> dict[str, Wanted]:
    of_all = {
        "front-multi-adds": Wanted(lambda have: _front(paper, "multi_adds")),
        "front-params": Wanted(lambda have: _front(paper, "params")),
        "sheet": Wanted(_sheet, picture=True),
    }
    return of_all | _OF_PAPERS.get(paper, {})


def _first(variants: tuple[str, ...], have: AtHand) -> str:
    return next((name for name in variants if (name, SCALE) in have.weights), "")


def _front(paper: str, cost: Cost) -> Figure:
    benchmark, scale = _FRONTS.get(paper, _FRONT)
    points = printed_points(scale, benchmark, cost) + released_points(scale, benchmark, cost)
    return draw_front(points, benchmark, scale, cost)


def _sheet(have: AtHand) -> Figure:
    hr = _picture(have)
    patch = _busiest(hr)
    methods = {
        name: Upscaler(name, SCALE, backend="onnxruntime")
        for name, scale in releases()
        if scale == SCALE
    }
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
    name = _first(_FMEN, have)
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


def _bubble(have: AtHand) -> Figure:
    """FMEN's Figure 1, against time if its Table 4 was timed."""
    for path in have.times:
        if json.loads(path.read_text(encoding="utf-8")).get("table") == "fmen-4":
            times = read_times(path, SCALE)
            return draw_bubbles(bubbles(tuple(times.ms), SCALE, times), SCALE, times)
    return draw_bubbles(bubbles(DEFAULT, SCALE), SCALE)


_FMEN = ("fmen", "fmen-s")
_OF_PAPERS = {
    "fmen": {
        "bubble": Wanted(_bubble),
        "spectrum": Wanted(_spectrum, picture=True, variants=_FMEN),
    },
    "mdrn": {
        "dispersion": Wanted(lambda have: draw_dispersion(_picture(have)), picture=True),
        "attention": Wanted(_attention, picture=True, variants=("mdrn",)),
    },
}
