"""Colour under transparent pixels, which nobody sees but a network looks at."""

import numpy as np
import numpy.typing as npt

from leansr.image.arrays import Floats, Pixels

# How far colour is carried under what is transparent, in pixels: no released network that has a
# finite view looks further past an edge. What is further away stays as it is.
REACH = 40
_PART = 1 << 16


def bled(pixels: Pixels) -> Pixels:
    """Grey or RGB with straight alpha, `(H, W, 2 or 4)`, its visible colour carried on.

    A pixel of alpha 0 gets the mean of its neighbours that have a colour, those next to visible
    ones first, and so on for REACH pixels. So a fully transparent pixel depends on no more than the
    REACH pixels around it. Without such pixels, or without alpha, `pixels` itself comes back.
    """
    height, width, channels = pixels.shape
    if channels not in (2, 4):
        return pixels
    hidden = pixels[..., -1] == 0
    if not hidden.any() or hidden.all():
        return pixels
    # A border of no colour around the picture, so that neighbours are found by adding to an index.
    has_colour = np.pad(~hidden, 1).ravel()
    row = width + 2
    steps = np.array([-row - 1, -row, -row + 1, -1, 1, row - 1, row, row + 1])
    inside = np.pad(np.ones((height, width), bool), 1).ravel()
    colours = np.pad(pixels[..., :-1], ((1, 1), (1, 1), (0, 0))).reshape(-1, channels - 1)
    near = _beside(has_colour, steps)
    for _ in range(REACH):
        front = np.flatnonzero(near & inside & ~has_colour)
        if not len(front):
            break
        # A part at a time, as a picture may hide every other pixel.
        for start in range(0, len(front), _PART):
            part = front[start : start + _PART]
            mean = _mean(colours, has_colour, part, steps)
            colours[part] = mean if pixels.dtype.kind == "f" else np.floor(mean + 0.5)
        has_colour[front] = True
        near = np.zeros_like(has_colour)
        for step in steps:
            near[front + step] = True
    result = pixels.copy()
    result[..., :-1] = colours.reshape(height + 2, row, -1)[1:-1, 1:-1]
    return result


def _beside(
    has_colour: npt.NDArray[np.bool_], steps: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Where a neighbour has a colour; what wraps around lies in the border."""
    beside = np.zeros_like(has_colour)
    for step in steps:
        beside |= np.roll(has_colour, step)
    return beside


def _mean(
    colours: Pixels,
    has_colour: npt.NDArray[np.bool_],
    places: npt.NDArray[np.int64],
    steps: npt.NDArray[np.int64],
) -> Floats:
    """Of the neighbours of `places` that have a colour: `(N, C)`."""
    sums = np.zeros((len(places), colours.shape[1]), np.float32)
    count = np.zeros((len(places), 1), np.float32)
    for step in steps:
        counts = has_colour[places + step, None]
        sums += colours[places + step] * counts
        count += counts
    return sums / count
