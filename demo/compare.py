"""Writes the README's picture: a crop of the photo, bicubic beside ours beside the original."""

from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from leansr import Upscaler
from leansr.image import codecs
from leansr.image.resize import resize

PHOTO = Path(__file__).with_name("flowers.png")
TARGET = Path(__file__).parents[1] / "docs" / "pictures" / "flowers_bicubic_ours_original.png"
SCALE = 2
# A flower with fine petals, in pixels of the original; shown three times as large.
TOP, LEFT, SIDE, ZOOM, GAP = 250, 195, 100, 3, 6


def main() -> None:
    original = codecs.read(PHOTO).pixels
    small = resize(original, Fraction(1, SCALE))
    pictures = (resize(small, SCALE), Upscaler(scale=SCALE)(small), original)
    gap = np.full((SIDE * ZOOM, GAP, 3), 255, np.uint8)
    parts = []
    for picture in pictures:
        crop = picture[TOP : TOP + SIDE, LEFT : LEFT + SIDE]
        parts += [crop.repeat(ZOOM, axis=0).repeat(ZOOM, axis=1), gap]
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.hstack(parts[:-1])).save(TARGET)


if __name__ == "__main__":
    main()
