"""PNG written some rows at a time, animations too, and the chunks that Pillow leaves out.

Sections are those of the PNG specification, third edition.
"""

import struct
import zlib
from collections.abc import Iterator
from fractions import Fraction
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from leansr.image.arrays import Pixels
from leansr.image.codecs import deflate, metadata
from leansr.image.codecs.tags import Content
from leansr.image.picture import Picture

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# What chunks say of colour, in place of a profile (11.3.2); kept as they are.
COLOUR_CHUNKS = (b"cICP", b"mDCV", b"cLLI", b"sRGB", b"gAMA", b"cHRM")
XMP_KEYWORD = "XML:com.adobe.xmp"

_COLOUR_TYPE = {"L": 0, "LA": 4, "RGB": 2, "RGBA": 6}
_UP, _PAETH = 2, 4
_OF_THE_IMAGE = (b"IDAT", b"fdAT", b"fcTL")
# Rows are filtered and packed in blocks of about so many bytes, which stay in the cache.
_BLOCK = 1 << 20

_LARGEST_PROFILE = 1 << 24

Bytes = npt.NDArray[np.uint8]


class PngWriter:
    """A PNG of the mode, dtype and metadata of `sample`, written to `file` from the top.

    `level` is that of the compression, 0 to 9: up to 3 fast, above tighter.
    """

    def __init__(
        self,
        file: BinaryIO,
        sample: Picture,
        height: int,
        width: int,
        level: int = deflate.DEFAULT_LEVEL,
    ) -> None:
        self._file, self._level = file, level
        file.write(SIGNATURE)
        bits = 8 * sample.pixels.dtype.itemsize
        header = struct.pack(">LLBBBBB", width, height, bits, _COLOUR_TYPE[sample.mode], 0, 0, 0)
        self._chunk(b"IHDR", header)
        for name, data in _ancillary(sample, height, width):
            self._chunk(name, data)
        self._image = _Image(level)

    def write(self, rows: Pixels) -> None:
        """The next rows `(., W, C)`."""
        for packed in self._image.packed(rows):
            self._chunk(b"IDAT", packed)

    def close(self) -> None:
        """What is left to write; the file stays open."""
        self._chunk(b"IDAT", self._image.rest())
        self._chunk(b"IEND", b"")

    def animate(self, picture: Picture) -> None:
        """All frames, and the end, in place of `write` and `close`.

        Of each frame what changed since the one before is written.
        """
        frames = list(picture.frames)
        self._chunk(b"acTL", struct.pack(">LL", len(frames), picture.loops))
        sequence = 0
        before: Pixels | None = None
        for frame in frames:
            down, across = _changed(before, frame.pixels)
            part, before = frame.pixels[down, across], frame.pixels
            control = (sequence, part.shape[1], part.shape[0], across.start, down.start)
            timing = struct.pack(">HHBB", *_delay(frame.duration or 0), 0, 0)
            self._chunk(b"fcTL", struct.pack(">LLLLL", *control) + timing)
            sequence += 1
            image = _Image(self._level)
            data = b"".join([*image.packed(part), image.rest()])
            if sequence == 1:
                self._chunk(b"IDAT", data)
            else:
                self._chunk(b"fdAT", struct.pack(">L", sequence) + data)
                sequence += 1
        self._chunk(b"IEND", b"")

    def _chunk(self, name: bytes, data: bytes) -> None:
        if len(data) > 2**31 - 1:
            raise ValueError(f"{name.decode()} of {len(data)} bytes is more than a PNG holds")
        self._file.write(_chunk(name, data))


def chunks(content: Content) -> Iterator[tuple[bytes, bytes]]:
    """Names and data of all chunks but those of the image; it may end at any place."""
    offset = len(SIGNATURE)
    while offset + 12 <= len(content):
        length, name = struct.unpack(">L4s", content[offset : offset + 8])
        if name not in _OF_THE_IMAGE:
            yield name, content[offset + 8 : offset + 8 + length]
        offset += 12 + length


def size(content: Content) -> tuple[int, int, int, int, int]:
    """Height, width, channels at most, bytes of a sample and frames; ValueError if damaged.

    An upright picture's: those that EXIF turns are turned.
    """
    name, header = next(chunks(content), (b"", b""))
    if name != b"IHDR" or len(header) < 13:
        raise ValueError("it does not begin with IHDR")
    width, height, bits, colour = struct.unpack(">LLBB", header[:10])
    channels = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}.get(colour, 4)
    frames, orientation = 1, 1
    for name, data in chunks(content):
        if name == b"tRNS":
            channels += channels % 2
        elif name == b"acTL" and len(data) >= 4:
            (frames,) = struct.unpack(">L", data[:4])
        elif name == b"eXIf":
            orientation = metadata.orientation(data)
    if orientation >= 5:
        height, width = width, height
    if frames > 1:
        # A frame may be clear where another is not.
        return height, width, 4, 1, frames
    return height, width, channels, 2 if bits == 16 else 1, 1


def without_pixels(content: bytes) -> bytes:
    """A PNG of one pixel with all else that is in another one."""
    header = struct.pack(">LLBBBBB", 1, 1, 8, 0, 0, 0, 0)
    # What only pixels of its own kind have the right form for is theirs.
    other = [c for c in chunks(content) if c[0] not in (b"IHDR", b"PLTE", b"tRNS", b"IEND")]
    every = [(b"IHDR", header), *other, (b"IDAT", zlib.compress(b"\0\0")), (b"IEND", b"")]
    return SIGNATURE + b"".join(_chunk(name, data) for name, data in every)


def without_profile(content: bytes) -> tuple[bytes, bytes | None]:
    """The file without its iCCP chunk, and the profile: Pillow takes none above 1 MiB.

    ValueError if it is larger than any profile is; None if there is none, or a damaged one.
    """
    offset = len(SIGNATURE)
    while offset + 12 <= len(content):
        length, name = struct.unpack_from(">L4s", content, offset)
        end = offset + 12 + length
        if name == b"IDAT":
            break
        if name == b"iCCP":
            # A name of it, a zero, the method, which is 0.
            packed = content[offset + 8 : end - 4].partition(b"\0")[2][1:]
            return content[:offset] + content[end:], _inflated(packed)
        offset = end
    return content, None


def _inflated(packed: bytes) -> bytes | None:
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(packed, _LARGEST_PROFILE)
    except zlib.error:
        return None
    if inflater.unconsumed_tail:
        raise ValueError("its colour profile is too large")
    return profile or None


class _Image:
    """The filtered and packed rows of one image."""

    def __init__(self, level: int) -> None:
        self._compressor = deflate.compressor(level)
        self._is_tight = level > deflate.FAST
        self._above: Bytes | None = None

    def packed(self, pixels: Pixels) -> Iterator[bytes]:
        height, width, channels = pixels.shape
        step = channels * pixels.dtype.itemsize
        count = max(1, _BLOCK // (width * step))
        for top in range(0, height, count):
            block = np.ascontiguousarray(pixels[top : top + count])
            if block.dtype.itemsize > 1:
                block = block.astype(">u2")
            rows: Bytes = block.view(np.uint8).reshape(len(block), width * step)
            above = np.concatenate([self._row_above(rows), rows[:-1]])
            self._above = rows[-1:].copy()
            filtered = np.empty((len(rows), 1 + width * step), np.uint8)
            filtered[:, 0] = _PAETH if self._is_tight else _UP
            foretold = _paeth(rows, above, step) if self._is_tight else above
            np.subtract(rows, foretold, out=filtered[:, 1:])
            packed = self._compressor.compress(filtered)
            if packed:
                yield packed

    def rest(self) -> bytes:
        return bytes(self._compressor.flush())

    def _row_above(self, rows: Bytes) -> Bytes:
        return np.zeros_like(rows[:1]) if self._above is None else self._above


def _chunk(name: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(data, zlib.crc32(name))
    return struct.pack(">L", len(data)) + name + data + struct.pack(">L", checksum)


def _paeth(rows: Bytes, above: Bytes, step: int) -> Bytes:
    """Of left, above and corner the one nearest to left + above - corner (9.4)."""
    left, corner = np.zeros_like(rows), np.zeros_like(rows)
    left[:, step:], corner[:, step:] = rows[:, :-step], above[:, :-step]
    a, b, c = (part.astype(np.int16) for part in (left, above, corner))
    to_left, to_above, to_corner = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    is_left = (to_left <= to_above) & (to_left <= to_corner)
    return np.where(is_left, left, np.where(to_above <= to_corner, above, corner))


def _changed(before: Pixels | None, after: Pixels) -> tuple[slice, slice]:
    """Rows and columns around all that changed; a pixel if nothing did, as none is no image."""
    if before is None:
        return slice(0, after.shape[0]), slice(0, after.shape[1])
    differs = (before != after).any(axis=2)
    if not differs.any():
        return slice(0, 1), slice(0, 1)
    rows, columns = (np.flatnonzero(differs.any(axis=axis)) for axis in (1, 0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _delay(milliseconds: float) -> tuple[int, int]:
    """Seconds as a fraction whose halves both fit into 16 bits."""
    seconds = (Fraction(milliseconds) / 1000).limit_denominator(1000)
    if seconds.numerator > 65535:
        return min(65535, round(seconds)), 1
    return seconds.numerator, seconds.denominator


def _ancillary(sample: Picture, height: int, width: int) -> Iterator[tuple[bytes, bytes]]:
    for name, data in sample.png_colour:
        if not (name == b"sRGB" and sample.icc_profile):
            yield name, data
    if sample.icc_profile:
        yield b"iCCP", b"ICC profile\0\0" + zlib.compress(sample.icc_profile)
    if sample.dpi:
        per_metre = [min(round(dots / 0.0254), 2**31 - 1) for dots in sample.dpi]
        yield b"pHYs", struct.pack(">LLB", *per_metre, 1)
    exif = metadata.sized_exif(sample.exif, height, width)
    if exif:
        yield b"eXIf", exif.removeprefix(metadata.EXIF_PREFIX)
    xmp = metadata.sized_xmp(sample.xmp, height, width)
    if xmp:
        yield b"iTXt", XMP_KEYWORD.encode() + b"\0\0\0\0\0" + xmp
    for key, text in sample.text:
        yield _text(key, text)


def _text(key: str, text: str) -> tuple[bytes, bytes]:
    keyword = key.encode("latin-1", "replace")[:79] or b"Comment"
    try:
        return b"tEXt", keyword + b"\0" + text.encode("latin-1").replace(b"\0", b" ")
    except UnicodeEncodeError:
        return b"iTXt", keyword + b"\0\0\0\0\0" + text.encode("utf-8", "replace")
