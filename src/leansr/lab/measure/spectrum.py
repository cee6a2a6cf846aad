"""How much of a feature is detail: its power by frequency before and after a block (FMEN, 4.3)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from leansr.errors import MeasureError
from leansr.lab.measure.blocks import blocks_of, passages

# In cycles a pixel, of the highest frequency that pixels can hold, and where high ones begin.
NYQUIST = 0.5
HIGH = NYQUIST / 2


@dataclass(frozen=True)
class Density:
    """Power by frequency, in cycles a pixel: `share` adds up to 1."""

    frequency: Tensor
    share: Tensor

    @property
    def high(self) -> float:
        """The share above half of Nyquist's frequency."""
        return float(self.share[self.frequency > HIGH].sum())


@dataclass(frozen=True)
class Spectrum:
    """The density of a `plane` `(H, W)` from frequency 0 to Nyquist's, and without frequency 0.

    Each share is the mean power on a circle over the sum of these means (FMEN, section 4.3 and
    Figure 7); the corners of the spectrum, beyond the last whole circle, do not count. Frequency
    0, the plane's mean, can be nearly all its power: `detail` is the rest.
    """

    plane: Tensor
    whole: Density
    detail: Density


@dataclass(frozen=True)
class BlockSpectrum:
    """The spectra of what a block saw and gave, each of the feature's mean over channels."""

    name: str
    before: Spectrum
    after: Spectrum


def spectrum(plane: Tensor) -> Spectrum:
    """The spectrum of `plane` `(H, W)`, in n // 2 + 1 circles, n being its shorter side.

    Circle k is everything whose frequency is k / n to the nearest. ValueError for a plane that is
    the same everywhere, which has no detail, and for fewer than 2 pixels a side.
    """
    if plane.ndim != 2 or min(plane.shape) < 2:
        raise ValueError(f"a plane is (H, W) of 2 pixels or more a side, not {tuple(plane.shape)}")
    power = torch.fft.fft2(plane.double()).abs().square()
    rows, columns = (torch.fft.fftfreq(side, dtype=torch.float64) for side in plane.shape)
    shorter = min(plane.shape)
    circle = (torch.hypot(rows[:, None], columns) * shorter).round().long()
    count = shorter // 2 + 1
    inside = circle < count
    total = torch.zeros(count, dtype=power.dtype).index_add(0, circle[inside], power[inside])
    mean = total / torch.bincount(circle[inside], minlength=count)
    frequency = torch.arange(count) / shorter
    # Of a plane that is the same everywhere, rounding leaves a little at every frequency.
    if plane.min() == plane.max() or not mean[1:].sum() > 0:
        raise ValueError("it has no detail")
    detail = mean[1:] / mean[1:].sum()
    return Spectrum(plane, Density(frequency, mean / mean.sum()), Density(frequency[1:], detail))


def spectra(network: nn.Module, lr: Tensor, kind: str | None = None) -> list[BlockSpectrum]:
    """The spectra of every block of class `kind` for `lr` `(1, C, H, W)`, in running order.

    None is the first class of blocks that weighs by a sigmoid: HFAB in FMEN, ESA in BSRN.
    UsageError if the network has no such blocks, MeasureError for a feature without detail.
    """
    found = []
    for passage in passages(network, blocks_of(network, kind), lr):
        try:
            before, after = (spectrum(f.mean(dim=0)) for f in (passage.before, passage.after))
        except ValueError as cause:
            raise MeasureError(f"{passage.name}: has no spectrum ({cause})") from cause
        found.append(BlockSpectrum(passage.name, before, after))
    return found
