"""HEIC and JPEG XL, whose libraries come with the extra `formats`."""

import importlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np

from leansr.errors import PictureError
from leansr.image.arrays import Floats, Pixels, from_unit, to_unit
from leansr.image.codecs import jxl, metadata, profiles, vips
from leansr.image.codecs.formats import Format
from leansr.image.colour import from_linear, to_linear
from leansr.image.picture import Picture

_MODULES = {"HEIC": "pillow_heif", "JPEG XL": "imagecodecs"}
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}

# As large as a JPEG of 95; libjxl's distance of what the eye can just see is 1.
_HEIC_QUALITY, _JXL_DISTANCE = 95, 0.5


def library(format: Format) -> Any:
    """The module that a format needs, None if none; PictureError if it is not installed."""
    name = _MODULES.get(format.name)
    if name is None:
        return None
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as cause:
        raise PictureError(
            f"{format.name} needs {name}, which is not installed; pip install 'leansr[formats]'"
        ) from cause


def heic(content: bytes, module: Any) -> Any:
    """The pictures of a HEIC file, not decoded yet, turned as the file says."""
    return module.open_heif(content, convert_hdr_to_8bit=False)


def heic_picture(file: Any) -> Picture:
    """The first picture with what travels with it."""
    pixels = np.asarray(file)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    bits = int(file.info.get("bit_depth", 8))
    if bits > 8:
        pixels = vips.whole_range(pixels, bits)
    notes: list[str] = []
    try:
        exif, _ = metadata.upright_exif(file.info.get("exif"))
    except ValueError:
        exif = None
        notes.append(metadata.DAMAGED)
    if len(file) > 1:
        notes.append(f"the first of its {len(file)} pictures is taken")
    return Picture(
        pixels,
        _MODES[pixels.shape[2]],
        icc_profile=file.info.get("icc_profile") or None,
        exif=exif,
        dpi=metadata.exif_dpi(exif),
        xmp=metadata.upright_xmp(file.info.get("xmp"))[0],
        bits=bits if bits in (10, 12) else None,
        notes=tuple(notes),
    )


def encoded_heic(picture: Picture, attachments: dict[str, bytes], module: Any) -> bytes:
    """HEIC of 8 bits, or of 10 from uint16."""
    pixels = picture.pixels
    mode = picture.mode
    if pixels.dtype == np.uint16:
        mode += ";16"
        pixels = vips.upper_bits(pixels, 10)
    height, width = pixels.shape[:2]
    image = module.from_bytes(mode, (width, height), np.ascontiguousarray(pixels).tobytes())
    file = io.BytesIO()
    image.save(file, quality=_HEIC_QUALITY, chroma=444, **attachments)
    return file.getvalue()


def jxl_picture(content: bytes, module: Any) -> Picture:
    """The picture, or the first frame, with EXIF and XMP; libjxl has turned it."""
    pixels: Pixels = module.jpegxl_decode(content, index=0)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    mode = _MODES[pixels.shape[2]]
    notes: list[str] = []
    if jxl.is_animation(content):
        notes.append("the first frame of its animation is taken")
    icc_profile = None
    if pixels.dtype.kind == "f":
        if not np.isfinite(pixels).all():
            raise ValueError("it has values that are not finite")
        if pixels.min() < 0 or pixels.max() > 1:
            notes.append("values of a JPEG XL beyond 0 and 1 are cut")
            pixels = pixels.clip(0, 1)
    try:
        said = jxl.colour(content)
        if said.is_multiplied and mode.endswith("A"):
            pixels = _divided(pixels)
        if said.is_linear:
            pixels = _curved(pixels, mode, from_linear)
        if "RGB" in mode:
            icc_profile = profiles.of_codes(said.primaries, said.transfer)
    except ValueError as cause:
        notes.append(f"JPEG XL: {cause} is not read; sRGB is taken")
    found = dict(jxl.boxes(content))
    try:
        # The first four bytes say how far behind them the EXIF begins.
        exif, _ = metadata.upright_exif(found.get(b"Exif", b"")[4:])
    except ValueError:
        exif = None
        notes.append(metadata.DAMAGED)
    return Picture(
        pixels,
        mode,
        icc_profile=icc_profile,
        exif=exif,
        xmp=metadata.upright_xmp(found.get(b"xml "))[0],
        dpi=metadata.exif_dpi(exif),
        notes=tuple(notes),
    )


def encoded_jxl(picture: Picture, attachments: dict[str, bytes], module: Any) -> bytes:
    """JPEG XL, in a container if EXIF or XMP go with it."""
    pixels = picture.pixels
    if pixels.dtype != np.uint8:
        # What has more than 8 bits the encoder takes for linear light, and says so in the file.
        pixels = _curved(pixels, picture.mode, to_linear)
    if picture.mode == "L":
        pixels = pixels[..., 0]
    stream = bytes(module.jpegxl_encode(np.ascontiguousarray(pixels), distance=_JXL_DISTANCE))
    added = {}
    if "exif" in attachments:
        added[b"Exif"] = b"\0\0\0\0" + attachments["exif"].removeprefix(metadata.EXIF_PREFIX)
    if "xmp" in attachments:
        added[b"xml "] = attachments["xmp"]
    return jxl.with_boxes(stream, added) if added else stream


def _curved(pixels: Pixels, mode: str, curve: Callable[[Floats], Floats]) -> Pixels:
    """`curve` of all channels but alpha."""
    colours = len(mode) - mode.endswith("A")
    result = pixels.copy()
    result[..., :colours] = from_unit(curve(to_unit(pixels[..., :colours])), pixels.dtype)
    return result


def _divided(pixels: Pixels) -> Pixels:
    """Alpha, the last channel, taken out of the colour that it was multiplied into."""
    unit = to_unit(pixels)
    alpha = unit[..., -1:]
    unit[..., :-1] = np.divide(
        unit[..., :-1], alpha, out=np.zeros_like(unit[..., :-1]), where=alpha > 0
    )
    return from_unit(unit, pixels.dtype)
