"""From a picture that fits its format to the bytes of a file."""

import io
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from leansr.image.codecs import deflate, metadata, optional, vips
from leansr.image.codecs.fitting import GIF_LONGEST
from leansr.image.codecs.formats import Format
from leansr.image.codecs.png import PngWriter
from leansr.image.codecs.tiff import TiffWriter
from leansr.image.picture import Picture

# JPEG and WebP at 95: no visible loss at twice the size. AVIF at 90 is about as good as they are.
_JPEG = {"quality": 95, "subsampling": "4:4:4"}
_WEBP = {"quality": 95}
_AVIF_QUALITY = 90
_AVIF = {"quality": _AVIF_QUALITY, "speed": 8}
# GIF counts in hundredths of a second.
_GIF_TICK = 10
_GIF_COLOURS = 255


def encode(picture: Picture, format: Format, file: BinaryIO, compression: int | None) -> None:
    """Writes a picture that `fitting.fitted` has made ready for `format`.

    `compression` is that of PNG and TIFF, 0 to 9. Raises OSError or ValueError if the format's
    library does not take it.
    """
    level = deflate.DEFAULT_LEVEL if compression is None else compression
    if format.name == "PNG":
        _png(picture, file, level)
    elif format.name == "TIFF":
        _tiff(picture, file, level)
    else:
        # In memory: Pillow's JPEG encoder does not notice that a disk is full.
        file.write(_ENCODERS[format.name](picture, format))


def _png(picture: Picture, file: BinaryIO, level: int) -> None:
    height, width = picture.pixels.shape[:2]
    writer = PngWriter(file, picture, height, width, level)
    if picture.is_animation:
        writer.animate(picture)
    else:
        writer.write(picture.pixels)
        writer.close()


def _tiff(picture: Picture, file: BinaryIO, level: int) -> None:
    pages = list(picture.frames)
    writer = TiffWriter(file, sum(page.pixels.nbytes for page in pages), level)
    for page in pages:
        pixels = page.pixels
        low, high = page.levels
        if (low, high) != (0.0, 1.0):
            colours = pixels.shape[2] - page.has_alpha
            pixels = pixels.copy()
            pixels[..., :colours] = pixels[..., :colours] * np.float32(high - low) + np.float32(low)
        writer.page(page, *pixels.shape[:2])
        writer.write(pixels)
        writer.close_page()


def _pillow(picture: Picture, name: str, **options: Any) -> bytes:
    file = io.BytesIO()
    first, *more = (_image(frame) for frame in picture.frames)
    if more:
        options |= {"save_all": True, "append_images": more}
    first.save(file, name, **options)
    return file.getvalue()


def _image(picture: Picture) -> Image.Image:
    pixels = picture.pixels[..., 0] if picture.mode == "L" else picture.pixels
    return Image.fromarray(np.ascontiguousarray(pixels))


def _attachments(picture: Picture, is_dpi_in_exif: bool = True) -> dict[str, Any]:
    height, width = picture.pixels.shape[:2]
    exif = metadata.with_dpi(picture.exif, picture.dpi) if is_dpi_in_exif else picture.exif
    found = {
        "icc_profile": picture.icc_profile,
        "exif": metadata.sized_exif(exif, height, width),
        "xmp": metadata.sized_xmp(picture.xmp, height, width),
    }
    return {name: value for name, value in found.items() if value}


def _jpeg(picture: Picture, format: Format) -> bytes:
    options: dict[str, Any] = _JPEG | _attachments(picture, is_dpi_in_exif=False)
    if picture.dpi:
        options["dpi"] = tuple(min(65535.0, dots) for dots in picture.dpi)
    for _, text in picture.text:
        options["comment"] = text.encode("utf-8", "replace")[:65533]
    return _pillow(picture, "JPEG", **options)


def _webp(picture: Picture, format: Format) -> bytes:
    options: dict[str, Any] = _WEBP | _attachments(picture)
    if picture.is_animation:
        options |= {"duration": _durations(picture, 1), "loop": min(65535, picture.loops)}
    return _pillow(picture, "WEBP", **options)


def _bmp(picture: Picture, format: Format) -> bytes:
    if picture.has_alpha:
        return _bmp_with_alpha(picture)
    return _pillow(picture, "BMP", **({"dpi": picture.dpi} if picture.dpi else {}))


def _bmp_with_alpha(picture: Picture) -> bytes:
    """By the header of version 4, which says where alpha is; Pillow writes none that does."""
    height, width = picture.pixels.shape[:2]
    pixels = np.ascontiguousarray(picture.pixels[::-1][..., [2, 1, 0, 3]]).tobytes()
    per_metre = [round(dots / 0.0254) for dots in picture.dpi or (96.0, 96.0)]
    start = 14 + 108
    head = struct.pack("<2sLHHL", b"BM", start + len(pixels), 0, 0, start)
    # Fields told by masks: blue, green, red, alpha from the lowest byte up; then the colour, sRGB.
    info = struct.pack("<LllHHLLllLL", 108, width, height, 1, 32, 3, len(pixels), *per_metre, 0, 0)
    masks = struct.pack("<4L4s", 0xFF0000, 0xFF00, 0xFF, 0xFF000000, b"BGRs")
    return head + (info + masks).ljust(108, b"\0") + pixels


def _gif(picture: Picture, format: Format) -> bytes:
    options: dict[str, Any] = {}
    for _, text in picture.text:
        options["comment"] = text.encode("utf-8", "replace")
    frames = [_of_few_colours(frame, picture.is_animation) for frame in picture.frames]
    if picture.has_alpha:
        options["disposal"] = 2
    if picture.is_animation:
        options |= {"save_all": True, "append_images": frames[1:]}
        options["duration"] = [min(GIF_LONGEST, d) for d in _durations(picture, _GIF_TICK)]
        if picture.loops != 1:
            # GIF says how often it is shown again.
            options["loop"] = min(65535, max(0, picture.loops - 1))
    file = io.BytesIO()
    frames[0].save(file, "GIF", optimize=False, **options)
    return file.getvalue()


def _of_few_colours(picture: Picture, is_animation: bool) -> Image.Image:
    """At most 256 colours, one of them transparent if there is alpha: from half on it is not."""
    if picture.mode == "L":
        return _image(picture)
    rgb = Image.fromarray(np.ascontiguousarray(picture.pixels[..., :3]))
    # Dots spread a colour's error; in an animation they would swarm.
    dither = Image.Dither.NONE if is_animation else Image.Dither.FLOYDSTEINBERG
    palette = rgb.quantize(_GIF_COLOURS, Image.Quantize.MEDIANCUT)
    few = rgb.quantize(palette=palette, dither=dither)
    if picture.has_alpha:
        indices = np.array(few)
        indices[picture.pixels[..., 3] < 128] = _GIF_COLOURS
        colours = few.getpalette() or []
        few = Image.fromarray(indices, "P")
        few.putpalette([*colours[: 3 * _GIF_COLOURS], *[0] * (768 - len(colours[:765]))])
        few.info["transparency"] = _GIF_COLOURS
    return few


def _avif(picture: Picture, format: Format) -> bytes:
    attachments = _attachments(picture)
    if picture.pixels.dtype == np.uint16 and not picture.more:
        names = {"icc_profile": "icc-profile-data", "exif": "exif-data", "xmp": "xmp-data"}
        named = {names[name]: data for name, data in attachments.items()}
        pixels = picture.pixels.repeat(3, 2) if picture.mode == "L" else picture.pixels
        return vips.avif(pixels, picture.bits or 12, _AVIF_QUALITY, named)
    if picture.is_animation:
        attachments["duration"] = _durations(picture, 1)
    if picture.mode != "L":
        # Of grey Pillow writes one plane, unless it is told of three.
        attachments["subsampling"] = "4:4:4"
    return _pillow(picture, "AVIF", **_AVIF, **attachments)


def _heic(picture: Picture, format: Format) -> bytes:
    return optional.encoded_heic(picture, _attachments(picture), optional.library(format))


def _jxl(picture: Picture, format: Format) -> bytes:
    return optional.encoded_jxl(picture, _attachments(picture), optional.library(format))


def _durations(picture: Picture, tick: int) -> list[int]:
    """Milliseconds of each frame in whole ticks, which together stray by half a tick at most."""
    ends = np.cumsum([frame.duration or 0.0 for frame in picture.frames])
    ticks = np.diff(np.round(ends / tick).astype(int), prepend=0)
    return [int(count) * tick for count in ticks]


_ENCODERS: dict[str, Callable[[Picture, Format], bytes]] = {
    "JPEG": _jpeg,
    "WebP": _webp,
    "BMP": _bmp,
    "GIF": _gif,
    "AVIF": _avif,
    "HEIC": _heic,
    "JPEG XL": _jxl,
}
