"""Power by frequency before and after each block, and what it looks like (FMEN, Figures 6, 8)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from leansr.lab.measure.spectrum import HIGH, NYQUIST, BlockSpectrum
from leansr.lab.plot.style import BLUE, GREY, MAP, VERMILLION, caption, plain, styled

# More blocks than these are drawn at even steps from the first to the last.
_MOST = 8


@dataclass(frozen=True)
class Shares:
    """The shares of power above half of Nyquist's frequency, before and after a block.

    Of all power, and of detail, which is without frequency 0.
    """

    block: str
    high_before: float
    high_after: float
    high_of_detail_before: float
    high_of_detail_after: float


def shares(spectra: Sequence[BlockSpectrum]) -> list[Shares]:
    """What the figure's curves add up to, of every block, also of those that are not drawn."""
    return [
        Shares(
            block=block.name,
            high_before=block.before.whole.high,
            high_after=block.after.whole.high,
            high_of_detail_before=block.before.detail.high,
            high_of_detail_after=block.after.detail.high,
        )
        for block in spectra
    ]


@styled
def draw_spectra(spectra: Sequence[BlockSpectrum], title: str) -> Figure:
    """Of each block its input's and output's density, and below them their mean maps."""
    chosen = _evenly(spectra)
    figure = Figure(figsize=(max(3.2, 1.55 * len(chosen) + 0.5), 5.4), layout="constrained")
    figure.suptitle(plain(title), fontsize=9)
    grid = figure.subplots(3, len(chosen), height_ratios=(1.25, 1, 1), squeeze=False)
    for block, (curve, before, after) in zip(chosen, grid.T, strict=True):
        for density, told, colour in (
            (block.before.detail, "input", BLUE),
            (block.after.detail, "output", VERMILLION),
        ):
            curve.plot(density.frequency, density.share, color=colour, label=told, lw=1.1)
        curve.set_yscale("log")
        # The scale's own formatter writes markup.
        curve.yaxis.set_major_formatter(LogFormatter())
        curve.yaxis.set_minor_formatter(LogFormatter())
        curve.set_xlim(0, NYQUIST)
        curve.axvline(HIGH, color=GREY, lw=0.7, ls=":")
        shares = [100 * d.detail.high for d in (block.before, block.after)]
        curve.set_title(f"{block.name}\nhigh: {shares[0]:.1f} to {shares[1]:.1f} %", fontsize=7)
        for axes, values in ((before, block.before.plane), (after, block.after.plane)):
            # The same share of outliers cut on both sides, or one pixel would take all colours.
            least, most = np.percentile(values.numpy(), (1, 99))
            axes.imshow(values.numpy(), MAP, vmin=least, vmax=most, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.grid(visible=False)
            axes.spines[:].set_visible(False)
    for axes in grid[0, 1:]:
        axes.sharey(grid[0, 0])
        axes.tick_params(labelleft=False)
    grid[0, 0].legend(loc="upper right")
    grid[0, 0].set_ylabel("share of power")
    grid[0, len(chosen) // 2].set_xlabel("frequency, cycles a pixel")
    grid[1, 0].set_ylabel("input")
    grid[2, 0].set_ylabel("output")
    left_out = len(spectra) - len(chosen)
    caption(
        figure,
        "Power of the mean over channels, averaged on circles; the sum without that at frequency "
        "0 is 1. High: the share above half of Nyquist's frequency (dotted). Maps from their 1st "
        "to their 99th percentile."
        + (f" {left_out} more blocks are not drawn." if left_out else ""),
    )
    return figure


def _evenly(spectra: Sequence[BlockSpectrum]) -> list[BlockSpectrum]:
    count = min(len(spectra), _MOST)
    return [spectra[round(i)] for i in np.linspace(0, len(spectra) - 1, count)]
