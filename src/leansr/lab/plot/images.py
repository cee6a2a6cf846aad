"""Pictures and maps in rows, each with its title."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from torch import Tensor

from leansr.image.arrays import Floats, Pixels
from leansr.lab.plot.style import MAP, caption

# Of one picture in inches, at most.
_WIDTH, _WHOLE = 1.5, 9.0


@dataclass(frozen=True)
class Image:
    """A picture `(H, W, 3)`, or a map `(H, W)` that is drawn from its least to its most."""

    title: str
    pixels: Pixels

    @property
    def told(self) -> str:
        """The title, and of a map what its colours span."""
        if self.pixels.ndim == 3:
            return self.title
        return f"{self.title}\n{self.pixels.min():.2f} to {self.pixels.max():.2f}"


def mean_map(feature: Tensor) -> Floats:
    """`(H, W)` of a feature `(C, H, W)`: its mean over channels."""
    values: Floats = feature.mean(dim=0).numpy()
    return values


def draw_images(rows: Sequence[tuple[str, Sequence[Image]]], text: str) -> Figure:
    """A figure of rows, each of a name and its pictures, with the caption `text`."""
    columns = max(len(images) for _, images in rows)
    height, width = rows[0][1][0].pixels.shape[:2]
    across = min(_WIDTH, _WHOLE / columns)
    size = columns * across + 0.3, len(rows) * (across * height / width + 0.36) + 0.3
    figure = Figure(figsize=size, layout="compressed")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for (name, images), places in zip(rows, grid, strict=True):
        for image, axes in zip(images, places, strict=False):
            axes.imshow(image.pixels, cmap=MAP, interpolation="nearest")
            axes.set_title(image.told, fontsize=7)
        # In the place of a y label, which goes when the axes are off.
        places[0].annotate(
            name,
            (0, 0.5),
            xytext=(-4, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            rotation=90,
            ha="right",
            va="center",
            fontsize=8,
        )
    caption(figure, text)
    return figure
