"""Sizes that no network has: chains of networks, and resizes of what one gives, side by side.

python benchmarks/sizes.py DIR [--models sesr-m5 ...] [--pictures N] [--threads N] [--json]
"""

import argparse
import json
import statistics
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

from leansr.errors import LeanSRError
from leansr.image import codecs
from leansr.image.arrays import Pixels
from leansr.image.quality import planes, psnr
from leansr.image.resize import resize
from leansr.runtime.benchmarks import open_folder
from leansr.runtime.size import fitted
from leansr.runtime.upscaler import Upscaler
from leansr.zoo.release import releases

# What is asked for, and the ways to it: networks by their scales, then how the last is resized.
WAYS: dict[int, list[tuple[tuple[int, ...], str]]] = {
    3: [((4,), "encoded"), ((4,), "light"), ((4,), "lanczos"), ((2,), "encoded"), ((), "bicubic")],
    4: [((4,), ""), ((2, 2), ""), ((), "bicubic")],
    8: [((4, 2), ""), ((2, 4), ""), ((2, 2, 2), ""), ((), "bicubic")],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", nargs="+")
    parser.add_argument("--pictures", type=int, help="Only the first.")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    known = sorted({name for name, _ in releases()})
    both = [name for name in known if {(name, 2), (name, 4)} <= releases().keys()]
    try:
        pairs = open_folder(arguments.folder, 4).pairs[: arguments.pictures]
        originals = [codecs.read(pair.hr).pixels for pair in pairs]
        rows = [
            row
            for model in arguments.models or both
            for row in measure(originals, model, arguments.threads)
        ]
    except LeanSRError as error:
        parser.error(str(error))
    if arguments.json:
        protocol = "BT.601 luma of the 8-bit picture, border of the scale cut; LR by MATLAB bicubic"
        value = {"schema": 1, "protocol": protocol, "pictures": len(originals), "rows": rows}
        click.echo(json.dumps(value, indent=1))
        return
    for row in rows:
        steps = " then ".join(f"x{step}" for step in row["steps"])
        way = ", ".join(filter(None, [steps, row["resize"]]))
        click.echo(f"x{row['scale']}  {row['model']:10} {way:22} {row['psnr_y']:.3f} dB")


def measure(originals: list[Pixels], model: str, threads: int) -> list[dict[str, Any]]:
    """A row for each scale and way: the mean luma PSNR in dB."""
    upscalers: dict[int, Callable[[Pixels], Pixels]] = {
        scale: Upscaler(model, scale, backend="onnxruntime", threads=threads) for scale in (2, 4)
    }
    rows = []
    for scale, ways in WAYS.items():
        pairs = [_pair(hr, scale) for hr in originals]
        for steps, last in ways:
            values = []
            for lr, hr in pairs:
                sr = lr
                for step in steps:
                    sr = upscalers[step](sr)
                sr = _resized(sr, *hr.shape[:2], last)
                values.append(psnr(planes(sr, "y", scale), planes(hr, "y", scale)))
            figures = {"psnr_y": statistics.mean(values)}
            rows.append({"model": model, "scale": scale, "steps": steps, "resize": last} | figures)
    return rows


def _pair(hr: Pixels, scale: int) -> tuple[Pixels, Pixels]:
    height, width = (side - side % scale for side in hr.shape[:2])
    hr = hr[:height, :width]
    return resize(hr, Fraction(1, scale)), hr


def _resized(pixels: Pixels, height: int, width: int, way: str) -> Pixels:
    if way == "lanczos":
        image = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
        return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))
    if way == "bicubic":
        return resize(pixels, Fraction(height, pixels.shape[0]))
    return fitted(pixels, height, width, has_alpha=False, linear=way == "light")


if __name__ == "__main__":
    main()
