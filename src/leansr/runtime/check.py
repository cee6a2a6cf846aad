"""What there is of a benchmark, and whether its LR is MATLAB's bicubic, as that of the papers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from leansr.errors import DataError, LeanSRError, PictureError
from leansr.image.arrays import Pixels
from leansr.image.quality import planes, psnr
from leansr.image.resize import resize
from leansr.runtime.benchmarks import KNOWN, AbsentError, find, known_name
from leansr.runtime.evaluate import Upscale, read_pair
from leansr.runtime.upscaler import Upscaler
from leansr.zoo.release import releases

# The network whose figures show what another LR costs.
NETWORK = "sesr-m5"
# Set5's published LR differ from ours by 1 level in at most 0.01 % of the values, Pillow's bicubic,
# the nearest of the others, in 12 to 15 % of them and by up to 14 levels (docs/evaluate.md).
_LARGEST, _EQUAL = 1, 0.99


@dataclass(frozen=True)
class Shift:
    """Mean luma PSNR in dB of an upscaler from the LR as given and from ours.

    `change` is what the LR as given adds, in dB: the mean over the pictures, as those that are
    upscaled without an error make the PSNR infinite.
    """

    given: float
    ours: float
    change: float


@dataclass(frozen=True)
class Agreement:
    """How the LR as given differs from ours, in levels of 8 bits, over all pictures.

    `equal` is the share of values that do not differ, `psnr_y` by the upscaler's name.
    """

    largest: int
    mean: float
    equal: float
    psnr_y: dict[str, Shift]

    @property
    def is_matlab(self) -> bool:
        """Whether it can be taken for MATLAB's bicubic, rounded once."""
        return self.largest <= _LARGEST and self.equal >= _EQUAL

    def as_json(self) -> dict[str, Any]:
        """All of it, with what follows."""
        return {
            "is_matlab": self.is_matlab,
            "largest": self.largest,
            "mean": self.mean,
            "equal": self.equal,
            "psnr_y": {name: asdict(shift) for name, shift in self.psnr_y.items()},
        }


@dataclass(frozen=True)
class Check:
    """What there is of a benchmark at a scale.

    `pictures` of the `expected` (None for a folder of one's own) can be read and fit their LR;
    `failures` are those that do not, or why there are none. `incomplete` says so if they are not
    as many as expected, `missing` what was looked for if nothing is there. `agreement` is None
    where the LR is to be made.
    """

    name: str
    scale: int
    pictures: int
    expected: int | None
    resizer: str | None = None
    agreement: Agreement | None = None
    failures: tuple[LeanSRError, ...] = ()
    incomplete: DataError | None = None
    missing: DataError | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is there, with as many pictures as it is known for, and all can be read."""
        return not (self.missing or self.incomplete or self.failures)

    def as_json(self) -> dict[str, Any]:
        """One row of `leansr data check --json`."""
        return {
            "name": self.name,
            "scale": self.scale,
            "is_whole": self.is_whole,
            "pictures": self.pictures,
            "expected": self.expected,
            "lr": self.resizer,
            "agreement": self.agreement.as_json() if self.agreement else None,
            "failed": [str(error) for error in self.failures],
            "incomplete": str(self.incomplete) if self.incomplete else None,
            "missing": str(self.missing) if self.missing else None,
        }


def check(root: Path, name: str, scale: int) -> Check:
    """Reads every picture of the benchmark `name` below the data root, and compares given LR."""
    name = known_name(name)
    expected = KNOWN[name].pictures if name in KNOWN else None
    try:
        benchmark = find(root, name, scale)
    except AbsentError as error:
        return Check(name, scale, 0, expected, missing=error)
    except DataError as error:
        return Check(name, scale, 0, expected, failures=(error,))
    upscale = upscalers(scale) if benchmark.has_lr else {}
    rows: list[_Row] = []
    failures: list[LeanSRError] = []
    for pair in benchmark.pairs:
        try:
            hr, lr = read_pair(pair, scale)
            if benchmark.has_lr:
                rows.append(_compared(hr, lr, scale, upscale))
        except (DataError, PictureError) as error:
            failures.append(error)
        except ValueError as cause:
            failures.append(DataError(f"{pair.hr}: cannot be compared ({cause})"))
    pictures = len(benchmark.pairs) - len(failures)
    incomplete = None
    if expected not in (None, pictures):
        incomplete = DataError(f"{root}: {name} x{scale} has {pictures} of {expected} pictures")
    return Check(
        name,
        scale,
        pictures,
        expected,
        benchmark.resizer,
        _agreement(rows) if rows else None,
        tuple(failures),
        incomplete,
    )


def upscalers(scale: int) -> dict[str, Upscale]:
    """What the change of PSNR is told for: bicubic, and the network where it is released."""
    found: dict[str, Upscale] = {"bicubic": lambda lr: resize(lr, scale)}
    if (NETWORK, scale) in releases():
        found[NETWORK] = Upscaler(NETWORK, scale, backend="onnxruntime")
    return found


@dataclass(frozen=True)
class _Row:
    """One picture: `sum` of the differences of `values` values, and PSNR from both LR."""

    largest: float
    sum: float
    equal: int
    values: int
    psnr_y: dict[str, Shift]


def _compared(hr: Pixels, lr: Pixels, scale: int, upscalers: Mapping[str, Upscale]) -> _Row:
    ours = resize(hr, Fraction(1, scale))
    difference = np.abs(planes(lr, "rgb", 0) - planes(ours, "rgb", 0))
    target = planes(hr, "y", scale)

    def shift(upscale: Upscale) -> Shift:
        given, from_ours = (psnr(planes(upscale(p), "y", scale), target) for p in (lr, ours))
        return Shift(given, from_ours, 0.0 if given == from_ours else given - from_ours)

    return _Row(
        float(difference.max()),
        float(difference.sum()),
        int(np.count_nonzero(difference == 0)),
        difference.size,
        {name: shift(upscale) for name, upscale in upscalers.items()},
    )


def _agreement(rows: Sequence[_Row]) -> Agreement:
    values = sum(row.values for row in rows)
    shifts = {name: _mean([row.psnr_y[name] for row in rows]) for name in rows[0].psnr_y}
    return Agreement(
        int(max(row.largest for row in rows)),
        sum(row.sum for row in rows) / values,
        sum(row.equal for row in rows) / values,
        shifts,
    )


def _mean(shifts: Sequence[Shift]) -> Shift:
    columns = zip(*((s.given, s.ours, s.change) for s in shifts), strict=True)
    # Not by numpy, which warns where infinite changes cancel out; the mean is NaN then.
    return Shift(*(sum(column) / len(shifts) for column in columns))
