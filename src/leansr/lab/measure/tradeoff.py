"""What a leaner network saves for what it loses: the efficiency study's two metrics."""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A network in a table: its cost and its PSNR, in dB, by test set.

    `multi_adds` and `params` in any unit, the same in both rows that are compared.
    """

    multi_adds: float
    params: float
    psnr: Mapping[str, float]


@dataclass(frozen=True)
class Saved:
    """What is saved for each 0.01 dB lost, in the units of the rows; negative where it costs."""

    multi_adds: float
    params: float


def saved_per_loss(full: Row, lean: Row) -> Saved:
    """What `lean` saves against `full` for each 0.01 dB (study, section 3).

    The loss is the sum of the PSNR drops over the test sets, four in the study; a gain on one of
    them counts against the drops on the others. Raises ValueError if the rows are not over the
    same test sets, or if nothing is lost over all: then the savings have no price.
    """
    if full.psnr.keys() != lean.psnr.keys():
        raise ValueError(
            f"PSNR over other test sets: {', '.join(full.psnr)} and {', '.join(lean.psnr)}"
        )
    loss = math.fsum(full.psnr[name] - lean.psnr[name] for name in full.psnr)
    # Equal sums of figures of two decimals may differ by their rounding to binary.
    if loss < 1e-9:
        raise ValueError(f"no PSNR is lost ({-loss:+.2f} dB over all sets), so nothing is paid")
    hundredths = loss / 0.01
    return Saved(
        multi_adds=(full.multi_adds - lean.multi_adds) / hundredths,
        params=(full.params - lean.params) / hundredths,
    )
