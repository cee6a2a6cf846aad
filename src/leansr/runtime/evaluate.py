"""PSNR and SSIM of a network as it ships, on a benchmark."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from leansr.errors import DataError, LeanSRError, PictureError
from leansr.image import codecs
from leansr.image.arrays import Pixels, to_unit
from leansr.image.quality import compare
from leansr.image.resize import resize
from leansr.runtime.benchmarks import Benchmark, Pair
from leansr.runtime.perceptual import metric
from leansr.runtime.protocol import Protocol, preset

Upscale = Callable[[Pixels], Pixels]
# The contract's keys, whatever the protocol's colour is.
KEYS = ("psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb")


@dataclass(frozen=True)
class Figures:
    """PSNR in dB, SSIM, and by their names the further metrics that were asked for."""

    psnr_y: float
    ssim_y: float
    psnr_rgb: float
    ssim_rgb: float
    metrics: dict[str, float]

    def figures_as_json(self) -> dict[str, Any]:
        """The contract's keys, and `metrics` where there are some."""
        found: dict[str, Any] = {key: getattr(self, key) for key in KEYS}
        return found | ({"metrics": self.metrics} if self.metrics else {})


@dataclass(frozen=True)
class Measured(Figures):
    """The figures of one picture."""

    name: str


@dataclass(frozen=True)
class Failure:
    """A picture that could not be measured, and why."""

    name: str
    error: LeanSRError


@dataclass(frozen=True)
class Evaluation(Figures):
    """Means over `pictures`, and the protocol that they hold under; `failures` are not in them."""

    protocol: Protocol
    pictures: tuple[Measured, ...]
    failures: tuple[Failure, ...]

    def as_json(self) -> dict[str, Any]:
        """The contract's keys, and what became of each picture."""
        return {
            "schema": 1,
            **self.figures_as_json(),
            "images": self.protocol.images,
            "protocol": asdict(self.protocol),
            "pictures": [{"name": p.name, **p.figures_as_json()} for p in self.pictures],
            "failed": [{"name": f.name, "reason": str(f.error)} for f in self.failures],
        }


def evaluate(
    upscale: Upscale,
    scale: int,
    benchmark: Benchmark,
    protocol: str = "paper",
    metrics: Sequence[str] = (),
) -> Evaluation:
    """Means over the pictures of `benchmark`, each upscaled by `scale` from its LR.

    `upscale` is given and gives pixels as `Upscaler` does: uint8, or where the protocol does not
    round, float32 in [0, 1]. An LR picture that the benchmark has none of is made by MATLAB's
    bicubic in 8 bits. A picture that cannot be measured is a failure in the result, and DataError
    is raised only if all are. Raises UsageError for an unknown protocol or metric.
    """
    if scale != benchmark.scale:
        raise ValueError(f"{benchmark.name} is of x{benchmark.scale}, not x{scale}")
    rules = preset(protocol)
    border = scale if rules.border is None else rules.border
    further = {name: metric(name, border) for name in metrics}
    measured, failures = [], []
    for pair in benchmark.pairs:
        try:
            hr, lr = read_pair(pair, scale)
            sr = _upscaled(upscale, lr if rules.rounding == "8-bit" else to_unit(lr), pair)
            figures = _compared(sr, hr, border, pair)
        except (DataError, PictureError) as error:
            failures.append(Failure(pair.name, error))
            continue
        values = {name: measure(sr, hr) for name, measure in further.items()}
        measured.append(Measured(**figures, metrics=values, name=pair.name))
    if not measured:
        raise DataError(
            f"{benchmark.name} x{scale}: none of its pictures can be measured; "
            f"the first: {failures[0].error}"
        )
    return Evaluation(
        **{key: float(np.mean([getattr(m, key) for m in measured])) for key in KEYS},
        metrics={key: float(np.mean([m.metrics[key] for m in measured])) for key in further},
        protocol=Protocol(
            protocol, rules.colour, border, rules.rounding, benchmark.resizer, len(measured)
        ),
        pictures=tuple(measured),
        failures=tuple(failures),
    )


def read_pair(pair: Pair, scale: int) -> tuple[Pixels, Pixels]:
    """The original, cut to a multiple of the scale, and its LR, uint8 `(H, W, C)`.

    The LR is read, or made by MATLAB's bicubic. Raises PictureError or DataError, which name the
    file, for what is not there, cannot be read, has alpha, or does not fit: in its size, or as
    only one of the two is grey. Equal channels are grey too.
    """
    hr = cut_to_multiple(_read(pair.hr), scale)
    if not hr.size:
        raise DataError(f"{pair.hr}: is smaller than one pixel of x{scale}")
    if pair.lr is None:
        return hr, resize(hr, Fraction(1, scale))
    try:
        pair.lr.stat()
    except FileNotFoundError as cause:
        raise DataError(f"{pair.hr}: has no LR picture {pair.lr}") from cause
    except OSError as cause:
        raise PictureError(f"{pair.lr}: cannot be read ({cause.strerror})") from cause
    lr = _read(pair.lr)
    if (lr.shape[0] * scale, lr.shape[1] * scale) != hr.shape[:2]:
        sizes = f"{lr.shape[1]} x {lr.shape[0]} and {hr.shape[1]} x {hr.shape[0]}"
        raise DataError(f"{pair.lr}: does not fit its HR {pair.hr} at x{scale} ({sizes})")
    if lr.shape[2] != hr.shape[2] and not (_is_grey(lr) and _is_grey(hr)):
        kinds = "grey and colour" if lr.shape[2] == 1 else "colour and grey"
        raise DataError(f"{pair.lr}: does not fit its HR {pair.hr} ({kinds})")
    return hr, lr


def cut_to_multiple(hr: Pixels, scale: int) -> Pixels:
    """`hr` `(H, W, C)` without what is over a multiple of `scale` to the right and below.

    Empty if a side is shorter than `scale`.
    """
    height, width = (side // scale * scale for side in hr.shape[:2])
    return hr[:height, :width]


def _is_grey(pixels: Pixels) -> bool:
    return bool((pixels == pixels[..., :1]).all())


def _upscaled(upscale: Upscale, lr: Pixels, pair: Pair) -> Pixels:
    try:
        return upscale(lr)
    except MemoryError as cause:
        raise DataError(f"{pair.hr}: does not fit into memory") from cause


def _compared(sr: Pixels, hr: Pixels, border: int, pair: Pair) -> dict[str, float]:
    try:
        return compare(sr, hr, border)
    except ValueError as cause:
        raise DataError(f"{pair.hr}: cannot be measured ({cause})") from cause


def _read(path: Path) -> Pixels:
    picture = codecs.read(path)
    if picture.has_alpha:
        raise DataError(f"{path}: a benchmark picture has no alpha channel")
    if picture.pixels.dtype != np.uint8 or picture.more:
        raise DataError(f"{path}: is no 8-bit still, which benchmark pictures are")
    return picture.pixels
