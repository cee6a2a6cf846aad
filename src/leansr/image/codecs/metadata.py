"""EXIF and XMP of a picture that is turned upright and made larger."""

import re
from dataclasses import replace

import numpy as np

from leansr.image.arrays import Pixels
from leansr.image.codecs import tags
from leansr.image.codecs.tags import Directory, Tree

EXIF_PREFIX = b"Exif\0\0"
ORIENTATION = 0x0112
_IMAGE_WIDTH, _IMAGE_LENGTH = 0x0100, 0x0101
_PIXELS_ACROSS, _PIXELS_DOWN = 0xA002, 0xA003
_ACROSS, _DOWN, _UNIT = 282, 283, 296
_INCH, _CENTIMETRE = 2, 3

DAMAGED = "its EXIF is damaged and left out"

_XMP_ORIENTATION = re.compile(rb'(tiff:Orientation\s*(?:=\s*["\']|>)\s*)(\d)')


def upright_exif(exif: bytes | None) -> tuple[bytes | None, int | None]:
    """EXIF without its orientation and thumbnail, and the orientation, 1 to 8.

    None if nothing is left, and if it says no orientation. Raises ValueError if it is damaged.
    """
    if not exif:
        return None, None
    tree = tags.parse(exif.removeprefix(EXIF_PREFIX))
    if not tree.directories or not tree.directories[0]:
        raise ValueError(DAMAGED)
    directory = tree.directories[0]
    turn = told(directory)
    kept = tags.without(directory, [ORIENTATION])
    if not kept:
        return None, turn
    return EXIF_PREFIX + tags.with_header(Tree([kept], tree.order)), turn


def orientation(exif: bytes | None) -> int:
    """What EXIF says, 1 to 8; 1 if it is damaged."""
    try:
        return upright_exif(exif)[1] or 1
    except ValueError:
        return 1


def upright_xmp(xmp: bytes | None) -> tuple[bytes | None, int]:
    """XMP whose orientation is 1, and the orientation it had."""
    if not xmp:
        return None, 1
    found = _XMP_ORIENTATION.search(xmp)
    return _XMP_ORIENTATION.sub(rb"\g<1>1", xmp), valid(float(found[2]) if found else None)


def sized_exif(exif: bytes | None, height: int, width: int) -> bytes | None:
    """EXIF whose numbers of pixels, where it has them, are those of the picture."""
    if exif is None:
        return None
    try:
        tree = tags.parse(exif.removeprefix(EXIF_PREFIX))
        directory = _sized(tree.directories[0], _IMAGE_LENGTH, _IMAGE_WIDTH, height, width)
    except (ValueError, IndexError):
        # Not ours to mend: a caller's own bytes, which the format may refuse.
        return exif
    inner = directory.get(tags.EXIF)
    if inner is not None and inner.below is not None:
        below = _sized(inner.below, _PIXELS_DOWN, _PIXELS_ACROSS, height, width)
        directory[tags.EXIF] = replace(inner, below=below)
    return EXIF_PREFIX + tags.with_header(Tree([directory], tree.order))


def with_dpi(exif: bytes | None, dpi: tuple[float, float] | None) -> bytes | None:
    """EXIF that says the resolution, for formats that have no other place for it."""
    if dpi is None:
        return exif
    tree = Tree([{}])
    if exif is not None:
        try:
            tree = tags.parse(exif.removeprefix(EXIF_PREFIX))
        except ValueError:
            return exif
    directory = tree.directories[0] | {
        _ACROSS: tags.rational(dpi[0]),
        _DOWN: tags.rational(dpi[1]),
        _UNIT: tags.numbers(tags.SHORT, _INCH),
    }
    return EXIF_PREFIX + tags.with_header(Tree([directory], tree.order))


def dpi_of(directory: Directory) -> tuple[float, float] | None:
    """Dots per inch, across and down, None if it does not say."""
    across, down = (tags.first(directory, name) for name in (_ACROSS, _DOWN))
    unit = tags.first(directory, _UNIT) or _INCH
    per_inch = {float(_INCH): 1.0, float(_CENTIMETRE): 2.54}.get(unit)
    if not across or not down or per_inch is None:
        return None
    return valid_dpi(across * per_inch, down * per_inch)


def valid_dpi(across: float, down: float) -> tuple[float, float] | None:
    """Dots per inch, None if they make no sense."""
    # A dot of the limit is 25 nanometres: none of our formats can hold much more.
    return (across, down) if 0 < across <= 1e6 and 0 < down <= 1e6 else None


def exif_dpi(exif: bytes | None) -> tuple[float, float] | None:
    """What sound EXIF says of the resolution."""
    if exif is None:
        return None
    return dpi_of(tags.parse(exif.removeprefix(EXIF_PREFIX)).directories[0])


def sized_xmp(xmp: bytes | None, height: int, width: int) -> bytes | None:
    """XMP whose numbers of pixels, where it has them, are those of the picture."""
    for names, value in (
        (rb"tiff:ImageWidth|exif:PixelXDimension", width),
        (rb"tiff:ImageLength|exif:PixelYDimension", height),
    ):
        if xmp is not None:
            pattern = rb"((?:" + names + rb")\s*(?:=\s*[\"']|>)\s*)\d+"
            xmp = re.sub(pattern, rb"\g<1>" + str(value).encode(), xmp)
    return xmp


def turned(pixels: Pixels, orientation: int) -> Pixels:
    """Pixels `(H, W, C)` upright, by their EXIF orientation, 1 to 8 (EXIF 2.32, 4.6.4 A)."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    down = orientation in (3, 4, 7, 8)
    across = orientation in (2, 3, 6, 7)
    return np.ascontiguousarray(pixels[:: -1 if down else 1, :: -1 if across else 1])


def _sized(directory: Directory, down: int, across: int, height: int, width: int) -> Directory:
    sizes = {down: height, across: width}
    return directory | {
        name: tags.numbers(tags.LONG, size) for name, size in sizes.items() if name in directory
    }


def told(directory: Directory) -> int | None:
    """The orientation that a directory tells, None if it tells none."""
    return valid(tags.first(directory, ORIENTATION)) if ORIENTATION in directory else None


def valid(orientation: float | None) -> int:
    """An orientation as it is told, 1 to 8; 1 for any other."""
    return int(orientation) if orientation and orientation in range(1, 9) else 1
