"""Pictures from and to files: 8-bit grey, RGB, with or without alpha, as PNG, JPEG or WebP.

What is not supported is refused by name: Pillow opens some of it as something else in silence.
"""

import io
import os
import stat
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from leansr.errors import PictureError
from leansr.image import jpeg
from leansr.image.picture import MODES, Picture

# Suffix: Pillow's format and how it is written. JPEG and WebP at 95: no visible loss at twice the
# size; PNG at level 3: three times as fast as Pillow's 6 for 8 % more bytes.
FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {"compress_level": 3}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": "4:4:4"}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": "4:4:4"}),
    ".webp": ("WEBP", {"quality": 95}),
}
LARGEST_SIDE = {"JPEG": 65500, "WEBP": 16383}
# Pictures all the same: a folder's are named as failed, not passed over.
UNSUPPORTED = {
    *(".apng", ".avif", ".bmp", ".gif", ".heic", ".heif", ".ico", ".jfif", ".jp2", ".jpe"),
    *(".jxl", ".tif", ".tiff"),
}

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read(path: Path) -> Picture:
    """The picture in `path`, its EXIF orientation applied; PictureError if it is not supported."""
    if path.suffix.lower() in UNSUPPORTED:
        raise PictureError(f"{path}: {path.suffix} is not supported yet; {_instead()}")
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise PictureError(f"{path}: is not a file")
        content = path.read_bytes()
    except FileNotFoundError as cause:
        raise PictureError(f"{path}: no such file") from cause
    except OSError as cause:
        raise PictureError(f"{path}: cannot be read ({cause.strerror})") from cause
    return decode(content, str(path))


def decode(content: bytes, name: str) -> Picture:
    """The picture in the bytes of a file; `name` is what an error calls it."""
    with _decoding(name):
        _refuse_png_depth(name, content)
        with Image.open(io.BytesIO(content)) as image:
            _refuse_unsupported(name, image)
            icc_profile = image.info.get("icc_profile")
            jpeg_quality = _jpeg_quality(image)
            upright, exif = _upright(image)
            pixels = np.asarray(upright)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    return Picture(pixels, image.mode, icc_profile, exif, jpeg_quality)


def write(picture: Picture, path: Path) -> None:
    """Writes `picture` in the format of the suffix, whole or not at all."""
    check_format(picture, path)
    image_format, options = format_of(path)
    pixels = picture.pixels[..., 0] if picture.mode == "L" else picture.pixels
    image = Image.fromarray(pixels)
    attachments = {"icc_profile": picture.icc_profile, "exif": picture.exif}
    if image_format == "WEBP" and (picture.icc_profile or b"")[16:20] == b"GRAY":
        # WebP has no grey, and beside RGB a profile of grey would be wrong.
        del attachments["icc_profile"]
    options = options | {name: value for name, value in attachments.items() if value}
    try:
        # Encoded in memory: Pillow's JPEG encoder does not notice that a disk is full.
        encoded = io.BytesIO()
        image.save(encoded, image_format, **options)
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside(path) as part:
            part.write_bytes(encoded.getbuffer())
    except (OSError, ValueError) as cause:
        raise PictureError(f"{path}: cannot be written ({cause})") from cause


def check_format(picture: Picture, path: Path, scale: int = 1) -> None:
    """Whether `path` can hold `picture` scaled up, asked before the work; PictureError if not."""
    image_format, _ = format_of(path)
    largest = LARGEST_SIDE.get(image_format)
    if largest is not None and max(picture.pixels.shape[:2]) * scale > largest:
        raise PictureError(f"{path}: {image_format} holds {largest} pixels a side; write .png")
    if picture.has_alpha and image_format == "JPEG":
        raise PictureError(f"{path}: JPEG cannot hold the alpha channel; write .png or .webp")


def format_of(path: Path) -> tuple[str, dict[str, Any]]:
    """Pillow's format and options for the suffix of `path`; PictureError if there is none."""
    try:
        return FORMATS[path.suffix.lower()]
    except KeyError:
        name = path.suffix or "a name without a suffix"
        raise PictureError(f"{path}: {name} cannot be written; {_instead()}") from None


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A temporary name in the folder of `path`, renamed to it at the end or removed."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:64]}.", suffix=".part", dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        # mkstemp is private to its owner; the picture gets what any new file here would.
        mask = os.umask(0)
        os.umask(mask)
        part.chmod(0o666 & ~mask)
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _decoding(name: str) -> Iterator[None]:
    """The one door through which Pillow's errors become ours."""
    try:
        with warnings.catch_warnings():
            # Of large pictures, which are what we are for, and of damaged EXIF, which is left out.
            warnings.simplefilter("ignore")
            yield
    except UnidentifiedImageError as cause:
        raise PictureError(f"{name}: is not a picture that can be decoded") from cause
    except Image.DecompressionBombError as cause:
        raise PictureError(
            f"{name}: has more than {2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6} megapixels, "
            f"too many to be decoded in one piece; split it"
        ) from cause
    except PictureError:
        raise
    except Exception as cause:  # a decoder fed with damage raises whatever it comes upon
        raise PictureError(f"{name}: cannot be decoded ({cause})") from cause


def _refuse_png_depth(name: str, content: bytes) -> None:
    # Pillow opens a 16-bit RGB PNG as 8-bit without a word, so the header is asked first:
    # signature, IHDR's length and name, width and height, then the bit depth.
    if not content.startswith(_PNG_SIGNATURE) or len(content) <= 24:
        return
    if content[12:16] != b"IHDR":
        raise PictureError(f"{name}: is not a valid PNG (it does not begin with IHDR)")
    if content[24] != 8:
        raise PictureError(f"{name}: {content[24]}-bit PNG is not supported yet; save it as 8-bit")


def _jpeg_quality(image: Image.Image) -> int | None:
    """By the table of the first component, which is luma where there is one; None if no JPEG."""
    if not isinstance(image, JpegImageFile):
        return None
    *_, number = image.layer[0]
    table = image.quantization.get(number)
    # A table may come as late as before the first scan that needs it; Pillow reads on to that scan.
    return None if table is None else jpeg.quality(table)


def _upright(image: Image.Image) -> tuple[Image.Image, bytes | None]:
    """The picture turned as its EXIF says, and the EXIF without the turn; damaged EXIF is none."""
    try:
        upright = ImageOps.exif_transpose(image)
        return upright, upright.getexif().tobytes() if len(upright.getexif()) else None
    except Exception:  # EXIF is written by every camera and editor in its own way
        image.load()
        return image, None


def _refuse_unsupported(name: str, image: Image.Image) -> None:
    if image.format == "MPO":
        # A camera's JPEG with previews or depth after the photo, which is the first frame.
        pass
    elif image.format not in {known for known, _ in FORMATS.values()}:
        raise PictureError(f"{name}: {image.format} is not supported yet; {_instead()}")
    elif getattr(image, "n_frames", 1) > 1:
        raise PictureError(f"{name}: animations are not supported yet; save one frame of it")
    if image.mode not in MODES:
        raise PictureError(f"{name}: mode {image.mode} is not supported yet; save it as RGB")
    gamma = image.info.get("gamma", 1 / 2.2)
    if abs(gamma - 1 / 2.2) > 0.01 and not {"srgb", "icc_profile"} & set(image.info):
        raise PictureError(f"{name}: a gamma of {gamma:g} is not supported yet; convert it to sRGB")
    if "transparency" in image.info:
        raise PictureError(
            f"{name}: a transparent colour is not supported yet; save it with an alpha channel"
        )


def _instead() -> str:
    return f"supported are {', '.join(sorted(FORMATS))}"
