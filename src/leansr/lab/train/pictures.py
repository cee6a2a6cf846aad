"""Training pictures, from a folder or a pack, decoded once into memory."""

import json
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import numpy as np

from leansr.errors import DataError, PictureError
from leansr.image import codecs
from leansr.image.arrays import Pixels, from_unit, to_unit
from leansr.image.codecs import beside
from leansr.image.colour import luma
from leansr.image.resize import resize

SUFFIXES = set(codecs.FORMATS)
_HEADER = "pack.json"
# At most what a zip adds to a file beside twice its name: local and central header, end record.
_ZIP_ENTRY = 256


@dataclass(frozen=True)
class Provenance:
    """Where training pictures come from, as it is told on in the card of what they trained."""

    source: str
    licence: str


@dataclass(frozen=True)
class Pair:
    """One picture as a network sees it: `lr` `(H, W, C)`, `hr` `(scale * H, scale * W, C)`.

    RGB is uint8; luma, which is not rounded to 8 bits, is uint16.
    """

    name: str
    file_sha256: str
    lr: Pixels
    hr: Pixels


def encoded(data: Path) -> Iterator[tuple[str, bytes]]:
    """Name and file of every picture of a folder (subfolders too) or a pack, sorted by name."""
    if data.is_dir():
        for path in sorted(p for p in data.rglob("*") if p.suffix.lower() in SUFFIXES):
            yield path.relative_to(data).as_posix(), path.read_bytes()
        return
    with _opened(data) as pack:
        for name in sorted(set(pack.namelist()) - {_HEADER}):
            try:
                yield name, pack.read(name)
            except zipfile.BadZipFile as cause:
                raise DataError(f"{data}: is damaged at {name} ({cause}); pack it again") from cause


def provenance(data: Path) -> Provenance:
    """What is known of where the pictures of a folder or pack come from."""
    if data.is_dir():
        return Provenance(source=f"the folder {data.name}", licence="not stated")
    with _opened(data) as pack:
        header = json.loads(pack.read(_HEADER))
    if header["schema"] != 1:
        raise DataError(f"{data}: is a pack of a newer LeanSR (schema {header['schema']})")
    return Provenance(header["source"], header["licence"])


def pack(folder: Path, target: Path, origin: Provenance, max_mib: float | None = None) -> int:
    """Writes the pictures of `folder` to the one file `target`; returns how many.

    With `max_mib`, only as many pictures as fit, any one as likely as another. The pack is an
    uncompressed zip of the files as they are, with `pack.json` for where they come from.
    """
    files = list(encoded(folder))
    if not files:
        raise DataError(f"{folder}: no pictures ({', '.join(sorted(SUFFIXES))})")
    if max_mib is not None:
        files = _fitting(files, int(max_mib * 2**20) - _ZIP_ENTRY - len(json.dumps(vars(origin))))
        if not files:
            raise DataError(f"{target}: not one picture fits into {max_mib:g} MiB")
    with beside(target) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_HEADER, json.dumps({"schema": 1, **vars(origin)}, indent=1))
        for name, content in files:
            archive.writestr(name, content)
    return len(files)


def load(data: Path, scale: int, colour: str, smallest_lr: int = 1) -> list[Pair]:
    """Every picture of a folder or pack with its LR, made by bicubic from the 8-bit picture.

    Raises DataError, naming the pictures, if one cannot be decoded or has an LR side below
    `smallest_lr`, or if there are none.
    """

    def prepare(file: tuple[str, bytes]) -> Pair:
        name, content = file
        rgb = _decoded(name, content)
        height, width = (side // scale * scale for side in rgb.shape[:2])
        hr = rgb[:height, :width]
        if min(height, width) // scale < smallest_lr:
            raise DataError(
                f"{name}: {rgb.shape[1]} x {rgb.shape[0]} pixels are fewer than the "
                f"{smallest_lr * scale} a side that the crop needs"
            )
        lr = resize(hr, Fraction(1, scale))
        return Pair(name, sha256(content).hexdigest(), planes(lr, colour), planes(hr, colour))

    if not data.exists():
        raise DataError(f"{data}: no such folder or pack")
    with ThreadPoolExecutor() as pool:
        pairs = list(pool.map(prepare, encoded(data)))
    if not pairs:
        raise DataError(f"{data}: no pictures ({', '.join(sorted(SUFFIXES))})")
    return pairs


def planes(rgb: Pixels, colour: str) -> Pixels:
    """8-bit RGB as it is ("rgb"), or its luma as uint16 `(H, W, 1)` ("y")."""
    if colour == "rgb":
        return rgb
    return from_unit(luma(to_unit(rgb)), np.uint16)[..., None]


def _fitting(files: list[tuple[str, bytes]], room: int) -> list[tuple[str, bytes]]:
    # By the hash of the name: no folder or source is preferred, and every run takes the same.
    kept = set()
    for name, content in sorted(files, key=lambda file: sha256(file[0].encode()).digest()):
        cost = len(content) + 2 * len(name.encode()) + _ZIP_ENTRY
        if cost <= room:
            kept.add(name)
            room -= cost
    return [file for file in files if file[0] in kept]


def _decoded(name: str, content: bytes) -> Pixels:
    """8-bit RGB `(H, W, 3)`; grey has three equal channels, alpha is left out."""
    try:
        pixels = codecs.decode(content, name).pixels
    except PictureError as cause:
        raise DataError(f"{cause}; remove or replace it") from cause
    return np.repeat(pixels[..., :1], 3, axis=2) if pixels.shape[2] < 3 else pixels[..., :3]


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as cause:
        raise DataError(f"{path}: neither a folder nor a pack ({cause})") from cause
    if _HEADER not in archive.namelist():
        raise DataError(f"{path}: a zip, but no pack of `leansr data pack`")
    return archive
