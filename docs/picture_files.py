"""Files of every kind of picture, made by Pillow where it can make them, else byte by byte.

None is made by what is tested with them.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from leansr.image import codecs

PHOTO = Path(__file__).parents[1] / "demo" / "flowers.png"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
FRAME_TIMES = (40, 120, 200)


@dataclass(frozen=True)
class Kind:
    """A file of a format: what it is called, its bytes, and the pixels `(H, W, C)` it holds."""

    format: str
    name: str
    content: bytes
    pixels: np.ndarray
    is_exact: bool = True

    @property
    def suffix(self) -> str:
        return next(row.suffixes[0] for row in codecs.formats.ALL if row.name == self.format)


def kinds(format: str) -> Iterator[Kind]:
    """Every kind of file of a format, which needs the library that makes it."""
    return (kind for kind in _MAKERS[format]() if kind.format == format)


@cache
def photo(channels: int = 3) -> np.ndarray:
    """A part of the repository's photo, 40 x 30, with green for grey and blue for alpha."""
    rgb = np.asarray(Image.open(PHOTO).convert("RGB"))[200:230, 100:140]
    alpha = rgb[..., 2:].copy()
    alpha[:10, :10] = 0
    parts = {1: [rgb[..., 1:2]], 2: [rgb[..., 1:2], alpha], 3: [rgb], 4: [rgb, alpha]}
    return np.concatenate(parts[channels], axis=2)


def deep(channels: int) -> np.ndarray:
    """The same in 16 bits, of which the lower ones say something too."""
    noise = np.random.default_rng(0).integers(0, 257, photo(channels).shape)
    return (photo(channels).astype(np.int64) * 256 + np.minimum(noise, 255)).astype(np.uint16)


def few(bits: int) -> np.ndarray:
    """Grey of few bits: the samples as they are in the file."""
    return photo(1) >> (8 - bits)


def moving(channels: int) -> list[np.ndarray]:
    """Three frames of an animation."""
    frames = [photo(channels).copy() for _ in FRAME_TIMES]
    for index, frame in enumerate(frames):
        frame[5 : 15 + index, 10 : 20 + 2 * index, :3] = 80 * index
        if channels == 4:
            frame[..., 3] = 255
            frame[20:, : 5 * (index + 1), 3] = 0
    return frames


def light(pixels: np.ndarray) -> np.ndarray:
    """By sRGB's curve the linear light that imagecodecs takes deep samples for; alpha stays."""
    white = 65535 if pixels.dtype == np.uint16 else 1
    unit = pixels / white
    curved = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    if pixels.shape[2] == 4:
        curved[..., 3] = unit[..., 3]
    return (curved * white + (0.5 if white > 1 else 0)).astype(pixels.dtype)


def saved(pixels: np.ndarray | Image.Image, format: str, **options: Any) -> bytes:
    """What Pillow writes."""
    file = io.BytesIO()
    image = pixels
    if not isinstance(pixels, Image.Image):
        image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image.save(file, format, **options)
    return file.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data))


def png(
    samples: np.ndarray, bits: int, colour: int, *chunks: bytes, interlaced: bool = False
) -> bytes:
    """A PNG of samples `(H, W, C)` of some bits and a colour type, without filters."""
    height, width = samples.shape[:2]
    header = struct.pack(">LLBBBBB", width, height, bits, colour, 0, 0, interlaced)
    # Adam7: first row and column, steps down and across of each pass.
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2)]
        passes += [(0, 1, 2, 2), (1, 0, 2, 1)]
    data = b""
    for top, left, down, across in passes:
        for row in samples[top::down, left::across]:
            if bits < 8:
                row = np.packbits(np.unpackbits(row[:, 0, None], axis=1)[:, 8 - bits :])
            data += b"\0" + row.astype(">u2" if bits == 16 else np.uint8).tobytes()
    body = chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + body


def tiff(
    samples: np.ndarray, photometric: int, *extra: tuple[int, int, int], planar: bool = False
) -> bytes:
    """A TIFF of samples `(H, W, C)`, not compressed; `extra` are tag, type 3 or 4, and value."""
    height, width, channels = samples.shape
    planes = samples.transpose(2, 0, 1) if planar else samples[None]
    data = planes.tobytes()
    bits, kind = 8 * samples.itemsize, 3 if samples.dtype.kind == "f" else 1
    size, count = len(data) // len(planes), len(planes)
    # Lists stand in front of the pixels: bits, kinds, offsets and sizes of the planes.
    lists, start = b"", 8
    where = {}
    for tag, code, values in (
        (258, "H", [bits] * channels),
        (339, "H", [kind] * channels),
        (273, "L", [200 + size * i for i in range(count)]),
        (279, "L", [size] * count),
    ):
        where[tag] = start + len(lists), len(values), code, values
        lists += struct.pack(f"<{len(values)}{code}", *values)
    entries = [(256, 4, width), (257, 4, height), (259, 3, 1), (262, 3, photometric)]
    entries += [(277, 3, channels), (278, 4, height), (284, 3, 2 if planar else 1), *extra]
    packed = [(tag, struct.pack("<HHLL", tag, type_, 1, value)) for tag, type_, value in entries]
    for tag, (place, length, code, values) in where.items():
        type_, inside = (3, 2) if code == "H" else (4, 1)
        value = struct.pack(f"<{length}{code}", *values).ljust(4, b"\0")
        value = value if length <= inside else struct.pack("<L", place)
        packed.append((tag, struct.pack("<HHL", tag, type_, length) + value))
    place = 200 + len(data) + len(data) % 2
    directory = struct.pack("<H", len(packed)) + b"".join(entry for _, entry in sorted(packed))
    head = struct.pack("<2sHL", b"II", 42, place) + lists
    return head.ljust(200, b"\0") + data.ljust(place - 200, b"\0") + directory + b"\0" * 4


def _pngs() -> Iterator[Kind]:
    for bits in (1, 2, 4):
        grey = few(bits)
        white = 2**bits - 1
        yield Kind("PNG", f"{bits}-bit grey", png(grey, bits, 0), grey * (255 // white))
    for bits, source in ((8, photo), (16, deep)):
        for channels, colour, name in ((1, 0, "grey"), (2, 4, "grey + alpha"), (3, 2, "RGB")):
            pixels = source(channels)
            yield Kind("PNG", f"{bits}-bit {name}", png(pixels, bits, colour), pixels)
        yield Kind("PNG", f"{bits}-bit RGBA", png(source(4), bits, 6), source(4))
    # Colours of 4 indices, the second half clear, the third pixel's index transparent.
    palette = np.array([[200, 30, 30], [30, 200, 30], [30, 30, 200], [250, 250, 250]], np.uint8)
    index = few(2)
    plte = chunk(b"PLTE", palette.tobytes())
    colours = palette[index[..., 0]]
    yield Kind("PNG", "2-bit palette", png(index, 2, 3, plte), colours)
    yield Kind("PNG", "8-bit palette", png(index, 8, 3, plte), colours)
    alpha = np.array([255, 128, 0, 255], np.uint8)
    some = np.concatenate([colours, alpha[index]], axis=2)
    trns = chunk(b"tRNS", alpha[:3].tobytes())
    yield Kind("PNG", "palette with transparency", png(index, 8, 3, plte, trns), some)
    for bits, source, colour in (
        (2, few(2), 0),
        (8, photo(1), 0),
        (8, photo(3), 2),
        (16, deep(3), 2),
    ):
        key = source[7, 7]
        trns = chunk(b"tRNS", key.astype(">u2").tobytes())
        full = 65535 if bits == 16 else 255
        visible = (source != key).any(axis=2, keepdims=True)
        shown = source * (85 if bits == 2 else 1)
        pixels = np.concatenate([shown, (visible * full).astype(shown.dtype)], axis=2)
        name = f"{bits}-bit {'grey' if colour == 0 else 'RGB'}, one colour transparent"
        yield Kind("PNG", name, png(source, bits, colour, trns), pixels)
    yield Kind("PNG", "interlaced 8-bit RGB", png(photo(), 8, 2, interlaced=True), photo())
    yield Kind("PNG", "interlaced 16-bit RGBA", png(deep(4), 16, 6, interlaced=True), deep(4))
    gamma = chunk(b"gAMA", (100_000).to_bytes(4, "big"))
    yield Kind("PNG", "8-bit RGB, gamma of 1", png(photo(), 8, 2, gamma), photo())
    for name, channels in (("RGB", 3), ("RGBA", 4)):
        yield Kind("PNG", f"animation, {name}", _animated("PNG", channels), moving(channels)[0])


def _jpegs() -> Iterator[Kind]:
    best = {"quality": 100, "subsampling": 0}
    yield Kind("JPEG", "grey", saved(photo(1), "JPEG", quality=100), photo(1), False)
    yield Kind("JPEG", "YCbCr", saved(photo(), "JPEG", **best), photo(), False)
    yield Kind("JPEG", "YCbCr 4:2:0", saved(photo(), "JPEG", quality=95), photo(), False)
    yield Kind(
        "JPEG", "progressive", saved(photo(), "JPEG", progressive=True, **best), photo(), False
    )
    inks = Image.fromarray(photo()).convert("CMYK")
    yield Kind("JPEG", "CMYK", saved(inks, "JPEG", **best), photo(), False)


def _webps() -> Iterator[Kind]:
    yield Kind("WebP", "RGB", saved(photo(), "WEBP", quality=95), photo(), False)
    yield Kind("WebP", "RGBA", saved(photo(4), "WEBP", quality=95, exact=True), photo(4), False)
    yield Kind("WebP", "lossless RGB", saved(photo(), "WEBP", lossless=True), photo())
    yield Kind("WebP", "animation, RGB", _animated("WEBP", 3), moving(3)[0])
    yield Kind("WebP", "animation, RGBA", _animated("WEBP", 4), moving(4)[0])


def _tiffs() -> Iterator[Kind]:
    bilevel = Image.fromarray(few(1)[..., 0] > 0)
    yield Kind(
        "TIFF", "1-bit, fax group 4", saved(bilevel, "TIFF", compression="group4"), few(1) * 255
    )
    unit = {n: (deep(n) / 65535).astype(np.float32) for n in (1, 3, 4)}
    straight, multiplied, unknown = ((338, 3, n) for n in (2, 1, 0))
    for bits, source in (("8-bit", photo), ("16-bit", deep), ("float", unit.get)):
        if bits != "float":
            yield Kind("TIFF", f"{bits} grey", tiff(source(1), 1), source(1))
            yield Kind("TIFF", f"{bits} grey + alpha", tiff(source(2), 1, straight), source(2))
            white = 255 if bits == "8-bit" else 65535
            yield Kind("TIFF", f"{bits} grey, 0 is white", tiff(white - source(1), 0), source(1))
        else:
            yield Kind("TIFF", "float grey", tiff(source(1), 1), source(1))
        yield Kind("TIFF", f"{bits} RGB", tiff(source(3), 2), source(3))
        yield Kind("TIFF", f"{bits} RGB in planes", tiff(source(3), 2, planar=True), source(3))
        yield Kind("TIFF", f"{bits} RGBA", tiff(source(4), 2, straight), source(4))
    half = deep(4).astype(np.float64)
    half[..., 3] = 40000
    associated = half.copy()
    associated[..., :3] *= 40000 / 65535
    content = tiff(np.round(associated).astype(np.uint16), 2, multiplied)
    yield Kind("TIFF", "16-bit RGBA, alpha multiplied in", content, half.astype(np.uint16), False)
    yield Kind("TIFF", "8-bit RGB and a channel of no meaning", tiff(photo(4), 2, unknown), photo())
    wide = unit[3] * 4 - 1
    yield Kind("TIFF", "float RGB from -1 to 3", tiff(wide, 2), wide, False)
    few_colours = Image.fromarray(photo()).quantize(16)
    yield Kind(
        "TIFF", "palette", saved(few_colours, "TIFF"), np.asarray(few_colours.convert("RGB"))
    )
    lzw = saved(photo(), "TIFF", compression="tiff_lzw")
    yield Kind("TIFF", "8-bit RGB, LZW", lzw, photo())
    jpeg = saved(photo(), "TIFF", compression="jpeg", quality=100)
    yield Kind("TIFF", "8-bit RGB, JPEG", jpeg, photo(), False)
    inks = Image.fromarray(photo()).convert("CMYK")
    yield Kind("TIFF", "CMYK", saved(inks, "TIFF"), photo(), False)
    second = Image.fromarray(photo(1)[:20, :25, 0])
    pages = saved(photo(), "TIFF", save_all=True, append_images=[second])
    yield Kind("TIFF", "two pages, RGB and grey", pages, photo())


def _bmps_and_gifs() -> Iterator[Kind]:
    few_colours = Image.fromarray(photo()).quantize(16)
    colours = np.asarray(few_colours.convert("RGB"))
    yield Kind("BMP", "1-bit", saved(Image.fromarray(few(1)[..., 0] > 0), "BMP"), few(1) * 255)
    yield Kind("BMP", "8-bit grey", saved(photo(1), "BMP"), photo(1))
    yield Kind("BMP", "palette", saved(few_colours, "BMP"), colours)
    yield Kind("BMP", "RGB", saved(photo(), "BMP"), photo())
    yield Kind("GIF", "grey", saved(photo(1), "GIF"), photo(1))
    yield Kind("GIF", "palette", saved(few_colours, "GIF"), colours)
    clear = saved(few_colours, "GIF", transparency=3)
    alpha = (np.asarray(few_colours)[..., None] != 3) * np.uint8(255)
    yield Kind("GIF", "palette with transparency", clear, np.concatenate([colours, alpha], axis=2))
    yield Kind("GIF", "animation", _animated("GIF", 3), moving(3)[0], False)
    yield Kind("GIF", "animation with transparency", _animated("GIF", 4), moving(4)[0], False)


def _avifs() -> Iterator[Kind]:
    for channels, name in ((1, "grey"), (3, "RGB"), (4, "RGBA")):
        pixels = photo(channels)
        subsampling = "4:0:0" if channels == 1 else "4:4:4"
        content = saved(pixels, "AVIF", quality=100, subsampling=subsampling, speed=10)
        yield Kind("AVIF", f"8-bit {name}", content, pixels, False)
    import pyvips

    for bits in (10, 12):
        samples = deep(3) >> (16 - bits)
        image = pyvips.Image.new_from_array(samples << (16 - bits), interpretation="rgb16")
        content = image.heifsave_buffer(compression="av1", bitdepth=bits, lossless=True, effort=0)
        exact = np.round(samples * (65535 / (2**bits - 1))).astype(np.uint16)
        yield Kind("AVIF", f"{bits}-bit RGB", content, exact)
    yield Kind("AVIF", "animation", _animated("AVIF", 3), moving(3)[0], False)


def _heics() -> Iterator[Kind]:
    import pillow_heif

    for mode, pixels in (
        ("L", photo(1)),
        ("RGB", photo()),
        ("RGBA", photo(4)),
        ("RGB;16", deep(3)),
    ):
        file = io.BytesIO()
        image = pillow_heif.from_bytes(mode, (40, 30), pixels.tobytes())
        image.save(file, quality=100, chroma=444)
        name = "10-bit RGB" if "16" in mode else f"8-bit {mode.replace('L', 'grey')}"
        yield Kind("HEIC", name, file.getvalue(), pixels, False)


def _jxls() -> Iterator[Kind]:
    import imagecodecs

    unit = (deep(3) / 65535).astype(np.float32)
    for name, pixels in (
        *((f"8-bit {n}", photo(c)) for c, n in ((1, "grey"), (2, "grey + alpha"), (3, "RGB"))),
        *((f"16-bit {n}", deep(c)) for c, n in ((1, "grey"), (3, "RGB"), (4, "RGBA"))),
        ("float RGB", unit),
    ):
        samples = pixels if pixels.dtype == np.uint8 else light(pixels)
        samples = samples[..., 0] if pixels.shape[2] == 1 else samples
        content = imagecodecs.jpegxl_encode(np.ascontiguousarray(samples), lossless=True)
        yield Kind("JPEG XL", name, content, pixels, pixels.dtype == np.uint8)


def _animated(format: str, channels: int) -> bytes:
    first, *more = (Image.fromarray(frame) for frame in moving(channels))
    options: dict[str, Any] = {"lossless": True} if format == "WEBP" else {}
    if format == "GIF" and channels == 4:
        options["disposal"] = 2
    times = list(FRAME_TIMES)
    return saved(
        first, format, save_all=True, append_images=more, duration=times, loop=3, **options
    )


_MAKERS = {
    "PNG": _pngs,
    "JPEG": _jpegs,
    "WebP": _webps,
    "TIFF": _tiffs,
    "BMP": _bmps_and_gifs,
    "GIF": _bmps_and_gifs,
    "AVIF": _avifs,
    "HEIC": _heics,
    "JPEG XL": _jxls,
}
