"""Pictures from and to files: 8-bit grey, RGB, with or without alpha, as PNG, JPEG or WebP.

What is not supported is refused by name: Pillow opens some of it as something else in silence.
"""

import os
import struct
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from leansr.errors import PictureError
from leansr.image.picture import MODES, Picture

# Suffix: Pillow's format and how it is written. JPEG and WebP at 95: no visible loss at twice the
# size; PNG at level 3: three times as fast as Pillow's 6 for 8 % more bytes.
FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {"compress_level": 3}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": "4:4:4"}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": "4:4:4"}),
    ".webp": ("WEBP", {"quality": 95}),
}
# Pictures all the same: a folder's are named as failed, not passed over.
UNSUPPORTED = {".avif", ".bmp", ".gif", ".heic", ".heif", ".jp2", ".jxl", ".tif", ".tiff"}

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read(path: Path) -> Picture:
    """The picture in `path`, its EXIF orientation applied; PictureError if it is not supported."""
    if path.suffix.lower() in UNSUPPORTED:
        raise PictureError(f"{path}: {path.suffix} is not supported yet; {_instead()}")
    with _decoding(path):
        _refuse_png_depth(path)
        with Image.open(path) as image:
            _refuse_unsupported(path, image)
            upright = ImageOps.exif_transpose(image)
            icc_profile = image.info.get("icc_profile")
            exif = upright.getexif().tobytes() if len(upright.getexif()) else None
            pixels = np.asarray(upright)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    return Picture(pixels, image.mode, icc_profile, exif)


def write(picture: Picture, path: Path) -> None:
    """Writes `picture` in the format of the suffix, whole or not at all."""
    check_format(picture, path)
    image_format, options = format_of(path)
    pixels = picture.pixels[..., 0] if picture.mode == "L" else picture.pixels
    image = Image.fromarray(pixels)
    attachments = {"icc_profile": picture.icc_profile, "exif": picture.exif}
    options = options | {name: value for name, value in attachments.items() if value}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside(path) as part:
            image.save(part, image_format, **options)
    except (OSError, ValueError) as cause:
        raise PictureError(f"{path}: cannot be written ({cause})") from cause


def check_format(picture: Picture, path: Path) -> None:
    """Whether `path` can hold `picture`, asked before the work: PictureError if it cannot."""
    image_format, _ = format_of(path)
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
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
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
def _decoding(path: Path) -> Iterator[None]:
    """The one door through which Pillow's errors become ours."""
    try:
        with warnings.catch_warnings():
            # Large is what we are for; above twice its limit Pillow raises, and that is told.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    except FileNotFoundError as cause:
        raise PictureError(f"{path}: no such file") from cause
    except UnidentifiedImageError as cause:
        raise PictureError(f"{path}: is not a picture that can be decoded") from cause
    except (OSError, SyntaxError, ValueError, struct.error) as cause:
        raise PictureError(f"{path}: cannot be decoded ({cause})") from cause
    except Image.DecompressionBombError as cause:
        raise PictureError(f"{path}: is too large to be decoded in one piece") from cause


def _refuse_png_depth(path: Path) -> None:
    # Pillow opens a 16-bit RGB PNG as 8-bit without a word, so the header is asked first:
    # signature, IHDR's length and name, width and height, then the bit depth.
    with path.open("rb") as file:
        header = file.read(26)
    if header.startswith(_PNG_SIGNATURE) and len(header) == 26 and header[24] != 8:
        raise PictureError(f"{path}: {header[24]}-bit PNG is not supported yet; save it as 8-bit")


def _refuse_unsupported(path: Path, image: Image.Image) -> None:
    if image.format == "MPO":
        # A camera's JPEG with previews or depth after the photo, which is the first frame.
        pass
    elif image.format not in {name for name, _ in FORMATS.values()}:
        raise PictureError(f"{path}: {image.format} is not supported yet; {_instead()}")
    elif getattr(image, "n_frames", 1) > 1:
        raise PictureError(f"{path}: animations are not supported yet; save one frame of it")
    if image.mode not in MODES:
        raise PictureError(f"{path}: mode {image.mode} is not supported yet; save it as RGB")
    if "transparency" in image.info:
        raise PictureError(
            f"{path}: a transparent colour is not supported yet; save it with an alpha channel"
        )


def _instead() -> str:
    return f"supported are {', '.join(sorted(FORMATS))}"
