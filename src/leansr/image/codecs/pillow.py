"""What Pillow decodes: all that has 8 bits a sample and no tags of TIFF, animations too."""

import struct
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin
from PIL.JpegImagePlugin import JpegImageFile

from leansr.image import jpeg
from leansr.image.arrays import Pixels, from_unit, to_unit
from leansr.image.codecs import metadata, png, vips
from leansr.image.codecs.formats import Format
from leansr.image.picture import Picture

OPENERS = {"PNG": "PNG", "JPEG": "JPEG", "WebP": "WEBP", "BMP": "BMP", "GIF": "GIF", "AVIF": "AVIF"}
ANIMATED = ("PNG", "WEBP", "GIF", "AVIF")

CMYK_BY_PROFILE = "CMYK is converted to sRGB by its profile"
LOSSLESS_WEBP = "the WebP was encoded without loss and is written with loss"
CMYK_PLAIN = "CMYK without a profile is converted to RGB by the plain formula, as browsers do"


def opened(file: Any, format: Format) -> Image.Image:
    """The picture in a file of `format`, its pixels not decoded yet."""
    return Image.open(
        file, formats=[OPENERS[format.name], "MPO"][: 2 if format.name == "JPEG" else 1]
    )


def is_animation(image: Image.Image) -> bool:
    """Whether there are frames, and not the further pictures of a camera's JPEG."""
    return image.format in ANIMATED and getattr(image, "n_frames", 1) > 1


def still(image: Image.Image, pixels: Pixels | None = None, bits: int = 8) -> Picture:
    """The picture, upright; `pixels` if they were decoded by other means.

    `bits` are those of a sample of a PNG, in which it names the colour that is transparent.
    """
    notes: list[str] = []
    # Read before the pixels are: a decoder may leave the tables of a later scan behind.
    jpeg_quality = _jpeg_quality(image)
    if pixels is None:
        pixels = _pixels(image, bits)
    said = described(image, notes)
    if image.mode == "CMYK":
        pixels = from_inks(pixels, said.pop("icc_profile"), notes)
    if image.format == "MPO":
        count = getattr(image, "n_frames", 1)
        notes.append(f"the first of its {count} pictures is taken, which is the photo")
    if "photoshop" in image.info:
        notes.append("its IPTC data is left out")
    turned = metadata.turned(pixels, said.pop("orientation"))
    return Picture(
        turned, _MODES[pixels.shape[2]], jpeg_quality=jpeg_quality, notes=tuple(notes), **said
    )


def animation(image: Image.Image) -> Picture:
    """All frames, each whole as it is seen, with their times."""
    notes: list[str] = []
    # Beside the animation a PNG may hold a picture for those who cannot show it.
    first = 1 if image.format == "PNG" and image.info.get("default_image") else 0
    size = image.size
    seen: list[Pixels] = []
    durations: list[float] = []
    for index in range(first, getattr(image, "n_frames", 1)):
        image.seek(index)
        if image.size != size:
            raise ValueError("its frames differ in size")
        seen.append(np.asarray(image.convert("RGBA")))
        durations.append(float(image.info.get("duration", 0)))
    if all((frame[..., 3] == 255).all() for frame in seen):
        seen = [np.ascontiguousarray(frame[..., :3]) for frame in seen]
    said = described(image, notes)
    orientation = said.pop("orientation")
    seen = [metadata.turned(frame, orientation) for frame in seen]
    mode = _MODES[seen[0].shape[2]]
    frames = [Picture(p, mode, duration=d) for p, d in zip(seen, durations, strict=True)]
    return Picture(
        seen[0],
        mode,
        more=tuple(frames[1:]),
        duration=durations[0] if len(frames) > 1 else None,
        loops=_plays(image),
        notes=tuple(notes),
        **said,
    )


def is_lossless_webp(content: bytes) -> bool:
    """Whether the picture, or a frame, of a WebP file is encoded without loss (VP8L)."""
    offset = 12
    while offset + 8 <= len(content):
        name, size = struct.unpack_from("<4sL", content, offset)
        # A frame of an animation is 16 bytes on where and when, then chunks of its own.
        if name == b"VP8L" or (name == b"ANMF" and content[offset + 24 : offset + 28] == b"VP8L"):
            return True
        offset += 8 + size + size % 2
    return False


def described(image: Image.Image, notes: list[str]) -> dict[str, Any]:
    """What travels with the pixels, and their orientation, 1 to 8."""
    info = image.info
    exif, xmp = info.get("exif"), info.get("xmp")
    # Where EXIF tells no orientation, XMP's counts; Pillow has made EXIF of what an AVIF tells.
    xmp, by_xmp = metadata.upright_xmp(xmp.encode() if isinstance(xmp, str) else xmp)
    try:
        if exif is None and "Raw profile type exif" in info:
            # As ImageMagick wrote it before there was a chunk for it.
            exif = bytes.fromhex("".join(info["Raw profile type exif"].split("\n")[3:]))
        exif, orientation = metadata.upright_exif(exif)
    except ValueError:
        exif, orientation = None, None
        notes.append(metadata.DAMAGED)
    return {
        "icc_profile": info.get("icc_profile") or None,
        "exif": exif,
        "xmp": xmp,
        "dpi": _dpi(info.get("dpi")) or metadata.exif_dpi(exif),
        "text": tuple(_texts(image)),
        "orientation": orientation or (1 if image.format == "AVIF" else by_xmp),
    }


_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def _pixels(image: Image.Image, bits: int) -> Pixels:
    """`(H, W, C)` of the picture as it lies in the file; of CMYK four channels."""
    key = image.info.get("transparency")
    if image.mode in ("P", "PA"):
        has_alpha = image.mode == "PA" or key is not None
        colours = np.reshape(image.getpalette("RGB") or [], (-1, 3))
        # A profile for colour is none for grey.
        is_grey = (colours == colours[:, :1]).all() and not image.info.get("icc_profile")
        is_grey = is_grey and not has_alpha
        image = image.convert("RGBA" if has_alpha else "L" if is_grey else "RGB")
    elif image.mode == "1":
        image = image.convert("L")
    pixels = np.asarray(image)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if image.mode in ("L", "RGB") and key is not None:
        # Pillow gives 1 bit as 0 or 255, and 2 and 4 as they are in the file.
        white = {2: 3, 4: 15}.get(bits, 255)
        return _without_colour(pixels, np.atleast_1d(key) % 256 * 255 // white)
    return pixels


def _without_colour(pixels: Pixels, colour: npt.NDArray[np.int64]) -> Pixels:
    """Grey or RGB, one colour of which is transparent (PNG, 11.3.1.1), with alpha."""
    if len(colour) != pixels.shape[2]:
        return pixels
    opaque = np.uint8(255) * (pixels != colour).any(axis=2, keepdims=True)
    return np.concatenate([pixels, opaque.astype(np.uint8)], axis=2)


def from_inks(pixels: Pixels, icc_profile: bytes | None, notes: list[str]) -> Pixels:
    """CMYK `(H, W, 4)` as RGB, by its profile if it has one; `notes` are told how."""
    if icc_profile:
        try:
            converted = vips.srgb(pixels, icc_profile)
        except ValueError:
            notes.append("its CMYK profile is damaged and left out")
        else:
            notes.append(CMYK_BY_PROFILE)
            return converted
    notes.append(CMYK_PLAIN)
    inks = to_unit(pixels)
    return from_unit((1 - inks[..., :3]) * (1 - inks[..., 3:]), pixels.dtype)


def _jpeg_quality(image: Image.Image) -> int | None:
    """By the table of the first component, which is luma where there is one; None if no JPEG."""
    if not isinstance(image, JpegImageFile):
        return None
    *_, number = image.layer[0]
    table = image.quantization.get(number)
    # A table may come as late as before the first scan that needs it; Pillow reads on to that scan.
    return None if table is None else jpeg.quality(table)


def _dpi(dpi: Any) -> tuple[float, float] | None:
    return metadata.valid_dpi(float(dpi[0]), float(dpi[1])) if dpi else None


def _texts(image: Image.Image) -> list[tuple[str, str]]:
    if isinstance(image, PngImagePlugin.PngImageFile):
        skipped = (png.XMP_KEYWORD, "Raw profile type")
        return [(k, str(v)) for k, v in image.text.items() if not k.startswith(skipped)]
    comment = image.info.get("comment")
    if isinstance(comment, bytes):
        comment = comment.decode("utf-8", "replace")
    return [("Comment", comment)] if comment else []


def _plays(image: Image.Image) -> int:
    """How often an animation is shown, 0 for without an end."""
    loop = image.info.get("loop")
    if image.format == "GIF":
        # GIF says how often it is shown again, and nothing for once.
        return 1 if loop is None else 0 if loop == 0 else int(loop) + 1
    return int(loop or 0)
