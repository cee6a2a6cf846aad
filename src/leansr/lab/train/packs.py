"""Files of training pictures: a folder, or one file that holds a folder and says whose it is."""

import json
import zipfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import msgspec

from leansr.errors import DataError
from leansr.image import codecs
from leansr.image.codecs import beside

SUFFIXES = set(codecs.FORMATS)
_HEADER = "pack.json"
# At most what a zip adds to a file beside twice its name: local and central header, end record.
_ZIP_ENTRY = 256


@dataclass(frozen=True)
class Provenance:
    """Where training pictures come from, as it is told on in the card of what they trained."""

    source: str
    licence: str


class _Header(msgspec.Struct, frozen=True):
    schema: int
    source: str = ""
    licence: str = "not stated"


class Files:
    """The picture files of a folder (subfolders too) or a pack, by name.

    Raises DataError if `data` is neither, or has no pictures.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        if data.is_dir():
            self._pack = None
            paths = [p for p in data.rglob("*") if p.suffix.lower() in SUFFIXES]
            self.names = sorted(path.relative_to(data).as_posix() for path in paths)
        else:
            self._pack = _opened(data)
            self.names = sorted(set(self._pack.namelist()) - {_HEADER})
        if not self.names:
            raise DataError(f"{data}: no pictures ({', '.join(sorted(SUFFIXES))})")

    def read(self, name: str) -> bytes:
        """A file's content; DataError if it cannot be read. Several threads may ask at once."""
        try:
            if self._pack is None:
                return (self._data / name).read_bytes()
            return self._pack.read(name)
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as cause:
            # zipfile has the last two for entries that are encrypted or packed in a way of its own.
            raise DataError(f"{name}: cannot be read from the pack ({cause})") from cause
        except OSError as cause:
            raise DataError(f"{name}: cannot be read ({cause.strerror})") from cause


def provenance(data: Path) -> Provenance:
    """What is known of where the pictures of a folder or pack come from."""
    if data.is_dir():
        return Provenance(source=f"the folder {data.name}", licence="not stated")
    with _opened(data) as pack:
        content = pack.read(_HEADER)
    try:
        header = msgspec.json.decode(content, type=_Header)
    except msgspec.MsgspecError as cause:
        raise DataError(f"{data}: its {_HEADER} is damaged ({cause}); pack it again") from cause
    if header.schema != 1:
        raise DataError(f"{data}: is a pack of a newer LeanSR (schema {header.schema})")
    return Provenance(header.source, header.licence)


def pack(folder: Path, target: Path, origin: Provenance, max_mib: float | None = None) -> int:
    """Writes the pictures of `folder` to the one file `target`; returns how many.

    With `max_mib`, only as many pictures as fit, any one as likely as another. The pack is an
    uncompressed zip of the files as they are, with `pack.json` for where they come from.
    """
    found = Files(folder)
    files = [(name, found.read(name)) for name in found.names]
    if max_mib is not None:
        files = _fitting(files, int(max_mib * 2**20) - _ZIP_ENTRY - len(json.dumps(vars(origin))))
        if not files:
            raise DataError(f"{target}: not one picture fits into {max_mib:g} MiB")
    with beside(target) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_HEADER, json.dumps({"schema": 1, **vars(origin)}, indent=1))
        for name, content in files:
            archive.writestr(name, content)
    return len(files)


def _fitting(files: list[tuple[str, bytes]], room: int) -> list[tuple[str, bytes]]:
    # By the hash of the name: no folder or source is preferred, and every run takes the same.
    kept = set()
    for name, content in sorted(files, key=lambda file: sha256(file[0].encode()).digest()):
        cost = len(content) + 2 * len(name.encode()) + _ZIP_ENTRY
        if cost <= room:
            kept.add(name)
            room -= cost
    return [file for file in files if file[0] in kept]


def _opened(path: Path) -> zipfile.ZipFile:
    if not path.exists():
        raise DataError(f"{path}: no such folder or pack")
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as cause:
        raise DataError(f"{path}: neither a folder nor a pack ({cause})") from cause
    if _HEADER not in archive.namelist():
        raise DataError(f"{path}: a zip, but no pack of `leansr data pack`")
    return archive
