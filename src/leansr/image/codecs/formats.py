"""The formats: their suffixes, what they can hold, and how they are told from their first bytes."""

from dataclasses import dataclass, field
from pathlib import Path

from leansr.errors import PictureError

COLOURS = ("L", "LA", "RGB", "RGBA")


@dataclass(frozen=True)
class Format:
    """What a format holds of a picture as we write it.

    `dtypes` are those of pixels, best last. `modes` are those that come back as they were; others
    become RGB(A), or are refused if that would lose alpha. `metadata` are fields of `Picture`.
    `largest` is in pixels a side. `frames` says what may follow the first picture.
    """

    name: str
    suffixes: tuple[str, ...]
    modes: tuple[str, ...] = COLOURS
    dtypes: tuple[str, ...] = ("uint8",)
    metadata: frozenset[str] = field(default_factory=frozenset)
    largest: int = 2**31 - 1
    frames: frozenset[str] = field(default_factory=frozenset)


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


ALL = (
    Format(
        "PNG",
        (".png", ".apng"),
        dtypes=("uint8", "uint16"),
        metadata=_set("icc_profile exif xmp dpi text png_colour"),
        frames=_set("animation"),
    ),
    Format(
        "JPEG",
        (".jpg", ".jpeg", ".jpe", ".jfif"),
        modes=("L", "RGB"),
        metadata=_set("icc_profile exif xmp dpi comment"),
        largest=65500,
    ),
    Format(
        "WebP",
        (".webp",),
        modes=("RGB", "RGBA"),
        metadata=_set("icc_profile exif xmp dpi"),
        largest=16383,
        frames=_set("animation"),
    ),
    Format(
        "TIFF",
        (".tif", ".tiff"),
        dtypes=("uint8", "uint16", "float32"),
        metadata=_set("icc_profile exif xmp dpi"),
        frames=_set("pages"),
    ),
    Format("BMP", (".bmp",), modes=("L", "RGB", "RGBA"), metadata=_set("dpi")),
    Format(
        "GIF",
        (".gif",),
        modes=("L", "RGB", "RGBA"),
        metadata=_set("comment"),
        largest=65535,
        frames=_set("animation"),
    ),
    Format(
        "AVIF",
        (".avif",),
        modes=("L", "RGB", "RGBA"),
        dtypes=("uint8", "uint16"),
        metadata=_set("icc_profile exif xmp dpi"),
        largest=16384,
        frames=_set("animation"),
    ),
    Format(
        "HEIC",
        (".heic", ".heif"),
        modes=("L", "RGB", "RGBA"),
        dtypes=("uint8", "uint16"),
        metadata=_set("icc_profile exif xmp dpi"),
        largest=8192,
    ),
    Format(
        "JPEG XL",
        (".jxl",),
        dtypes=("uint8", "uint16", "float32"),
        metadata=_set("exif xmp dpi"),
    ),
)

# What can be read and written, by suffix.
FORMATS: dict[str, Format] = {suffix: row for row in ALL for suffix in row.suffixes}
# Pictures all the same: a folder's are named as failed, not passed over.
UNSUPPORTED = {".ico", ".j2k", ".jp2", ".psd"}

_BY_NAME = {row.name: row for row in ALL}
_SIGNATURES = (
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (8, b"WEBP", "WebP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
    (0, b"BM", "BMP"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
)
# Brands of ISO media files (ISO/IEC 23008-12, MIAF and AV1 Image File Format).
_AVIF = (b"avif", b"avis")
_HEIC = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs")


def told(head: bytes) -> Format | None:
    """The format of a file by its first bytes (64 are enough), None if it is none of ours."""
    for offset, signature, name in _SIGNATURES:
        if head.startswith(signature, offset):
            return _BY_NAME[name]
    if head[4:8] == b"ftyp":
        # The main brand may be the general one; those that the file is compatible with follow.
        brands = {head[8:12], *(head[i : i + 4] for i in range(16, len(head) - 3, 4))}
        if brands & set(_AVIF):
            return _BY_NAME["AVIF"]
        if brands & set(_HEIC):
            return _BY_NAME["HEIC"]
    return None


def format_of(path: Path) -> Format:
    """The format for the suffix of `path`; PictureError if there is none."""
    try:
        return FORMATS[path.suffix.lower()]
    except KeyError:
        name = path.suffix or "a name without a suffix"
        raise PictureError(f"{path}: {name} cannot be written; {instead()}") from None


def instead() -> str:
    """What to do about a format that is none of ours."""
    return f"supported are {', '.join(sorted(FORMATS))}"
