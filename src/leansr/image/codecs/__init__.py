"""Pictures from and to files: what survives of each format is in docs/formats.md.

A picture is told by its content, not by its name, and its size is looked at before its pixels are.
"""

import io
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from fractions import Fraction
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from leansr.errors import PictureError
from leansr.image.codecs import decoding, encoding, fitting, formats, optional, quiet
from leansr.image.codecs.decoding import Size
from leansr.image.codecs.formats import FORMATS, UNSUPPORTED, Format, format_of, instead
from leansr.image.picture import Picture

__all__ = [
    "FORMATS",
    "LARGEST",
    "UNSUPPORTED",
    "Around",
    "Size",
    "beside",
    "check_format",
    "decode",
    "format_of",
    "read",
    "size_of",
    "write",
]

# Pixels of a file, all frames together, that are decoded in one piece: Pillow's limit.
LARGEST = 178_956_970
_LARGEST_FILE = 1 << 31
_HEAD = 64

# What is done around the writing of a temporary file, before it is put in place.
Around = Callable[[Path], AbstractContextManager[object]]


def read(path: Path) -> Picture:
    """The picture in `path`, upright; PictureError if it is not supported."""
    with _reading(path) as file:
        if os.fstat(file.fileno()).st_size > _LARGEST_FILE:
            raise PictureError(
                f"{path}: is larger than 2 GiB, too large to be decoded in one piece"
            )
        return decode(file.read(), str(path))


def size_of(path: Path) -> Size:
    """What the file says of its picture; cheap: none of its pixels are decoded.

    PictureError as for `read`, but a PNG or TIFF may be as large as it likes.
    """
    with _reading(path) as file, _decoding(str(path)):
        format = _told(file.read(_HEAD), str(path))
        file.seek(0)
        return decoding.size(file, format)


def decode(content: bytes, name: str) -> Picture:
    """The picture in the bytes of a file; `name` is what an error calls it."""
    with _decoding(name):
        format = _told(content[:_HEAD], name)
        size = decoding.size(io.BytesIO(content), format)
        if not size.pixels:
            raise PictureError(f"{name}: is {size.width} x {size.height} pixels, which is none")
        if size.pixels > LARGEST:
            what = f"{size.frames} frames of " if size.frames > 1 else ""
            raise PictureError(
                f"{name}: has {what}{size.width} x {size.height} pixels, more than the "
                f"{LARGEST // 10**6} megapixels that are decoded in one piece; split it"
            )
        picture = decoding.picture(content, format)
        sides = [frame.pixels.shape[:2] for frame in picture.frames]
        if any(height * width > size.height * size.width for height, width in sides):
            raise PictureError(f"{name}: is damaged: its header says another size")
        return picture


def write(
    picture: Picture, path: Path, compression: int | None = None, around: Around = nullcontext
) -> tuple[str, ...]:
    """Writes `picture` in the format of the suffix, whole or not at all.

    `compression` is that of PNG and TIFF, 0 to 9: up to 3 fast, above tighter. `around` is that
    of `beside`. Returns what was lost between the file read and the file written, a line for each
    kind.
    """
    check_format(picture, path)
    format = format_of(path)
    fitted, notes = fitting.fitted(picture, format)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside(path, around) as part, open(part, "wb") as file:
            encoding.encode(fitted, format, file, compression)
    except PictureError as cause:
        raise PictureError(f"{path}: {cause}") from cause
    except Exception as cause:  # an encoder raises whatever it comes upon
        raise PictureError(f"{path}: cannot be written ({_line(cause)})") from cause
    return notes


def check_format(picture: Picture, path: Path, scale: int | Fraction = 1) -> None:
    """Whether `path` can hold `picture` scaled up, asked before the work; PictureError if not."""
    format = format_of(path)
    try:
        optional.library(format)
    except PictureError as cause:
        raise PictureError(f"{path}: {cause}") from cause
    side = max(max(frame.pixels.shape[:2]) for frame in picture.frames) * scale
    if side > format.largest:
        raise PictureError(
            f"{path}: {format.name} holds {format.largest} pixels a side; write .png"
        )
    if picture.has_alpha and not any(mode.endswith("A") for mode in format.modes):
        raise PictureError(
            f"{path}: {format.name} cannot hold the alpha channel; write .png or .webp"
        )
    if not picture.more:
        return
    what, others = "pages", ".tif"
    if picture.is_animation:
        what, others = "animation", ".png, .webp or .gif"
        if len({frame.pixels.shape for frame in picture.frames}) > 1:
            raise PictureError(f"{path}: the frames of an animation are of one size and mode")
    if what not in format.frames:
        count = len(picture.more) + 1
        frames = f"{count} pages" if what == "pages" else f"an animation of {count} frames"
        raise PictureError(f"{path}: {format.name} cannot hold {frames}; write {others}")


@contextmanager
def beside(path: Path, around: Around = nullcontext) -> Iterator[Path]:
    """A temporary name in the folder of `path`, renamed to it at the end or removed.

    What `around` gives for that name is entered when it is there and left before it is renamed.
    """
    # `leansr.runtime.batch` knows names of this form for ours.
    part = path.parent / f".{path.name[:64]}.{secrets.token_hex(4)}.part"
    # Not by tempfile, whose files are private to their owner: this gets what any new file would.
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        with around(part):
            yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _reading(path: Path) -> Iterator[io.BufferedReader]:
    try:
        # Asked before it is opened, which would wait for the writer of a pipe.
        if not stat.S_ISREG(path.stat().st_mode):
            raise PictureError(f"{path}: is not a file")
        with path.open("rb") as file:
            yield file
    except FileNotFoundError as cause:
        raise PictureError(f"{path}: no such file") from cause
    except OSError as cause:
        raise PictureError(f"{path}: cannot be read ({cause.strerror})") from cause


@contextmanager
def _decoding(name: str) -> Iterator[None]:
    """The one door through which the errors of the libraries become ours."""
    try:
        # Of large pictures, which are what we are for, and of damaged EXIF, which is left out.
        with quiet.no_warnings():
            yield
    except UnidentifiedImageError as cause:
        raise PictureError(f"{name}: is not a picture that can be decoded") from cause
    except Image.DecompressionBombError as cause:
        raise PictureError(
            f"{name}: has more than {LARGEST // 10**6} megapixels, too many to be decoded in one "
            f"piece; split it"
        ) from cause
    except MemoryError as cause:
        raise PictureError(f"{name}: does not fit into memory") from cause
    except PictureError as cause:
        if str(cause).startswith(f"{name}: "):
            raise
        raise PictureError(f"{name}: {cause}") from cause
    except Exception as cause:  # a decoder fed with damage raises whatever it comes upon
        raise PictureError(f"{name}: cannot be decoded ({_line(cause)})") from cause


def _told(head: bytes, name: str) -> Format:
    format = formats.told(head)
    if format is None:
        if Path(name).suffix.lower() in UNSUPPORTED:
            raise PictureError(f"{name}: {Path(name).suffix} is not supported; {instead()}")
        raise PictureError(f"{name}: is not a picture that can be decoded")
    return format


def _line(cause: Exception) -> str:
    """What a library says, in one line."""
    # libvips says in its last line what the others led to.
    told = getattr(cause, "detail", None) or str(cause)
    lines = [line for line in str(told).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(cause).__name__
