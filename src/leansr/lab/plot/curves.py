"""Training curves of several runs (FMEN, Figure 5)."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from matplotlib.figure import Figure

from leansr.errors import DataError
from leansr.lab.plot.style import CYCLE, caption, plain, styled
from leansr.lab.train.log import Row, read_rows

By = Literal["step", "minutes"]


def read_run(folder: Path) -> list[Row]:
    """The rows of a run's log; DataError if there is none, it is damaged or still empty."""
    path = folder / "log.csv"
    rows = read_rows(path)
    if not rows:
        raise DataError(f"{path}: has no rows yet")
    return rows


@styled
def draw_curves(runs: Mapping[str, Sequence[Row]], by: By) -> Figure:
    """Validation PSNR and loss of `runs` by name, against steps or minutes of training."""
    figure = Figure(figsize=(6.2, 4.6), layout="constrained")
    quality, loss = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    for index, (name, rows) in enumerate(runs.items()):
        colour = CYCLE[index % len(CYCLE)]
        # After as many runs as there are colours, the next line style.
        style = ("-", "--", ":")[index // len(CYCLE) % 3]
        x = [getattr(row, by) for row in rows]
        psnr = [math.nan if row.val_psnr is None else row.val_psnr for row in rows]
        best = max((row.val_psnr for row in rows if row.val_psnr is not None), default=None)
        worth = "not validated" if best is None else f"best {best:.3f} dB"
        # A legend leaves out what begins with an underscore.
        told = f"{' ' * name.startswith('_')}{plain(name)}, {worth}"
        quality.plot(x, psnr, color=colour, ls=style, label=told, marker=".", ms=3)
        loss.plot(x, [row.loss for row in rows], color=colour, ls=style, marker=".", ms=3)
    quality.set_ylabel("validation PSNR, dB")
    quality.legend(loc="best")
    loss.set_ylabel("mean loss")
    loss.set_xlabel("minutes of training" if by == "minutes" else "steps")
    caption(
        figure,
        "PSNR on each run's own validation pictures, on what its network sees, by the "
        "average of its weights. Loss: mean since the point before.",
    )
    return figure
