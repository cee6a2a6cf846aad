"""Upscales a photo of the repository twice: for the eye, and against bicubic for the figure."""

import time
from fractions import Fraction
from pathlib import Path

import click

import leansr
from leansr.image import codecs
from leansr.image.quality import compare
from leansr.image.resize import resize

PHOTO = Path(__file__).with_name("flowers.png")
SCALE = 2


def main() -> None:
    began = time.perf_counter()
    target = leansr.upscale(PHOTO, PHOTO.with_stem(f"flowers_x{SCALE}"), overwrite=True)
    seconds = time.perf_counter() - began
    height, width = codecs.read(target).pixels.shape[:2]
    click.echo(f"{PHOTO.name} is now {width} x {height}, in {seconds:.2f} s: {target}")

    original = codecs.read(PHOTO).pixels
    small = resize(original, Fraction(1, SCALE))
    ours = compare(leansr.Upscaler(scale=SCALE)(small), original, border=SCALE)
    bicubic = compare(resize(small, SCALE), original, border=SCALE)
    gain = ours["psnr_y"] - bicubic["psnr_y"]
    click.echo(
        f"scaled down and back up, it is {gain:.2f} dB nearer to the original than bicubic "
        f"({ours['psnr_y']:.2f} against {bicubic['psnr_y']:.2f} dB, luma, border of {SCALE} cut)"
    )


if __name__ == "__main__":
    main()
