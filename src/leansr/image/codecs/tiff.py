"""TIFF written some rows at a time, several pages too, and what its tags say (TIFF 6.0)."""

import struct
from typing import BinaryIO

import numpy as np

from leansr.image.arrays import Pixels
from leansr.image.codecs import deflate, metadata, tags
from leansr.image.codecs.tags import LONG, LONG8, SHORT, UNDEFINED, Directory, Tag, Tree
from leansr.image.picture import Picture

WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
STRIP_OFFSETS, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES = 273, 277, 278, 279
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 282, 283, 296
PREDICTOR, EXTRA_SAMPLES, SAMPLE_FORMAT, XMP, ICC = 317, 338, 339, 700, 34675
# What EXIF shares with TIFF and does not depend on how the pixels lie: description, camera,
# program, date, artist, rating, copyright, the names that Windows gives.
DESCRIPTIVE = {270, 271, 272, 305, 306, 315, 316, 18246, 33432, *range(40091, 40096)}
DESCRIPTIVE |= {tags.EXIF, tags.GPS}
# How the pixels lie, or said otherwise in a Picture: nothing is lost with these.
_STRUCTURAL = {254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 269, 273, 274, 277, 278, 279}
_STRUCTURAL |= {280, 281, 282, 283, 284, 285, 296, 297, 301, 317, 318, 319, 320, 322, 323, 324, 325}
_STRUCTURAL |= {332, 333, 334, 336, 338, 339, 340, 341, 347, 512, 513, 514, 529, 530, 531, 532, XMP}
_STRUCTURAL |= {ICC, 34675}

_DEFLATE, _HORIZONTAL = 8, 2
_STRIP = 1 << 18
# A file of 32-bit offsets holds 4 GiB; deflate may add a little to what it cannot pack.
_LARGEST_CLASSIC = 4_000_000_000


class TiffWriter:
    """A TIFF of pages, each begun with `page` and written from the top.

    `nbytes` is the size of all pixels together, by which BigTIFF is chosen or not.
    """

    def __init__(self, file: BinaryIO, nbytes: int, level: int = deflate.DEFAULT_LEVEL) -> None:
        self._file, self._level = file, level
        self._is_big = nbytes > _LARGEST_CLASSIC
        header = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0)
        self._file.write(header if self._is_big else struct.pack("<2sHL", b"II", 42, 0))
        self._end = len(header) if self._is_big else 8
        # Where the place of the next directory is to be written.
        self._link = 8 if self._is_big else 4

    def page(self, sample: Picture, height: int, width: int) -> None:
        """Begins a page of the mode, dtype and metadata of `sample`."""
        self._sample, self._height, self._width = sample, height, width
        row = width * sample.pixels.shape[2] * sample.pixels.dtype.itemsize
        self._rows = max(1, min(height, _STRIP // row))
        self._pending = np.empty((0, width, sample.pixels.shape[2]), sample.pixels.dtype)
        self._strips: list[tuple[int, int]] = []

    def write(self, rows: Pixels) -> None:
        """The next rows `(., W, C)` of the page."""
        rows = np.concatenate([self._pending, rows])
        whole = len(rows) // self._rows * self._rows
        for top in range(0, whole, self._rows):
            self._strip(rows[top : top + self._rows])
        self._pending = rows[whole:].copy()

    def close_page(self) -> None:
        """Writes what is left of the page, and its directory."""
        if len(self._pending):
            self._strip(self._pending)
        self._append(b"\0" * (self._end % 2))
        place = self._end
        directory = tags.serialise(self._directory(), place, is_big=self._is_big)
        # The place of the next directory stands behind the entries of this one.
        size, head, entry = (8, 8, 20) if self._is_big else (4, 2, 12)
        self._append(directory)
        self._file.seek(self._link)
        self._file.write(place.to_bytes(size, "little"))
        self._file.seek(self._end)
        count = int.from_bytes(directory[:head], "little")
        self._link = place + head + count * entry

    def _append(self, data: bytes) -> None:
        self._file.write(data)
        self._end += len(data)

    def _strip(self, rows: Pixels) -> None:
        if rows.dtype.kind == "u":
            # Differences wrap, as the predictor has it (section 14).
            differences = rows.copy()
            np.subtract(rows[:, 1:], rows[:, :-1], out=differences[:, 1:])
            rows = differences
        little = np.ascontiguousarray(rows, rows.dtype.newbyteorder("<"))
        packed = deflate.compress(little.tobytes(), self._level)
        self._strips.append((self._end, len(packed)))
        self._append(packed)

    def _directory(self) -> Directory:
        sample, dtype = self._sample, self._sample.pixels.dtype
        channels = sample.pixels.shape[2]
        position = LONG8 if self._is_big else LONG
        found = {
            WIDTH: tags.numbers(LONG, self._width),
            LENGTH: tags.numbers(LONG, self._height),
            BITS: tags.numbers(SHORT, *[8 * dtype.itemsize] * channels),
            COMPRESSION: tags.numbers(SHORT, _DEFLATE),
            PHOTOMETRIC: tags.numbers(SHORT, 2 if channels > 2 else 1),
            STRIP_OFFSETS: tags.numbers(position, *(place for place, _ in self._strips)),
            SAMPLES: tags.numbers(SHORT, channels),
            ROWS_PER_STRIP: tags.numbers(LONG, self._rows),
            STRIP_BYTES: tags.numbers(position, *(size for _, size in self._strips)),
            SAMPLE_FORMAT: tags.numbers(SHORT, *[3 if dtype.kind == "f" else 1] * channels),
            **_descriptive(sample, self._height, self._width),
        }
        if dtype.kind == "u":
            found[PREDICTOR] = tags.numbers(SHORT, _HORIZONTAL)
        if sample.has_alpha:
            # Not multiplied into the colour (section 18).
            found[EXTRA_SAMPLES] = tags.numbers(SHORT, 2)
        return found


def said(tree: Tree, page: int) -> tuple[Directory, list[int]]:
    """What the tags of a page say of the picture but its pixels, and those that are left out."""
    directory = tree.directories[page]
    exif = {name: tag for name, tag in directory.items() if name in DESCRIPTIVE}
    return exif, sorted(set(directory) - DESCRIPTIVE - _STRUCTURAL)


def _descriptive(sample: Picture, height: int, width: int) -> Directory:
    found: Directory = {}
    exif = metadata.sized_exif(sample.exif, height, width)
    if exif:
        directory = tags.parse(exif.removeprefix(metadata.EXIF_PREFIX)).directories[0]
        found |= {name: tag for name, tag in directory.items() if name in DESCRIPTIVE}
    if sample.dpi:
        found |= {
            X_RESOLUTION: tags.rational(sample.dpi[0]),
            Y_RESOLUTION: tags.rational(sample.dpi[1]),
            RESOLUTION_UNIT: tags.numbers(SHORT, 2),
        }
    xmp = metadata.sized_xmp(sample.xmp, height, width)
    if xmp:
        found[XMP] = Tag(1, xmp)
    if sample.icc_profile:
        found[ICC] = Tag(UNDEFINED, sample.icc_profile)
    return found
