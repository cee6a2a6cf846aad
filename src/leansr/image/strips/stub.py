"""Files of a few pixels with all else of a large one's: what a large one says is read from them.

So what travels with a picture is understood in one place, whether it is read whole or by rows.
"""

import mmap
import struct
import zlib
from pathlib import Path

from leansr.image.codecs import png, tags
from leansr.image.codecs.tags import LONG, SHORT

_WIDTH, _HEIGHT = 3, 2
# Samples of PNG's colour types (PNG specification, table 11.1).
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Rows of these bytes and of their complements: turned pixels, or mapped ones, are others, whether
# a byte holds one of them or eight.
_BYTES = bytes((0x6D + 53 * i) % 256 for i in range(3 * 4 * 8))
# What may turn a picture.
_TELLING = {b"eXIf", b"iTXt", b"zTXt", b"tEXt"}

# Tags by which the pixels lie (TIFF 6.0, sections 3, 8, 14 and 15).
_WIDE, _HIGH, _BITS, _COMPRESSION, _PLACES, _ROWS, _SIZES = 256, 257, 258, 259, 273, 278, 279
# What is of no use without compression, planes, tiles; the others are set.
_LAYOUT = (284, 317, 322, 323, 324, 325, 347)


def stub_of(path: Path) -> bytes | None:
    """The file's own stub; None if it is of a kind that cannot be read by rows.

    That is any but PNG that is not interlaced and TIFF of one page. Raises ValueError and
    struct.error for damage.
    """
    with open(path, "rb") as file:
        if not file.read(1):
            return None
        # Not read: of 2 GB only what is asked for comes into memory.
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            if content[:8] == png.SIGNATURE:
                return _png(content)
            if content[:2] in (b"II", b"MM"):
                return _tiff(content)
    return None


def _png(content: mmap.mmap) -> bytes | None:
    *_, bits, colour, _, _, is_interlaced = struct.unpack(">IIBBBBB", content[16:29])
    if is_interlaced or colour not in _SAMPLES:
        return None
    count = -(-_WIDTH * _SAMPLES[colour] * bits // 8)
    rows = [b"\0" + row for row in _rows(count)]
    chunks = _chunks(content)
    if colour == 3:
        # The first colour alone, as a palette may have no other: that does not show a turn.
        if _TELLING & {name for name, _, _ in chunks}:
            return None
        rows = [bytes(1 + count)] * _HEIGHT
    parts = []
    for name, place, size in chunks:
        data = content[place : place + size] if name != b"IDAT" else b""
        if name == b"IHDR":
            data = struct.pack(">II", _WIDTH, _HEIGHT) + data[8:]
        if name == b"IDAT":
            data = zlib.compress(b"".join(rows))
        parts.append(struct.pack(">I", len(data)) + name + data)
        parts.append(struct.pack(">I", zlib.crc32(name + data)))
    return png.SIGNATURE + b"".join(parts)


def _rows(count: int) -> tuple[bytes, bytes]:
    """Two rows of so many bytes."""
    row = _BYTES[:count]
    return row, bytes(255 - byte for byte in row)


def _chunks(content: mmap.mmap) -> list[tuple[bytes, int, int]]:
    """Name, place and size of the chunks, of those of the pixels the first alone."""
    found: list[tuple[bytes, int, int]] = []
    offset = len(png.SIGNATURE)
    while offset + 8 <= len(content):
        size, name = struct.unpack(">I4s", content[offset : offset + 8])
        if name != b"IDAT" or b"IDAT" not in (n for n, _, _ in found):
            found.append((name, offset + 8, size))
        offset += size + 12
    return found


def _tiff(content: mmap.mmap) -> bytes | None:
    tree = tags.parse(content)
    if len(tree.directories) != 1:
        return None
    directory = tags.without(tree.directories[0], _LAYOUT)
    bits = sum(map(int, directory[_BITS].numbers)) if _BITS in directory else 1
    row = -(-_WIDTH * bits // 8)
    data = b"".join(_rows(row))
    is_big = content[2:4] in (b"+\0", b"\0+")
    start = 16 if is_big else 8
    own = {
        _WIDE: tags.numbers(LONG, _WIDTH),
        _HIGH: tags.numbers(LONG, _HEIGHT),
        _COMPRESSION: tags.numbers(SHORT, 1),
        _PLACES: tags.numbers(LONG, start),
        _ROWS: tags.numbers(LONG, _HEIGHT),
        _SIZES: tags.numbers(LONG, 2 * row),
    }
    place = start + len(data)
    # A BigTIFF says first how wide its offsets are.
    head = content[:8] if is_big else content[:4]
    head += struct.pack(tree.order + ("Q" if is_big else "L"), place)
    return head + data + tags.serialise(directory | own, place, tree.order, is_big)
