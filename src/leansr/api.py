"""The functions of the package's face."""

import os
from pathlib import Path
from typing import Any

from leansr import zoo
from leansr.errors import PictureError, UsageError
from leansr.runtime import batch
from leansr.runtime.choice import Input
from leansr.runtime.route import Route
from leansr.runtime.size import wanted
from leansr.zoo.variant import Variant


def upscale(
    source: str | Path,
    target: str | Path | None = None,
    *,
    model: str = "sesr-m5",
    scale: float | None = None,
    size: tuple[int, int] | None = None,
    fit: tuple[int, int] | None = None,
    linear_light: bool = False,
    budget: float | None = None,
    input: Input = "auto",
    compression: int | None = None,
    overwrite: bool = False,
    **options: Any,
) -> Path:
    """Upscales one picture file; returns the path written, `photo_x2.jpg` without a `target`.

    It comes out `scale` times as large, 2 if nothing is said, or in the `size`, width and height,
    or as large as `fit` allows, also a width and a height: by the next network up and a resize, in
    `linear_light` or in the encoded values. The model "auto" is the best that takes no more than
    `budget` seconds. With `input` "auto" a JPEG that was compressed strongly gets the weights for
    photos where the model has them; "clean" and "photo" say which it gets. `compression`, 0 to 9,
    is that of PNG and TIFF. `options` are those of `Upscaler`.
    Raises PictureError if the picture cannot be read or written, or the target exists and
    `overwrite` is not given.
    """
    path = Path(source)
    if path.is_dir():
        raise UsageError(f"{source}: is a folder; upscale its pictures one by one")
    if not os.path.lexists(path):
        raise PictureError(f"{source}: no such file")
    to = wanted(scale, size, fit)
    route = Route(to, model, input, budget=budget, linear=linear_light, **options)
    (job,) = batch.plan([path], None if target is None else Path(target), to)
    existing: batch.Existing = "overwrite" if overwrite else "error"
    (outcome,) = batch.run([job], route, existing, compression=compression)
    if outcome.error is not None:
        raise outcome.error
    return outcome.job.target


def variants() -> dict[str, Variant]:
    """Every network of the zoo by name."""
    return dict(zoo.VARIANTS)
