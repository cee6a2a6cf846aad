"""From the bytes of a file to a picture, by whatever decodes its format."""

import io
import struct
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np
from PIL import Image

from leansr.image.arrays import Pixels
from leansr.image.codecs import jxl, metadata, optional, pillow, png, profiles, tags, tiff, vips
from leansr.image.codecs.formats import Format
from leansr.image.codecs.tags import Tree
from leansr.image.picture import Picture

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
# A reduced copy of another page (TIFF 6.0, NewSubfileType).
_SUBFILE, _IS_REDUCED = 254, 1
# Bits of the third byte of av1C (AV1 Image File Format, 2.3.3).
_HIGH_DEPTH, _TWELVE_BITS, _IS_GREY = 0x40, 0x20, 0x10


@dataclass(frozen=True)
class Size:
    """What a file says of its picture before any of it is decoded.

    `channels` and `itemsize`, bytes a sample, are those of the decoded picture at most; `frames`
    are all frames or pages, each of which counts as large as the largest.
    """

    height: int
    width: int
    channels: int
    itemsize: int
    frames: int = 1

    @property
    def pixels(self) -> int:
        """Of all frames."""
        return self.height * self.width * self.frames

    @property
    def nbytes(self) -> int:
        """What all frames take when they are decoded."""
        return self.pixels * self.channels * self.itemsize


def size(file: BinaryIO, format: Format) -> Size:
    """The size of the picture in `file`, whose pixels are not decoded.

    Raises whatever the library of the format raises of what is damaged.
    """
    if format.name == "TIFF":
        return _tiff_size(tags.parse(tags.Slices(file)))
    if format.name == "PNG":
        return Size(*png.size(tags.Slices(file)))
    if format.name == "HEIC":
        image = optional.heic(file.read(), optional.library(format))
        return Size(image.size[1], image.size[0], 4, 2 if "16" in image.mode else 1)
    if format.name == "JPEG XL":
        return Size(*jxl.size(tags.Slices(file)), channels=4, itemsize=4)
    with pillow.opened(file, format) as image:
        across, down = image.size
        frames = getattr(image, "n_frames", 1) if pillow.is_animation(image) else 1
        if metadata.orientation(image.info.get("exif")) >= 5:
            across, down = down, across
        if frames > 1:
            return Size(down, across, 4, 1, frames)
        channels = {"L": 1, "1": 1, "I;16": 1, "LA": 2, "RGB": 3}.get(image.mode, 4)
        if "transparency" in image.info:
            channels = 4
        return Size(down, across, channels, 2 if format.name == "AVIF" else 1)


def picture(content: bytes, format: Format) -> Picture:
    """The picture in `content`, which is of `format`; raises as `size` does."""
    if format.name == "TIFF":
        return _tiff(content)
    if format.name == "HEIC":
        image = optional.heic(content, optional.library(format))
        return _with_nclx(optional.heic_picture(image), content)
    if format.name == "JPEG XL":
        return optional.jxl_picture(content, optional.library(format))
    profile = None
    if format.name == "PNG":
        content, profile = png.without_profile(content)
    with pillow.opened(io.BytesIO(content), format) as image:
        if profile is not None:
            image.info["icc_profile"] = profile
        if pillow.is_animation(image):
            found = pillow.animation(image)
            if format.name == "PNG" and content[24] == 16:
                found = replace(found, notes=(*found.notes, "frames of 16 bits become 8"))
        elif format.name == "AVIF":
            return _with_nclx(_avif(content, image), content)
        elif format.name == "PNG":
            found = _png(content, image)
        else:
            found = pillow.still(image)
    if format.name == "WebP" and pillow.is_lossless_webp(content):
        found = replace(found, notes=(*found.notes, pillow.LOSSLESS_WEBP))
    if format.name == "PNG":
        colour = tuple(chunk for chunk in png.chunks(content) if chunk[0] in png.COLOUR_CHUNKS)
        return replace(found, icc_profile=profile, png_colour=colour)
    return found


def _png(content: bytes, image: Image.Image) -> Picture:
    # In IHDR, which Pillow has seen to come first: eight bytes of size, then the bits.
    bits = content[24]
    if bits < 16:
        return pillow.still(image, bits=bits)
    pixels, _ = vips.decoded(content, image.width * image.height)
    # What travels with them is Pillow's to find, without decoding them again.
    with Image.open(io.BytesIO(png.without_pixels(content))) as stub:
        return pillow.still(stub, pixels)


def _avif(content: bytes, image: Image.Image) -> Picture:
    place = content.find(b"av1C")
    said = content[place + 6] if 0 <= place < len(content) - 6 else 0
    if not said & _HIGH_DEPTH:
        found = pillow.still(image)
        if said & _IS_GREY and found.mode == "RGB":
            found = replace(found, pixels=found.pixels[..., :1].copy(), mode="L")
        return found
    bits = 12 if said & _TWELVE_BITS else 10
    # Turned by libheif already.
    pixels, _ = vips.decoded(content, image.width * image.height)
    found = pillow.still(image, np.zeros((1, 1, pixels.shape[2]), np.uint8))
    return replace(found, pixels=vips.whole_range(pixels, bits), bits=bits)


def _with_nclx(found: Picture, content: bytes) -> Picture:
    """With a profile for H.273's codes, if that is how a HEIC or AVIF says its colour."""
    place = content.find(b"colrnclx")
    if found.icc_profile is not None or not 0 <= place <= len(content) - 12:
        return found
    codes = struct.unpack_from(">HH", content, place + 8)
    try:
        return replace(found, icc_profile=profiles.of_codes(*codes))
    except ValueError as cause:
        return replace(found, notes=(*found.notes, f"{cause} is left out"))


def _tiff_size(tree: Tree) -> Size:
    pages = [tree.directories[i] for i in _pages(tree)]
    height, width, channels, bits = (
        int(max(tags.first(page, name) or least for page in pages))
        for name, least in ((tiff.LENGTH, 0), (tiff.WIDTH, 0), (tiff.SAMPLES, 1), (tiff.BITS, 1))
    )
    if len(pages) == 1 and (tags.first(pages[0], metadata.ORIENTATION) or 1) >= 5:
        height, width = width, height
    is_palette = any(tags.first(page, tiff.PHOTOMETRIC) == 3 for page in pages)
    return Size(height, width, 3 if is_palette else channels, -(-bits // 8), len(pages))


def _pages(tree: Tree) -> list[int]:
    """Which directories are pages, and not smaller copies of one."""
    if not any(tiff.WIDTH in page for page in tree.directories):
        raise ValueError("it has no picture")
    kinds = [int(tags.first(page, _SUBFILE) or 0) for page in tree.directories]
    return [i for i, kind in enumerate(kinds) if not kind & _IS_REDUCED] or [0]


def _tiff(content: bytes) -> Picture:
    tree = tags.parse(content)
    first, *more = (_tiff_page(content, tree, index) for index in _pages(tree))
    return replace(first, more=tuple(more))


def _tiff_page(content: bytes, tree: Tree, index: int) -> Picture:
    directory = tree.directories[index]
    notes: list[str] = []
    across, down = (int(tags.first(directory, name) or 0) for name in (tiff.WIDTH, tiff.LENGTH))
    pixels, space = vips.decoded(content, across * down, page=index)
    if not np.isfinite(pixels).all():
        raise ValueError("it has values that are not finite")
    icc_profile = directory[tiff.ICC].data if tiff.ICC in directory else None
    colours = vips.COLOURS[space]
    extra = directory.get(tiff.EXTRA_SAMPLES)
    # The first that is said to be alpha, or, where nothing is said, the first.
    kinds = extra.numbers if extra else [2]
    place = colours + next((i for i, kind in enumerate(kinds) if kind), len(kinds))
    has_alpha = pixels.shape[2] > place
    if pixels.shape[2] > colours + has_alpha:
        notes.append("channels that are neither colour nor alpha are left out")
    alpha = pixels[..., place : place + 1]
    pixels, levels = _unit(pixels[..., :colours])
    if space == "cmyk":
        pixels = pillow.from_inks(pixels, icc_profile, notes)
        icc_profile = None
    pixels = np.concatenate([pixels, alpha.astype(pixels.dtype)], axis=2) if has_alpha else pixels
    exif, left_out = tiff.said(tree, index)
    if left_out:
        notes.append(f"TIFF tags {', '.join(map(str, left_out))} are left out")
    xmp, by_xmp = metadata.upright_xmp(directory[tiff.XMP].data if tiff.XMP in directory else None)
    prefix = metadata.EXIF_PREFIX
    return Picture(
        metadata.turned(pixels, metadata.told(directory) or by_xmp),
        _MODES[pixels.shape[2]],
        icc_profile=icc_profile,
        exif=prefix + tags.with_header(Tree([exif], tree.order)) if exif else None,
        xmp=xmp,
        dpi=metadata.dpi_of(directory),
        levels=levels,
        notes=tuple(notes),
    )


def _unit(pixels: Pixels) -> tuple[Pixels, tuple[float, float]]:
    """Floats beyond 0 and 1 brought there, and the values that 0 and 1 stand for."""
    if pixels.dtype.kind != "f":
        return pixels, (0.0, 1.0)
    low, high = min(0.0, float(pixels.min())), max(1.0, float(pixels.max()))
    if high - low > np.finfo(np.float32).max:
        raise ValueError("its values are too far apart")
    if (low, high) == (0.0, 1.0):
        return pixels, (low, high)
    return ((pixels - np.float32(low)) / np.float32(high - low)).astype(np.float32), (low, high)
