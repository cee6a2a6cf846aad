"""The functions of the package's face."""

from pathlib import Path
from typing import Any

from leansr import zoo
from leansr.errors import UsageError
from leansr.runtime import batch
from leansr.runtime.choice import Input, Upscalers
from leansr.zoo.variant import Variant


def upscale(
    source: str | Path,
    target: str | Path | None = None,
    *,
    model: str = "sesr-m5",
    scale: int = 2,
    input: Input = "auto",
    overwrite: bool = False,
    **options: Any,
) -> Path:
    """Upscales one picture file; returns the path written, `photo_x2.jpg` without a `target`.

    With `input` "auto" a JPEG that was compressed strongly gets the weights for photos where the
    model has them; "clean" and "photo" say which it gets. `options` are those of `Upscaler`.
    Raises PictureError if the picture cannot be read or written, or the target exists and
    `overwrite` is not given.
    """
    if Path(source).is_dir():
        raise UsageError(f"{source}: is a folder; upscale its pictures one by one")
    (job,) = batch.plan([Path(source)], None if target is None else Path(target), scale)
    existing: batch.Existing = "overwrite" if overwrite else "error"
    (outcome,) = batch.run([job], Upscalers(model, scale, input, **options), existing)
    if outcome.error is not None:
        raise outcome.error
    return outcome.job.target


def variants() -> dict[str, Variant]:
    """Every network of the zoo by name."""
    return dict(zoo.VARIANTS)
