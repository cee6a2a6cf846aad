"""JPEG XL: its container, and what its stream says of size and colour (ISO/IEC 18181-1 and -2)."""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from leansr.image.codecs.tags import Content

SIGNATURE = b"\0\0\0\x0cJXL \r\n\x87\n"
_TYPE = b"\0\0\0\x14ftypjxl \0\0\0\0jxl "
_STREAM = b"\xff\x0a"
# Bytes of a stream that say all we ask.
_HEAD = 256
# Bits of a side less one, by the two bits that say so.
_SIDE_BITS = (9, 13, 18, 30)
# Codes of the colour encoding.
_ALPHA, _RGB, _GREY, _D65, _SRGB, _LINEAR = 0, 0, 1, 1, 1, 8
# H.273's of each; the P3 of JPEG XL takes its white apart, and D65 is that of H.273's 12.
_PRIMARIES = {_SRGB: 1, 9: 9, 11: 12}
# Width over height, by the three bits that say so; 0 for a width of its own.
_RATIOS = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


@dataclass(frozen=True)
class Colour:
    """Primaries and transfer by H.273's codes, that of sRGB where samples are linear light.

    `is_multiplied` says whether alpha is multiplied into the colour.
    """

    primaries: int = 1
    transfer: int = 13
    is_linear: bool = False
    is_multiplied: bool = False


def size(content: Content) -> tuple[int, int]:
    """Height and width; ValueError if it is no JPEG XL."""
    return _size(_stream_of(content))


def is_animation(content: bytes) -> bool:
    """Whether there are frames of which each has its time."""
    bits = _stream_of(content)
    _size(bits)
    # All by default, or none of orientation, size, preview and animation (18181-1, D.3.1).
    if bits.take(1) or not bits.take(1):
        return False
    bits.take(3)
    if bits.take(1):
        _size(bits)
    # A preview's size differs from a picture's; who has one has hardly an animation too.
    return not bits.take(1) and bool(bits.take(1))


def colour(content: bytes) -> Colour:
    """What the numbers that libjxl decodes mean.

    ValueError if that is told by a profile, which we do not unpack, or by what we do not know.
    """
    bits = _stream_of(content)
    _size(bits)
    if bits.take(1):
        return Colour()
    if bits.take(1):
        # Orientation; then a size to show it in, a preview and an animation, which are rare.
        bits.take(3)
        if bits.take(1):
            _size(bits)
        if bits.take(2):
            raise ValueError("colour told after a preview or an animation")
    bits.depth()
    bits.take(1)
    is_multiplied = False
    for _ in range(bits.number((0, 0), (0, 1), (4, 2), (12, 1))):
        # By default a channel is alpha of 8 bits, not multiplied in.
        if not bits.take(1):
            if bits.enumerated() != _ALPHA:
                raise ValueError("colour told after a channel of another kind than alpha")
            bits.depth()
            bits.number((0, 0), (0, 3), (0, 4), (3, 1))
            bits.take(8 * bits.number((0, 0), (4, 0), (5, 16), (10, 48)))
            is_multiplied = bool(bits.take(1))
    is_xyb = bool(bits.take(1))
    # The colour encoding (18181-1, E.2).
    if bits.take(1):
        return Colour(is_multiplied=is_multiplied)
    has_profile, space = bits.take(1), bits.enumerated()
    if has_profile and not is_xyb:
        raise ValueError("a colour profile")
    if has_profile:
        # libjxl decodes it to sRGB.
        return Colour(is_multiplied=is_multiplied)
    white, primaries = bits.enumerated(), _SRGB
    if white == _D65 and space == _RGB:
        primaries = bits.enumerated()
    if white != _D65 or space not in (_RGB, _GREY) or primaries not in _PRIMARIES:
        raise ValueError("colour of its own primaries")
    if bits.take(1):
        raise ValueError(f"colour of the gamma {bits.take(24) / 1e7:g}")
    transfer = bits.enumerated()
    is_linear = transfer == _LINEAR
    return Colour(_PRIMARIES[primaries], 13 if is_linear else transfer, is_linear, is_multiplied)


def _stream_of(content: Content) -> "_Bits":
    stream = content[:_HEAD]
    if stream.startswith(SIGNATURE):
        stream = b""
        # The first of several, as libjxl has it, or all parts of one, each behind its number.
        for name, data in boxes(content, _HEAD):
            if name == b"jxlc":
                stream = stream or data
            if name == b"jxlp":
                stream += data[4:]
            if name == b"jxlc" or len(stream) >= _HEAD:
                break
    if not stream.startswith(_STREAM):
        raise ValueError("it has no picture")
    return _Bits(stream[2:])


def _size(bits: "_Bits") -> tuple[int, int]:
    is_small = bits.take(1)

    def side() -> int:
        return 8 * (bits.take(5) + 1) if is_small else bits.take(_SIDE_BITS[bits.take(2)]) + 1

    height = side()
    over, under = _RATIOS[bits.take(3)]
    return height, height * over // under if over else side()


class _Bits:
    """Bits of a stream, from the lowest of each byte on; zeros behind its end."""

    def __init__(self, data: bytes) -> None:
        self._left = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        """The next bits as a number."""
        value, self._left = self._left & ((1 << count) - 1), self._left >> count
        return value

    def number(self, *kinds: tuple[int, int]) -> int:
        """One of four kinds of number (18181-1, B.2.2): its bits and what is added."""
        count, base = kinds[self.take(2)]
        return self.take(count) + base

    def depth(self) -> None:
        """Goes past the bits of a sample (18181-1, E.1)."""
        if self.take(1):
            self.number((0, 32), (0, 16), (0, 24), (6, 1))
            self.take(4)
        else:
            self.number((0, 8), (0, 10), (0, 12), (6, 1))

    def enumerated(self) -> int:
        """A code of a list."""
        return self.number((0, 0), (0, 1), (4, 2), (6, 18))


def with_boxes(stream: bytes, added: Mapping[bytes, bytes]) -> bytes:
    """A container of a stream, or what is one already, with boxes at its end."""
    if not stream.startswith(SIGNATURE):
        stream = SIGNATURE + _TYPE + _box(b"jxlc", stream)
    return stream + b"".join(_box(name, data) for name, data in added.items())


def boxes(content: Content, most: int | None = None) -> Iterator[tuple[bytes, bytes]]:
    """Names and data, or `most` bytes of it, of a container's boxes; none of a bare stream.

    The last one may be cut.
    """
    offset = 0
    is_container = content[: len(SIGNATURE)] == SIGNATURE
    while is_container and offset + 8 <= len(content):
        length, name = struct.unpack(">L4s", content[offset : offset + 8])
        start = offset + 8
        if length == 1 and offset + 16 <= len(content):
            (length,) = struct.unpack(">Q", content[start : start + 8])
            start += 8
        # A length of 0 is that of the rest of the file.
        end = offset + length if length else len(content)
        if end < start:
            return
        yield name, content[start : end if most is None else min(end, start + most)]
        offset = end


def _box(name: bytes, data: bytes) -> bytes:
    return struct.pack(">L4s", len(data) + 8, name) + data
