"""Directories of tags, which TIFF files and EXIF are made of (TIFF 6.0, section 2).

Values are kept as they lie in the file, little-endian, so that what we do not know is not lost.
"""

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from mmap import mmap
from typing import BinaryIO

import numpy as np

SHORT, LONG, RATIONAL, UNDEFINED, LONG8 = 3, 4, 5, 7, 16
# Text of EXIF 3.0.
_UTF8 = 129

EXIF, GPS, INTEROPERABILITY = 34665, 34853, 40965
_DIRECTORIES = {EXIF, GPS, INTEROPERABILITY}

# Of each type: the bytes that are swapped together, and how often they make one value.
_UNITS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 1, 7: 1, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8, 13: 4}
_UNITS |= {16: 8, 17: 8, 18: 8, _UTF8: 1}
_PAIRS = {RATIONAL, 10}


@dataclass(frozen=True)
class Tag:
    """A value of a type, or a directory below."""

    type: int
    data: bytes = b""
    below: "Directory | None" = None

    @property
    def count(self) -> int:
        """How many values `data` holds."""
        return len(self.data) // (_UNITS[self.type] * (2 if self.type in _PAIRS else 1))

    @property
    def numbers(self) -> list[float]:
        """The values, if they are numbers; a rational with the divisor 0 is 0."""
        values = np.frombuffer(self.data, _dtype(self.type)).tolist()
        if self.type in _PAIRS:
            return [a / b if b else 0.0 for a, b in zip(values[::2], values[1::2], strict=True)]
        return values if isinstance(values, list) else [values]


Directory = dict[int, Tag]


@dataclass(frozen=True)
class Tree:
    """The directories of a file one after the other, and its byte order, "<" or ">"."""

    directories: list[Directory] = field(default_factory=list)
    order: str = "<"


def numbers(type: int, *values: int) -> Tag:
    """A tag of whole numbers."""
    return Tag(type, np.array(values, _dtype(type)).tobytes())


def rational(value: float) -> Tag:
    """A number in thousandths or finer, 4 bytes over 4 bytes."""
    return numbers(RATIONAL, round(value * 1000), 1000)


def first(directory: Directory, tag: int) -> float | None:
    """The first number of a tag, None if it is missing or none."""
    found = directory.get(tag)
    if found is None or found.below is not None or found.type in (2, UNDEFINED, _UTF8):
        return None
    return next(iter(found.numbers), None)


class Slices:
    """A file as bytes of which slices can be taken, without reading it whole."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._length = file.seek(0, io.SEEK_END)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(self._length)
        self._file.seek(start)
        return self._file.read(max(0, stop - start))


Content = bytes | mmap | Slices


def parse(content: Content) -> Tree:
    """The directories of a TIFF file, BigTIFF too; ValueError if it is none.

    Tags that point out of the file are left out, and so is what follows a directory cut short.
    """
    order = {b"II": "<", b"MM": ">"}.get(content[:2], "")
    try:
        (kind,) = struct.unpack(f"{order}H", content[2:4])
        if not order or kind not in (42, 43):
            raise ValueError("is not a directory of tags")
        where, pointer = (slice(8, 16), "Q") if kind == 43 else (slice(4, 8), "L")
        (offset,) = struct.unpack(order + pointer, content[where])
    except struct.error as cause:
        raise ValueError("is not a directory of tags") from cause
    reader = _Reader(content, order, kind == 43)
    tree = Tree([], order)
    seen: set[int] = set()
    while offset and offset not in seen:
        seen.add(offset)
        directory, offset = reader.directory(offset)
        tree.directories.append(directory)
    return tree


class _Reader:
    def __init__(self, content: Content, order: str, is_big: bool) -> None:
        self._content, self._order, self._is_big = content, order, is_big
        # What tags may hold together: overlapping ones could ask for any amount of memory.
        self._left = len(content)
        # An entry takes 12 bytes at least; directories that point at each other never end.
        self._entries = min(len(content) // 12, 1 << 20)

    def directory(self, offset: int, depth: int = 0) -> tuple[Directory, int]:
        """The directory at `offset` and where the next one is, 0 for nowhere."""
        inside, count_format, pointer = (8, "Q", "Q") if self._is_big else (4, "H", "L")
        found: Directory = {}
        try:
            (count,) = self._numbers(count_format, offset)
            offset += struct.calcsize(count_format)
            for _ in range(count):
                if self._entries <= 0:
                    return found, 0
                self._entries -= 1
                name, type_, length = self._numbers("HH" + pointer, offset)
                place = offset + 4 + inside
                offset = place + inside
                if name in found:
                    continue  # the first counts, as it does to libtiff
                size = length * _UNITS.get(type_, 0) * (2 if type_ in _PAIRS else 1)
                if size > inside:
                    (place,) = self._numbers(pointer, place)
                if name in _DIRECTORIES:
                    (below,) = self._numbers(pointer, place)
                    if depth < 2:
                        found[name] = Tag(LONG, below=self.directory(below, depth + 1)[0])
                elif 0 < size <= self._left and place + size <= len(self._content):
                    self._left -= size
                    found[name] = Tag(type_, self._little(type_, place, size))
            (following,) = self._numbers(pointer, offset)
        except struct.error:
            return found, 0
        return found, following

    def _numbers(self, format_: str, offset: int) -> tuple[int, ...]:
        format_ = self._order + format_
        return struct.unpack(format_, self._content[offset : offset + struct.calcsize(format_)])

    def _little(self, type_: int, place: int, size: int) -> bytes:
        data = self._content[place : place + size]
        return data if self._order == "<" else _swapped(type_, data)


def serialise(
    directory: Directory, offset: int, order: str = "<", is_big: bool = False, following: int = 0
) -> bytes:
    """The bytes of a directory that lies at `offset`, with all below it."""
    inside, pointer = (8, "Q") if is_big else (4, "L")
    start = struct.pack(order + ("Q" if is_big else "H"), len(directory))
    entries = bytearray(start)
    end = offset + len(start) + len(directory) * (4 + 2 * inside) + inside
    behind = bytearray()
    for name, tag in sorted(directory.items()):
        if tag.below is not None:
            data = serialise(tag.below, end + len(behind), order, is_big)
            count, value = 1, struct.pack(order + pointer, end + len(behind))
            behind += data + b"\0" * (len(data) % 2)
        else:
            data = tag.data if order == "<" else _swapped(tag.type, tag.data)
            count, value = tag.count, data.ljust(inside, b"\0")
            if len(data) > inside:
                value = struct.pack(order + pointer, end + len(behind))
                behind += data + b"\0" * (len(data) % 2)
        type_ = LONG8 if tag.below is not None and is_big else tag.type
        entries += struct.pack(f"{order}HH{pointer}", name, type_, count) + value
    return bytes(entries + struct.pack(order + pointer, following) + behind)


def with_header(tree: Tree) -> bytes:
    """The first directory as a file of its own, as EXIF has it."""
    head = (b"II" if tree.order == "<" else b"MM") + struct.pack(f"{tree.order}HL", 42, 8)
    return head + serialise(tree.directories[0], 8, tree.order)


def text(directory: Directory, tag: int) -> str | None:
    """A text, None if the tag is missing."""
    found = directory.get(tag)
    return None if found is None else found.data.rstrip(b"\0").decode("utf-8", "replace")


def without(directory: Directory, names: Sequence[int]) -> Directory:
    """A copy that lacks some tags."""
    return {name: tag for name, tag in directory.items() if name not in names}


def _dtype(type_: int) -> str:
    kind = {6: "i", 8: "i", 9: "i", 10: "i", 17: "i", 11: "f", 12: "f"}.get(type_, "u")
    return f"<{kind}{_UNITS[type_]}"


def _swapped(type_: int, data: bytes) -> bytes:
    unit = _UNITS[type_]
    return np.frombuffer(data, f"<u{unit}").byteswap().tobytes() if unit > 1 else data
