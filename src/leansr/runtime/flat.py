"""Where a plane does not change, as alpha mostly does not."""

import numpy as np

from leansr.image.arrays import Pixels


def flat(plane: Pixels, radius: int) -> np.ndarray:
    """For each pixel of `plane` `(H, W)`, whether all within `radius` a side are as it is.

    What is outside the plane does not count.
    """
    # Unchanged along every step that begins and ends within the radius.
    rows = _steady(plane[1:] == plane[:-1], radius, axis=0)
    columns = _steady(plane[:, 1:] == plane[:, :-1], radius, axis=1)
    found: np.ndarray = _all_within(rows, radius, axis=1) & _all_within(columns, radius, axis=0)
    return found


def _steady(equal: np.ndarray, radius: int, axis: int) -> np.ndarray:
    """Along an axis, whether the `radius` steps before and after each pixel are all `equal`."""
    steps = np.moveaxis(equal, axis, 0)
    changes = np.zeros((steps.shape[0] + 1, *steps.shape[1:]), np.int32)
    np.cumsum(~steps, axis=0, out=changes[1:])
    place = np.arange(steps.shape[0] + 1)
    before, after = np.maximum(place - radius, 0), np.minimum(place + radius, steps.shape[0])
    return np.moveaxis(changes[after] == changes[before], 0, axis)


def _all_within(holds: np.ndarray, radius: int, axis: int) -> np.ndarray:
    """Along an axis, whether `holds` at every place within `radius` of each."""
    places = np.moveaxis(holds, axis, 0)
    failures = np.zeros((places.shape[0] + 1, *places.shape[1:]), np.int32)
    np.cumsum(~places, axis=0, out=failures[1:])
    place = np.arange(places.shape[0])
    low, high = np.maximum(place - radius, 0), np.minimum(place + radius + 1, places.shape[0])
    return np.moveaxis(failures[high] == failures[low], 0, axis)
