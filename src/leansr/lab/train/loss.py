"""What a step brings down: the difference between SR and HR, of pixels and of spectra."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from leansr.lab.train.recipe import Loss

Difference = Callable[[Tensor, Tensor], Tensor]


def loss_of(settings: Loss) -> Difference:
    """The loss as a function of sr and hr, both float32 `(N, C, H, W)` in [0, 1], to one number.

    It is differentiable in both.
    """
    pixels = {
        "l1": F.l1_loss,
        "l2": F.mse_loss,
        "charbonnier": lambda sr, hr: charbonnier(sr, hr, settings.epsilon),
        "huber": lambda sr, hr: huber(sr, hr, settings.epsilon),
        "psnr": lambda sr, hr: negative_psnr(sr, hr, settings.epsilon),
    }[settings.name]
    if not settings.fft:
        return pixels
    return lambda sr, hr: pixels(sr, hr) + settings.fft * spectral(sr, hr)


def charbonnier(sr: Tensor, hr: Tensor, epsilon: float) -> Tensor:
    """The mean of sqrt(difference^2 + epsilon^2) (Lai et al., 2017): L1 without its corner."""
    return ((sr - hr).square() + epsilon**2).sqrt().mean()


def huber(sr: Tensor, hr: Tensor, epsilon: float) -> Tensor:
    """Huber's loss over `epsilon`, so that far from zero its slope is L1's.

    It is a parabola up to a difference of `epsilon`, and a line from there on.
    """
    return F.smooth_l1_loss(sr, hr, beta=epsilon)


def negative_psnr(sr: Tensor, hr: Tensor, epsilon: float) -> Tensor:
    """Minus the mean over crops of their PSNR in dB (Chen et al., 2021), as pictures are judged.

    Even crops, whose errors are small, count as much as crops of detail: what eight bits cost is
    mostly theirs. `epsilon` is the root of the squared error beside which smaller ones are nothing.
    """
    squared = (sr - hr).square().mean((1, 2, 3))
    return 10 * (squared + epsilon**2).log10().mean()


def spectral(sr: Tensor, hr: Tensor) -> Tensor:
    """The mean absolute difference of the spectra, real and imaginary parts (Cho et al., 2021).

    The transform keeps the sum of squares, which makes its size that of the pixels' difference,
    whatever the crop's; where the transform is not scaled, as in the paper, a weight of theirs for
    crops of n x n is n times as much here. Half of the frequencies is all there is to know.
    """
    difference = sr - hr
    height, width = difference.shape[-2:]
    half = width // 2 + 1
    # As products with waves: torch.compile does not take the complex numbers of torch.fft.
    along_rows = torch.cat(_waves(width, half, difference), dim=1)
    along_columns = torch.cat(_waves(height, height, difference), dim=1)
    products = (difference @ along_rows).mT @ along_columns
    by_cosine, by_sine = products.split(half, dim=-2)
    real = by_cosine[..., :height] - by_sine[..., height:]
    imaginary = by_cosine[..., height:] + by_sine[..., :height]
    return (real.abs().mean() + imaginary.abs().mean()) / 2


def _waves(length: int, count: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines of `count` frequencies, each in a column."""
    places = torch.arange(length, device=like.device)
    # Whole turns are left out, which are only rounding.
    turns = torch.outer(places, places[:count]) % length / length
    angles = 2 * torch.pi * turns
    return angles.cos() / length**0.5, angles.sin() / length**0.5
