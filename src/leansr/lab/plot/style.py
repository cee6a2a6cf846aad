"""How every figure looks, and how it is written."""

import os
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from leansr.errors import PictureError, UsageError
from leansr.image.codecs import beside

# Okabe and Ito's palette (2008), told apart with every kind of colour vision.
BLUE, VERMILLION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
SKY, PURPLE = "#56B4E9", "#CC79A7"
GREY, DARK = "#767676", "#333333"
CYCLE = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, DARK)
# Perceptually uniform, and in order of lightness when printed grey.
MAP = "viridis"

FORMATS = (".png", ".svg")
_SETTINGS: dict[Any, Any] = {
    "figure.dpi": 150,
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E5E5E5",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "lines.linewidth": 1.4,
    # The name of a file may hold two dollars.
    "text.parse_math": False,
    # Text as text, and the same names for the same parts at every writing.
    "svg.fonttype": "none",
    "svg.hashsalt": "leansr",
}


@contextmanager
def _settings() -> Iterator[None]:
    with rc_context(_SETTINGS), warnings.catch_warnings():
        # A name in a script that the font lacks: a PNG shows boxes, an SVG has the text.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        yield


# For a function that draws: within it the settings hold, and nowhere else.
styled = _settings()


def plain(text: str) -> str:
    """A line from outside, a file's name say, as a figure can show it and XML can hold it."""
    return "".join(c if c.isprintable() else "?" for c in text)


def caption(figure: Figure, text: str) -> None:
    """Small print below the figure: by what protocol the figure's numbers hold."""
    # About 17 characters of 7 points go on an inch.
    lines = textwrap.fill(plain(text), int(figure.get_figwidth() * 17))
    figure.supxlabel(lines, fontsize=7, color=GREY, x=0.01, ha="left")


def check_target(path: Path) -> None:
    """Whether a figure can be written as `path`, asked before the work; UsageError if not."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path}: figures are written as {' or '.join(FORMATS)}")
    if os.path.isdir(path):
        raise UsageError(f"{path}: is a folder; give the name of a file")
    # Folders that are missing are made, in the last one that is there.
    folder = next((p for p in path.parents if os.path.lexists(p)), Path())
    if not os.path.isdir(folder):
        raise UsageError(f"{path}: cannot be written, {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{path}: cannot be written, the folder {folder} is not open to writing")


@styled
def write(figure: Figure, path: Path) -> None:
    """Writes `figure` in the format of the suffix, whole or not at all, without a date.

    UsageError for what `check_target` refuses, PictureError if writing fails all the same.
    """
    check_target(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside(path) as part:
            if path.suffix.lower() == ".svg":
                figure.savefig(part, format="svg", metadata={"Date": None, "Creator": None})
            else:
                options = {"optimize": True}
                figure.savefig(part, format="png", metadata={"Software": None}, pil_kwargs=options)
    except OSError as cause:
        raise PictureError(f"{path}: cannot be written ({cause.strerror or cause})") from cause
