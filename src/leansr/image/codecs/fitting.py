"""A picture made ready for a format: what it cannot hold is changed or left out, and named."""

from dataclasses import fields, replace
from typing import Any

import numpy as np

from leansr.image.arrays import Pixels, from_unit, to_unit
from leansr.image.codecs import metadata, pillow, profiles, vips
from leansr.image.codecs.formats import Format
from leansr.image.picture import Picture

_NAMES = {
    "icc_profile": "colour profile",
    "exif": "EXIF",
    "xmp": "XMP",
    "dpi": "resolution",
    "text": "text",
}
_BITS = {"uint8": 8, "uint16": 16, "float32": 32}
# Milliseconds of a frame: 16 bits of hundredths of a second.
GIF_LONGEST = 655_350
# Of a larger one Pillow reads no picture at all.
_PNG_PROFILE = 1 << 20
# A JPEG's metadata lies in segments of 64 KiB.
_JPEG_SEGMENT = {"exif": 65533, "xmp": 65504}


def fitted(picture: Picture, format: Format) -> tuple[Picture, tuple[str, ...]]:
    """The picture as `format` holds it, and a note for each kind of thing that is lost.

    Notes of the reading come first. Alpha is never lost: `check_format` refuses it.
    """
    notes = [
        note for note in picture.notes if note != pillow.LOSSLESS_WEBP or format.name == "WebP"
    ]
    picture = _with_dtype(picture, format, notes)
    picture = _with_colour(picture, format, notes)
    if format.name == "AVIF" and picture.pixels.dtype == np.uint16 and picture.mode[0] == "L":
        notes.append("AVIF of more than 8 bits is written in RGB, of grey")
    picture = _with_mode(picture, format)
    picture = _with_metadata(picture, format, notes)
    if picture.is_animation and format.name == "AVIF" and picture.loops:
        notes.append("AVIF does not say how often an animation is shown, which is left out")
    if format.name == "GIF" and any((f.duration or 0) > GIF_LONGEST for f in picture.frames):
        notes.append(f"GIF shows a frame for {GIF_LONGEST / 1000:g} seconds at most")
    if picture.more:
        more = tuple(fitted(frame, format) for frame in picture.more)
        notes += [note for _, frame_notes in more for note in frame_notes]
        picture = replace(picture, more=tuple(frame for frame, _ in more))
    return replace(picture, notes=()), tuple(dict.fromkeys(notes))


def _with_colour(picture: Picture, format: Format, notes: list[str]) -> Picture:
    """With a profile for what PNG's chunks say, or in sRGB where no profile can be held."""
    if "png_colour" not in format.metadata and picture.png_colour:
        if picture.icc_profile is None:
            try:
                made = profiles.of_png(dict(picture.png_colour), picture.mode[0] == "L")
            except ValueError as cause:
                notes.append(f"{format.name} cannot hold {cause}, which is left out")
            else:
                picture = replace(picture, icc_profile=made)
        picture = replace(picture, png_colour=())
    profile = picture.icc_profile
    if profile is None:
        return picture
    is_grey_in_colour = profile[16:20] == b"GRAY" and "L" not in format.modes
    is_too_large = format.name == "PNG" and len(profile) > _PNG_PROFILE
    if "icc_profile" in format.metadata and not is_grey_in_colour and not is_too_large:
        return picture
    try:
        converted = picture.each(lambda pixels: _srgb(pixels, picture.has_alpha, profile))
    except ValueError as cause:
        notes.append(f"{format.name} holds no such colour profile, and {cause}: it is left out")
        return replace(picture, icc_profile=None)
    notes.append(f"{format.name} holds no such colour profile: colours are converted to sRGB")
    return replace(converted, icc_profile=None)


def _srgb(pixels: Pixels, has_alpha: bool, icc_profile: bytes) -> Pixels:
    """In sRGB, grey as grey and with alpha as it is."""
    colours = pixels[..., :-1] if has_alpha else pixels
    # libvips converts floats with 16 bits.
    dtype = np.uint16 if pixels.dtype.kind == "f" else pixels.dtype
    converted = vips.srgb(from_unit(to_unit(colours), dtype), icc_profile)
    converted = from_unit(to_unit(converted[..., : colours.shape[2]]), pixels.dtype)
    return np.concatenate([converted, pixels[..., -1:]], axis=2) if has_alpha else converted


def _with_dtype(picture: Picture, format: Format, notes: list[str]) -> Picture:
    dtype = picture.pixels.dtype.name
    bits = picture.bits
    if format.name != "TIFF" and picture.levels != (0.0, 1.0):
        low, high = picture.levels
        notes.append(f"{format.name}: values from {low:g} to {high:g} are scaled to all it holds")
        picture = replace(picture, levels=(0.0, 1.0))
    if dtype not in format.dtypes:
        best = format.dtypes[-1]
        notes.append(f"{format.name} holds {_BITS[best]} bits a sample at most, of {_BITS[dtype]}")
        pixels = from_unit(to_unit(picture.pixels), best)
        picture = replace(picture, pixels=pixels, bits=None)
        dtype, bits = best, None
    if format.name == "HEIC" and dtype == "uint16" and bits != 10:
        notes.append(f"{format.name} is written with 10 bits a sample, of {bits or 16}")
        return replace(picture, bits=10)
    if format.name == "AVIF" and dtype == "uint16" and bits not in (10, 12):
        notes.append("AVIF holds 12 bits a sample at most, of 16")
        return replace(picture, bits=12)
    return picture


def _with_mode(picture: Picture, format: Format) -> Picture:
    """Grey as RGB where the format has no grey (or none with alpha), which looks the same."""
    if picture.mode in format.modes or picture.mode not in ("L", "LA"):
        return picture
    colour = np.repeat(picture.pixels[..., :1], 3, axis=2)
    pixels = np.concatenate([colour, picture.pixels[..., 1:]], axis=2)
    return replace(picture, pixels=pixels, mode="RGBA" if picture.has_alpha else "RGB")


def _with_metadata(picture: Picture, format: Format, notes: list[str]) -> Picture:
    left_out: dict[str, Any] = {}
    for field in fields(Picture):
        value = getattr(picture, field.name)
        name = _NAMES.get(field.name)
        if name is None or not value or field.name in format.metadata:
            continue
        if field.name == "text" and "comment" in format.metadata:
            kept = [text for key, text in value if key == "Comment"][:1]
            left_out["text"] = tuple(("Comment", text) for text in kept)
            if len(value) > len(kept):
                notes.append(f"{format.name} holds a comment but no other text, which is left out")
            continue
        notes.append(f"{format.name} holds no {name}, which is left out")
        left_out[field.name] = field.default
    for name, most in _JPEG_SEGMENT.items() if format.name == "JPEG" else ():
        # As large as it will be, with the numbers of pixels of the result.
        sized = {"exif": metadata.sized_exif, "xmp": metadata.sized_xmp}[name]
        data = sized(getattr(picture, name), *picture.pixels.shape[:2])
        if len(data or b"") > most:
            notes.append(f"JPEG holds {most} bytes of {_NAMES[name]}, more is left out")
            left_out[name] = None
    return replace(picture, **left_out)
