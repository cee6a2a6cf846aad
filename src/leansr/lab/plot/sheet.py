"""One patch of a picture by several methods, side by side with what they are worth there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from leansr.image.arrays import Pixels
from leansr.image.quality import compare
from leansr.image.resize import resize
from leansr.lab.plot.pictures import Patch, hr_and_lr
from leansr.lab.plot.style import GREY, VERMILLION, plain, styled
from leansr.runtime.evaluate import Upscale

# In inches: the whole figure's width, a patch's largest height, gaps, two lines of text.
_WIDTH, _HIGHEST, _GAP, _TEXT = 7.2, 2.2, 0.08, 0.36


@dataclass(frozen=True)
class Panel:
    """The patch `(H, W, 3)` by one method, in 8 bits, and its luma PSNR in dB and SSIM."""

    name: str
    pixels: Pixels
    psnr: float
    ssim: float


def panels(
    hr: Pixels, patch: Patch, methods: Mapping[str, Upscale], scale: int
) -> tuple[Pixels, list[Panel]]:
    """The HR picture cut to a multiple of `scale`, and the patch by bicubic and each method.

    All of them see the LR that MATLAB's bicubic makes of `hr`, uint8 `(H, W, 3)`, whole.
    """
    hr, lr = hr_and_lr(hr, scale)
    original = patch.of(hr)
    found = []
    for name, upscale in ({"bicubic": lambda lr: resize(lr, scale)} | dict(methods)).items():
        pixels = patch.of(upscale(lr))
        quality = compare(pixels, original, border=0)
        found.append(Panel(name, pixels, quality["psnr_y"], quality["ssim_y"]))
    return hr, found


@styled
def draw_sheet(hr: Pixels, patch: Patch, found: Sequence[Panel], scale: int) -> Figure:
    """`hr` with the patch marked, and beside it the patch itself and by every method."""
    rows = 1 if len(found) < 3 else 2
    columns = ceil((len(found) + 1) / rows)
    shape = patch.width / patch.height
    picture_shape = hr.shape[1] / hr.shape[0]
    # The picture is as high as the rows of patches with the text between them.
    fixed = (columns + 2) * _GAP + (rows - 1) * _TEXT * picture_shape
    side = min(_HIGHEST, (_WIDTH - fixed) / (columns * shape + rows * picture_shape))
    left = (rows * side + (rows - 1) * _TEXT) * picture_shape + 2 * _GAP
    width = left + columns * (side * shape + _GAP)
    height = rows * (side + _TEXT) + _GAP + 0.18
    figure = Figure(figsize=(width, height))

    def add(x: float, top: float, size: tuple[float, float]) -> Axes:
        """Axes at `x` and `top` inches from the upper left corner, of a width and height."""
        box = x / width, 1 - (top + size[1]) / height, size[0] / width, size[1] / height
        return figure.add_axes(box, xticks=[], yticks=[])

    axes = add(_GAP, _GAP, (left - 2 * _GAP, rows * side + (rows - 1) * _TEXT))
    axes.imshow(hr, aspect="auto")
    corner = patch.left - 0.5, patch.top - 0.5
    axes.add_patch(
        Rectangle(corner, patch.width, patch.height, fill=False, color=VERMILLION, lw=1.5)
    )
    _tell(axes, f"HR, {hr.shape[1]} x {hr.shape[0]}", f"x{scale}")
    best = max(panel.psnr for panel in found)
    cells = [("HR", patch.of(hr), "PSNR / SSIM", False)]
    for panel in found:
        told = f"{panel.psnr:.2f} / {panel.ssim:.4f}"
        cells.append((plain(panel.name), panel.pixels, told, panel.psnr == best))
    for index, (name, pixels, told, is_best) in enumerate(cells):
        row, column = divmod(index, columns)
        x = left + column * (side * shape + _GAP)
        axes = add(x, _GAP + row * (side + _TEXT), (side * shape, side))
        axes.imshow(pixels, aspect="auto", interpolation="nearest")
        _tell(axes, name, told, is_best)
    figure.text(
        _GAP / width,
        0.05 / height,
        "PSNR in dB and SSIM of the 8-bit patch, luma of BT.601, no border cut; bold: the best "
        "PSNR. LR by MATLAB's bicubic.",
        fontsize=6,
        color=GREY,
    )
    return figure


def _tell(axes: Axes, name: str, figures: str, is_bold: bool = False) -> None:
    """Two lines below a picture."""
    weight = "bold" if is_bold else "normal"
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    for text, down in ((name, -3), (figures, -12)):
        axes.annotate(
            text,
            (0.5, 0),
            xytext=(0, down),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=7,
            fontweight=weight,
        )
