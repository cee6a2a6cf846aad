"""What LR by other resizers than MATLAB's is off by, and what it does to PSNR.

python benchmarks/resizers.py --data-root DIR [--benchmark Set5] [--scale 4]
"""

import argparse
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import click
import numpy as np
from PIL import Image

from leansr.image.arrays import Pixels
from leansr.image.resize import resize
from leansr.runtime.benchmarks import find
from leansr.runtime.check import check
from leansr.runtime.evaluate import read_pair


def by_pillow(hr: Pixels, scale: int) -> Pixels:
    """Pillow's bicubic: MATLAB's kernel, with other borders and integer weights."""
    height, width = (side // scale for side in hr.shape[:2])
    return np.asarray(Image.fromarray(hr).resize((width, height), Image.Resampling.BICUBIC))


def by_opencv(hr: Pixels, scale: int) -> Pixels:
    """Keys' kernel with a = -0.75 on four pixels, not widened: what OpenCV's INTER_CUBIC does."""
    values = hr.astype(float)
    for axis in (0, 1):
        centres = (np.arange(values.shape[axis] // scale) + 0.5) * scale - 0.5
        first = np.floor(centres).astype(int)
        total = np.zeros_like(np.take(values, first, axis))
        for tap in range(-1, 3):
            x = np.abs(centres - first - tap)
            near = 1.25 * x**3 - 2.25 * x**2 + 1
            far = -0.75 * (x**3 - 5 * x**2 + 8 * x - 4)
            weights = np.where(x <= 1, near, np.where(x < 2, far, 0))
            taken = np.take(values, np.clip(first + tap, 0, values.shape[axis] - 1), axis)
            total += taken * weights.reshape([-1, *[1] * (values.ndim - 1 - axis)])
        values = total
    return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)


def by_matlab(hr: Pixels, scale: int) -> Pixels:
    """Ours."""
    return resize(hr, Fraction(1, scale))


def cut_not_rounded(hr: Pixels, scale: int) -> Pixels:
    """A port of MATLAB's bicubic that forgets to round."""
    return (np.clip(resize(hr / 255, Fraction(1, scale)), 0, 1) * 255).astype(np.uint8)


RESIZERS: dict[str, Callable[[Pixels, int], Pixels]] = {
    "Pillow's bicubic": by_pillow,
    "MATLAB's, cut instead of rounded": cut_not_rounded,
    "as OpenCV's cubic, not widened": by_opencv,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--benchmark", default="Set5")
    parser.add_argument("--scale", type=int, default=4)
    arguments = parser.parse_args()
    name, scale = arguments.benchmark, arguments.scale
    _tell("the LR as given", arguments.data_root, name, scale)
    pairs = find(arguments.data_root, name, scale).pairs
    for label, resizer in RESIZERS.items():
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for kind in ("HR", "LR"):
                (root / name / kind).mkdir(parents=True)
            for pair in pairs:
                hr, _ = read_pair(pair, scale)
                hr = hr if hr.shape[2] == 3 else np.repeat(hr, 3, axis=2)
                Image.fromarray(hr).save(root / name / "HR" / f"{pair.name}.png")
                lr = resizer(hr, scale)
                Image.fromarray(lr).save(root / name / "LR" / f"{pair.name}.png")
            _tell(label, root, name, scale)


def _tell(label: str, root: Path, name: str, scale: int) -> None:
    found = check(root, name, scale).agreement
    if found is None:
        click.echo(f"| {label} | there is none |")
        return
    shifts = ", ".join(f"{who} {shift.change:+.3f} dB" for who, shift in found.psnr_y.items())
    click.echo(f"| {label} | {found.largest} | {found.mean:.5f} | {found.equal:.3%} | {shifts} |")


if __name__ == "__main__":
    main()
