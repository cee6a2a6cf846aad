"""What tiles change in the results of networks that look at the whole picture.

python benchmarks/global_tiles.py WEIGHTS.onnx... --data DIR [--tiles 128 256] [--pictures 4]

Each picture of DIR is the original: its LR, by MATLAB's bicubic, goes through the network whole and
in tiles. Printed are how far the two are apart, in levels of 8 bits before rounding, and what the
tiles change of the luma PSNR.
"""

import argparse
from fractions import Fraction
from pathlib import Path

import click
import numpy as np

from leansr import Upscaler
from leansr.image import codecs
from leansr.image.quality import planes, psnr
from leansr.image.resize import resize
from leansr.runtime.onnx_session import OnnxSession


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("weights", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tiles", nargs="+", type=int, default=[128, 256])
    parser.add_argument("--pictures", type=int, default=4)
    arguments = parser.parse_args()
    files = sorted(arguments.data.glob("*.png"))[: arguments.pictures]
    click.echo("| network | tile | rms, levels | largest | luma PSNR, dB |")
    click.echo("| --- | --- | --- | --- | --- |")
    for weights in arguments.weights:
        session = OnnxSession(weights, 1)
        made = {
            tile: Upscaler(session.variant, session.scale, tile=tile, weights=weights)
            for tile in ("off", *arguments.tiles)
        }
        rows = {tile: [] for tile in arguments.tiles}
        for file in files:
            hr = codecs.read(file).pixels[..., :3]
            height, width = (side - side % session.scale for side in hr.shape[:2])
            hr = hr[:height, :width]
            lr = resize(hr, Fraction(1, session.scale)).astype(np.float32) / 255
            whole = made["off"](lr)
            for tile, found in rows.items():
                tiled = made[tile](lr)
                found.append(compared(tiled, whole, hr, session.scale))
        for tile, found in rows.items():
            squares, largest, change = zip(*found, strict=True)
            cells = (
                f"{session.variant} x{session.scale}",
                str(tile),
                f"{np.sqrt(np.mean(squares)):.3f}",
                f"{max(largest):.1f}",
                f"{np.mean(change):+.4f}",
            )
            click.echo(f"| {' | '.join(cells)} |")


def compared(tiled: np.ndarray, whole: np.ndarray, hr: np.ndarray, border: int) -> tuple:
    """Mean square and largest difference in levels, and the change of luma PSNR in dB."""
    difference = (tiled - whole) * 255
    target = planes(hr, "y", border)
    rounded = (np.round(picture * 255).astype(np.uint8) for picture in (tiled, whole))
    ours, theirs = (psnr(planes(picture, "y", border), target) for picture in rounded)
    return float(np.mean(difference**2)), float(np.abs(difference).max()), ours - theirs


if __name__ == "__main__":
    main()
