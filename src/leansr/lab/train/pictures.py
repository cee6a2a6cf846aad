"""Training pictures, decoded once, into memory or into a file that is mapped from disk."""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
import numpy.typing as npt

from leansr.errors import DataError, PictureError
from leansr.image import codecs
from leansr.image.arrays import Pixels, from_unit, to_unit
from leansr.image.colour import luma
from leansr.image.picture import Picture
from leansr.image.resize import resize
from leansr.lab.train.packs import Files

# Of a name and the LR picture made of it: the versions of LR that are trained on.
Versions = Callable[[str, Pixels], Sequence[Pixels]]
# So many files are decoded at a time before their pixels are put away: no core waits, and few
# pictures are held beside the room that was given.
_AT_A_TIME = 2 * (os.cpu_count() or 1)
# So many faults stand in a message.
_TOLD = 5


@dataclass(frozen=True)
class Pair:
    """One picture as a network sees it: versions of its LR, each `(H, W, C)`, and its HR
    `(scale * H, scale * W, C)`.

    RGB is uint8; luma, which is not rounded to 8 bits, is uint16.
    """

    name: str
    file_sha256: str
    lrs: tuple[Pixels, ...]
    hr: Pixels


@dataclass(frozen=True)
class Pictures:
    """Pairs whose pixels lie one after the other in `lr` and `hr`, each `(pixels, C)`.

    `is_mapped` if they are in a file on disk and read from there when they are needed. `modes`
    says how many pictures were not plain RGB, or of kinds that are not read, and what was made of
    them.
    """

    pairs: tuple[Pair, ...]
    lr: Pixels
    hr: Pixels
    is_mapped: bool
    modes: str


def alone(name: str, lr: Pixels) -> Sequence[Pixels]:
    """The LR picture as it is."""
    return [lr]


def load(
    data: Path,
    scale: int,
    colour: str,
    smallest_lr: int = 1,
    versions: Versions = alone,
    room_mib: float | None = None,
) -> Pictures:
    """Every picture of a folder or pack with its LR, made by bicubic from the 8-bit picture.

    In the layout HR/name.png, LR/name.png (or namex2.png) LR is as given. Pixels beyond
    `room_mib` go to a temporary file. Raises DataError if there are no pictures, if there is LR but
    not in that layout, or one that counts and names those that cannot be decoded, have an LR side
    below `smallest_lr`, whose LR is missing, twice there or of another size, or that are beside HR
    and LR.
    """
    files = Files(data)
    _refuse_half_a_layout(data, files.names)
    sources, faults = _sources(files.names, scale)
    count = len(sources) + len(faults)
    kept = []
    lr_shelf, hr_shelf = _Shelf(room_mib), _Shelf(room_mib)
    modes: Counter[str] = Counter()

    def prepare(source: tuple[str, str | None]) -> _Decoded | DataError:
        try:
            return _decoded(files, *source, scale, colour, smallest_lr, versions)
        except DataError as fault:
            return fault

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(sources), _AT_A_TIME):
            for found in pool.map(prepare, sources[start : start + _AT_A_TIME]):
                if isinstance(found, DataError):
                    faults.append(str(found))
                    continue
                modes[found.mode] += 1
                places = tuple(lr_shelf.put(lr) for lr in found.lrs), hr_shelf.put(found.hr)
                # Not what was decoded: all of it would not fit into the room.
                kept.append((found.name, found.sha256, *places))
    if faults:
        more = f"; and {len(faults) - _TOLD} more" if len(faults) > _TOLD else ""
        raise DataError(
            f"{data}: {len(faults)} of {count} pictures cannot be trained on: "
            f"{'; '.join(faults[:_TOLD])}{more}; remove or replace them"
        )
    lr, hr = lr_shelf.pixels(), hr_shelf.pixels()
    pairs = tuple(
        Pair(name, file_sha256, tuple(place.of(lr) for place in lrs), place.of(hr))
        for name, file_sha256, lrs, place in kept
    )
    return Pictures(pairs, lr, hr, lr_shelf.is_mapped or hr_shelf.is_mapped, _told(modes, data))


def planes(rgb: Pixels, colour: str) -> Pixels:
    """8-bit RGB as it is ("rgb"), or its luma as uint16 `(H, W, 1)` ("y")."""
    if colour == "rgb":
        return rgb
    return from_unit(luma(to_unit(rgb)), np.uint16)[..., None]


@dataclass(frozen=True)
class _Decoded:
    name: str
    sha256: str
    mode: str
    lrs: list[Pixels]
    hr: Pixels


def _refuse_half_a_layout(data: Path, names: list[str]) -> None:
    """DataError for LR that would not be seen as such: without HR, empty, or in another case."""
    filled = {PurePosixPath(name).parts[0] for name in names}
    folders = {path.name for path in data.iterdir()} if data.is_dir() else filled
    if {"HR", "LR"} <= filled or "LR" not in {folder.upper() for folder in folders}:
        return
    found = ", ".join(sorted(name for name in folders if name.upper() in ("HR", "LR")))
    raise DataError(
        f"{data}: LR as given needs pictures in HR/ and in LR/, so written; "
        f"what is there is {found}; leave LR out to have it made"
    )


def _sources(names: list[str], scale: int) -> tuple[list[tuple[str, str | None]], list[str]]:
    """HR and LR file of each picture, no LR where it is to be made; and what does not match."""
    folders = [PurePosixPath(name).parts[0] for name in names]
    if not {"HR", "LR"} <= set(folders):
        return [(name, None) for name in names], []
    hrs: dict[str, str] = {}
    lrs: dict[str, str] = {}
    faults = []
    for name, folder in zip(names, folders, strict=True):
        if folder not in ("HR", "LR"):
            faults.append(f"{name}: is neither in HR nor in LR")
            continue
        known, stem = (hrs, _stem(name)) if folder == "HR" else (lrs, _lr_stem(name, scale))
        if stem in known:
            faults.append(f"{name}: is the same picture as {known[stem]} by its name")
        known.setdefault(stem, name)
    faults += [f"{hrs[stem]}: has no picture in LR" for stem in hrs if stem not in lrs]
    faults += [f"{lrs[stem]}: has no picture in HR" for stem in lrs if stem not in hrs]
    return [(hrs[stem], lrs[stem]) for stem in hrs if stem in lrs], faults


def _lr_stem(name: str, scale: int) -> str:
    return _stem(name).removesuffix(f"x{scale}")


def _stem(name: str) -> str:
    """A name without its first folder and its suffix."""
    return str(PurePosixPath(*PurePosixPath(name).parts[1:]).with_suffix(""))


def _decoded(
    files: Files,
    name: str,
    lr_name: str | None,
    scale: int,
    colour: str,
    smallest_lr: int,
    versions: Versions,
) -> _Decoded:
    content = files.read(name)
    picture = _picture(name, content)
    hr = _rgb(picture)
    if lr_name is None:
        height, width = (side // scale * scale for side in hr.shape[:2])
        hr = hr[:height, :width]
    if min(hr.shape[:2]) // scale < smallest_lr:
        height, width = picture.pixels.shape[:2]
        raise DataError(
            f"{name}: {width} x {height} pixels are fewer than the {smallest_lr * scale} a side "
            f"that the crop needs"
        )
    if lr_name is None:
        lr = resize(hr, Fraction(1, scale))
    else:
        lr_content = files.read(lr_name)
        content += lr_content
        lr = _rgb(_picture(lr_name, lr_content))
        if tuple(side * scale for side in lr.shape[:2]) != hr.shape[:2]:
            small, large = (f"{p.shape[1]} x {p.shape[0]}" for p in (lr, hr))
            raise DataError(
                f"{lr_name}: {small} pixels times {scale} are not the {large} of {name}"
            )
    lrs = [planes(version, colour) for version in versions(name, lr)]
    return _Decoded(name, sha256(content).hexdigest(), picture.mode, lrs, planes(hr, colour))


def _picture(name: str, content: bytes) -> Picture:
    try:
        picture = codecs.decode(content, name)
    except PictureError as cause:
        raise DataError(str(cause)) from cause
    if picture.pixels.dtype != np.uint8 or picture.more:
        raise DataError(f"{name}: is no 8-bit still, which pictures to learn from are")
    return picture


def _rgb(picture: Picture) -> Pixels:
    """8-bit RGB `(H, W, 3)`; grey has three equal channels, alpha is left out."""
    pixels = picture.pixels
    return np.repeat(pixels[..., :1], 3, axis=2) if pixels.shape[2] < 3 else pixels[..., :3]


def _told(modes: Counter[str], data: Path) -> str:
    grey = modes["L"] + modes["LA"]
    alpha = modes["LA"] + modes["RGBA"]
    other = sum(path.suffix.lower() in codecs.UNSUPPORTED for path in data.rglob("*"))
    told = [f"{grey} {'is' if grey == 1 else 'are'} grey"] if grey else []
    if alpha:
        told += [f"{alpha} {'has' if alpha == 1 else 'have'} an alpha channel, which is left out"]
    if other:
        told += [f"{other} of other kinds {'is' if other == 1 else 'are'} left out"]
    return ", ".join(told)


@dataclass(frozen=True)
class _Place:
    """Where a picture's pixels are on a shelf."""

    start: int
    shape: tuple[int, ...]

    def of(self, pixels: Pixels) -> Pixels:
        height, width, channels = self.shape
        return pixels[self.start : self.start + height * width].reshape(height, width, channels)


class _Shelf:
    """Pixels put one after the other, in memory up to `room_mib` and in a file from there on."""

    def __init__(self, room_mib: float | None) -> None:
        self._room = None if room_mib is None else room_mib * 2**20
        self._file: IO[bytes] = BytesIO()
        self.is_mapped = False
        self._count, self._channels = 0, 0
        self._dtype: npt.DTypeLike = np.uint8

    def put(self, pixels: Pixels) -> _Place:
        place = _Place(self._count, pixels.shape)
        self._dtype, self._channels = pixels.dtype, pixels.shape[2]
        self._count += pixels.shape[0] * pixels.shape[1]
        try:
            if self._room is not None and not self.is_mapped:
                self._spill(pixels.nbytes)
            self._file.write(np.ascontiguousarray(pixels).data)
            self._file.flush()
        except OSError as cause:
            raise DataError(
                f"{tempfile.gettempdir()}: cannot hold the decoded pictures ({cause.strerror}); "
                f"set TMPDIR to a folder that can, or give them more memory"
            ) from cause
        return place

    def pixels(self) -> Pixels:
        """All of them, `(pixels, C)`."""
        shape = self._count, self._channels
        if self.is_mapped:
            with self._file as file:
                return np.memmap(file, self._dtype, "r+", shape=shape)
        assert isinstance(self._file, BytesIO)
        return np.frombuffer(self._file.getbuffer(), self._dtype).reshape(shape)

    def _spill(self, coming: int) -> None:
        assert self._room is not None
        assert isinstance(self._file, BytesIO)
        if self._file.tell() + coming > self._room:
            in_memory = self._file
            # Without a name: it is gone with the process, however that ends.
            self._file = tempfile.TemporaryFile()  # noqa: SIM115
            self._file.write(in_memory.getbuffer())
            self.is_mapped = True
