"""What becomes of every kind of picture: files read, enlarged, written and read again.

`python docs/formats.py` prints the tables of docs/formats.md.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from picture_files import kinds, photo
from PIL import Image

from leansr.image import codecs
from leansr.image.codecs import profiles
from leansr.image.picture import Picture

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF tiff:Orientation="1"/></x:xmpmeta>'
# How a sample is called by the dtype it is decoded to.
_SAMPLES = {"uint8": "8-bit", "uint16": "16-bit", "float32": "float"}
_COLOURS = {"L": "grey", "LA": "grey + alpha", "RGB": "RGB", "RGBA": "RGBA"}
_FIELDS = {
    "icc_profile": "ICC profile",
    "exif": "EXIF",
    "xmp": "XMP",
    "dpi": "resolution",
    "text": "text",
}
EXIF_CAMERA, EXIF_ORIENTATION, EXIF_ACROSS = 0x010F, 0x0112, 0xA002


def enlarged(picture: Picture) -> Picture:
    """Twice as large, each pixel four times: what a network does to a file's other contents."""
    return picture.each(lambda pixels: pixels.repeat(2, axis=0).repeat(2, axis=1))


def there_and_back(picture: Picture, suffix: str) -> tuple[Picture, tuple[str, ...]]:
    """What a picture is after it was written and read, and what was said to be lost."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"picture{suffix}")
        lost = codecs.write(picture, path)
        return codecs.read(path), lost


def called(picture: Picture) -> str:
    """Its mode and depth, and how many frames there are."""
    samples = f"{picture.bits}-bit" if picture.bits else _SAMPLES[picture.pixels.dtype.name]
    name = f"{samples} {_COLOURS[picture.mode]}"
    if picture.more:
        name += f", {len(picture.more) + 1} {'frames' if picture.is_animation else 'pages'}"
    return name


def apart(one: Picture, other: Picture) -> float:
    """The largest difference where it can be seen, white being 1."""
    largest = 0.0
    for a, b in zip(one.frames, other.frames, strict=True):
        x, y = (np.asarray(p.pixels / white(p), np.float64) for p in (a, b))
        if a.has_alpha:
            x, y = (
                np.concatenate([p[..., :-1] * (p[..., -1:] > 0), p[..., -1:]], 2) for p in (x, y)
            )
        largest = max(largest, float(np.abs(x - y).max()))
    return largest


def white(picture: Picture) -> int:
    """The largest value of a picture's pixels."""
    return {"uint8": 255, "uint16": 65535, "float32": 1}[picture.pixels.dtype.name]


def survival_table() -> str:
    """Each kind of file, what it is read as and what it is written as in the same format."""
    lines = [
        "| format | file | comes out as | pixels | said |",
        "| --- | --- | --- | --- | --- |",
    ]
    for kind in (kind for row in codecs.formats.ALL for kind in kinds(row.name)):
        before = enlarged(codecs.decode(kind.content, kind.name))
        after, lost = there_and_back(before, kind.suffix)
        is_same = before.pixels.shape == after.pixels.shape
        is_exact = (
            is_same and before.pixels.dtype == after.pixels.dtype and not apart(before, after)
        )
        cells = [
            *(kind.format, kind.name, called(after)),
            "the same" if is_exact else "encoded with loss",
            "; ".join(lost),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def everything(mode: str = "RGB") -> Picture:
    """A picture with all that can travel with one."""
    exif = Image.Exif()
    exif[EXIF_CAMERA] = "camera"
    exif.get_ifd(0x8769)[EXIF_ACROSS] = photo().shape[1]
    channels = len(mode)
    return Picture(
        photo(channels),
        mode,
        icc_profile=adobe_rgb() if mode.startswith("RGB") else None,
        exif=exif.tobytes(),
        xmp=XMP,
        dpi=(300.0, 300.0),
        text=(("Comment", "a comment"), ("Title", "a title")),
    )


def adobe_rgb() -> bytes:
    """A profile with the primaries and the gamma of Adobe RGB (1998)."""
    return profiles.rgb((0.64, 0.33, 0.21, 0.71, 0.15, 0.06, 0.3127, 0.3290), 563 / 256)


def metadata_table() -> str:
    """What of a picture's metadata each format keeps, by writing and reading it."""
    lines = [
        f"| format | {' | '.join(_FIELDS.values())} | frames |",
        "| --- |" + " --- |" * (len(_FIELDS) + 1),
    ]
    for row in codecs.formats.ALL:
        before = everything()
        after, lost = there_and_back(before, row.suffixes[0])
        cells = [_kept(before, after, field, lost) for field in _FIELDS]
        lines.append(f"| {row.name} | {' | '.join(cells)} | {', '.join(row.frames) or '-'} |")
    return "\n".join(lines) + "\n"


def _kept(before: Picture, after: Picture, field: str, lost: tuple[str, ...]) -> str:
    one, other = getattr(before, field), getattr(after, field)
    if field == "icc_profile" and any("to sRGB" in note for note in lost):
        return "converted to sRGB"
    if field == "text" and other and one != other:
        return "the comment"
    is_kept = {
        "exif": lambda: b"camera" in (other or b""),
        "dpi": lambda: other is not None and np.allclose(one, other, atol=0.5),
    }.get(field, lambda: one == other)
    return "kept" if is_kept() else "left out"


if __name__ == "__main__":
    sys.stdout.write(f"{survival_table()}\n{metadata_table()}")
