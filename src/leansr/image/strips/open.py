"""Where a picture's rows come from and go to."""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from leansr.errors import PictureError
from leansr.image import codecs
from leansr.image.arrays import Pixels
from leansr.image.codecs import deflate, vips
from leansr.image.codecs.fitting import fitted
from leansr.image.codecs.png import PngWriter
from leansr.image.codecs.tiff import TiffWriter
from leansr.image.picture import Picture
from leansr.image.strips.rows import Source
from leansr.image.strips.stub import stub_of

# Rows that libvips is asked for at once: of more it takes twice the memory.
_FETCHED = 64
# Formats that are written by rows.
_WRITTEN = ("PNG", "TIFF")

Write = Callable[[Pixels], None]


class VipsSource:
    """A file that libvips reads from the top."""

    def __init__(self, path: Path, image: Any, sample: Picture) -> None:
        self.height, self.width, self.sample = image.height, image.width, sample
        self._path, self._row = path, 0
        # A crop would do, but at the end of each libvips forgets the rows that the next begins in.
        self._region = vips.library().Region.new(image)

    def read(self, count: int) -> Pixels:
        """The next rows `(count, W, C)`; PictureError if they cannot be decoded."""
        like = self.sample.pixels
        rows: Pixels = np.empty((count, self.width, like.shape[2]), like.dtype)
        try:
            for top in range(0, count, _FETCHED):
                part = rows[top : top + _FETCHED]
                content = self._region.fetch(0, self._row + top, self.width, len(part))
                part[:] = np.frombuffer(content, like.dtype).reshape(part.shape)
        except vips.library().Error as cause:
            reason = str(getattr(cause, "detail", cause)).strip().splitlines()
            said = reason[-1] if reason else "damaged"
            raise PictureError(f"{self._path}: cannot be decoded ({said})") from cause
        self._row += count
        return rows


def reading(path: Path) -> Source | None:
    """The rows of the picture in `path`, or None if it has to be read whole.

    That is where it is no PNG or TIFF of one picture, where pixels further down come first
    (interlaced, turned by its EXIF), and where the codecs make more of the pixels than libvips.
    """
    try:
        pyvips = vips.library()
        stub = stub_of(path)
        if stub is None:
            return None
        sample = codecs.decode(stub, str(path))
    except (PictureError, OSError, ValueError, struct.error):
        return None  # what reads it whole says what is wrong
    try:
        pixels = vips.pixels_of(pyvips.Image.new_from_buffer(stub, "", fail_on="error"))
        image = pyvips.Image.new_from_file(str(path), access="sequential", fail_on="error")
    except pyvips.Error:
        return None
    is_same = pixels.dtype == sample.pixels.dtype and np.array_equal(pixels, sample.pixels)
    # Floats are brought to [0, 1] by the least and the largest of all.
    return VipsSource(path, image, sample) if is_same and pixels.dtype.kind == "u" else None


def can_write(path: Path) -> bool:
    """Whether pictures of that suffix are written by rows."""
    return codecs.format_of(path).name in _WRITTEN


@contextmanager
def writing(
    path: Path,
    sample: Picture,
    height: int,
    width: int,
    compression: int | None = None,
    around: codecs.Around = nullcontext,
) -> Iterator[Write]:
    """Writes a picture by rows, with all that `sample` has but its pixels; whole or not at all.

    `compression` and `around` are those of `codecs.write`. Gives what takes the next
    rows `(., W, C)`. PictureError if that cannot be.
    """
    format = codecs.format_of(path)
    held, _ = fitted(sample, format)
    level = deflate.DEFAULT_LEVEL if compression is None else compression
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with codecs.beside(path, around) as part, open(part, "wb") as file:
            if format.name == "PNG":
                png = PngWriter(file, held, height, width, level)
                write, finish = png.write, png.close
            else:
                nbytes = height * width * held.pixels.shape[2] * held.pixels.dtype.itemsize
                tiff = TiffWriter(file, nbytes, level)
                tiff.page(held, height, width)
                write, finish = tiff.write, tiff.close_page
            yield lambda rows: write(fitted(sample.with_pixels(rows), format)[0].pixels)
            finish()
    except OSError as cause:
        raise PictureError(f"{path}: cannot be written ({cause})") from cause
