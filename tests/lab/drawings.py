"""What tests read from figures that were written."""

from xml.etree import ElementTree

import numpy as np
from PIL import Image


def drawn(path):
    """The picture in a PNG; a figure that shows something is not of one colour."""
    picture = np.asarray(Image.open(path).convert("RGB"))
    assert picture.std() > 5
    return picture


def words_of(svg):
    """All that is written in an SVG, its lines joined."""
    return " ".join(" ".join(ElementTree.parse(svg).getroot().itertext()).split())
