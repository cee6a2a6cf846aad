"""The standard test sets, found in the layouts that they are passed around in."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from leansr.errors import DataError, UsageError
from leansr.image.codecs import FORMATS, UNSUPPORTED


class AbsentError(DataError):
    """Nothing of a benchmark is there; any other DataError is of one that is."""


@dataclass(frozen=True)
class Known:
    """A standard test set: how many pictures it has, and the folders that it is found in."""

    pictures: int
    folders: tuple[str, ...]


KNOWN = {
    "Set5": Known(5, ("Set5",)),
    "Set14": Known(14, ("Set14",)),
    "B100": Known(100, ("B100", "BSD100", "BSDS100")),
    "Urban100": Known(100, ("Urban100",)),
    "Manga109": Known(109, ("Manga109",)),
    "DIV2K": Known(100, ("DIV2K_val", "DIV2K_valid", "DIV2K100", "DIV2K", ".")),
}
# EDSR's archive puts the sets one folder deeper.
_DEPTHS = (".", "benchmark", "benchmarks")


@dataclass(frozen=True)
class Layout:
    """A folder of originals, and the folders that their LR may be in, `{s}` being the scale.

    `hr_end` and `lr_end` end the pictures' names where both lie in one folder.
    """

    hr: str
    lr: tuple[str, ...]
    hr_end: str = ""
    lr_end: str = ""


_LR = ("LR_bicubic/X{s}", "LR/x{s}", "LRbicx{s}", "LR")
# The first that comes with LR, else the first: what is made for the scale before what is for all.
# `mod4` is cut to a multiple of 4, more than the papers cut at other scales, so it is last.
_LAYOUTS = (
    Layout("x{s}/HR", ("x{s}/LR",)),
    Layout("HR/x{s}", _LR),
    Layout("image_SRF_{s}", ("image_SRF_{s}",), "_SRF_{s}_HR", "_SRF_{s}_LR"),
    Layout("HR", _LR),
    Layout("original", ()),
    Layout(".", ()),
    Layout("GTmod4", _LR),
    Layout("HR_mod4", _LR),
    Layout("GTmod12", _LR),
    Layout("HR_mod12", _LR),
)
_DIV2K = Layout("DIV2K_valid_HR", ("DIV2K_valid_LR_bicubic/X{s}",))


@dataclass(frozen=True)
class Pair:
    """An original and its LR picture, which may be missing; None where it is to be made."""

    name: str
    hr: Path
    lr: Path | None


@dataclass(frozen=True)
class Benchmark:
    """The pictures of a test set at a scale; all of them come with LR, or none.

    Originals of formats that are not supported are among them, so that reading them says so.
    `expected` is how many pictures a standard set has, None for any other folder.
    """

    name: str
    scale: int
    pairs: tuple[Pair, ...]
    expected: int | None = None

    def __post_init__(self) -> None:
        if self.scale < 1 or not self.pairs:
            raise ValueError(f"{self.name} x{self.scale} of {len(self.pairs)} pictures is no set")
        if len({pair.lr is None for pair in self.pairs}) > 1:
            raise ValueError(f"{self.name} x{self.scale}: some pictures have LR and some have none")

    @property
    def has_lr(self) -> bool:
        """Whether the LR pictures are given, not to be made."""
        return self.pairs[0].lr is not None

    @property
    def is_whole(self) -> bool:
        """Whether it has the pictures that it is known for, as far as their names tell."""
        count = sum(_is_supported(pair.hr) for pair in self.pairs)
        return self.expected in (None, count)

    @property
    def resizer(self) -> str:
        """Where the LR comes from, in words."""
        return "as given" if self.has_lr else "by MATLAB's bicubic"


def known_name(name: str) -> str:
    """The standard set's name as it is written here; any other as it is, but an empty one.

    Raises UsageError for that.
    """
    if not name:
        raise UsageError("an empty name is no benchmark")
    return next((known for known in KNOWN if known.casefold() == name.casefold()), name)


def find(root: Path, name: str, scale: int) -> Benchmark:
    """The benchmark `name` below the data root, whatever the case of its folder's letters.

    `name` is one of `KNOWN`, or another folder below the root. Raises AbsentError, which says what
    was looked for, if it is not there or has no pictures, DataError if they are of no use or
    cannot be listed, and UsageError for an empty name.
    """
    name = known_name(name)
    known = KNOWN.get(name)
    folders = known.folders if known else (name,)
    unreadable: list[str] = []
    for depth in _DEPTHS:
        for inner in folders:
            folder = _folder(root, f"{depth}/{inner}")
            if folder is None:
                continue
            # Where the sets themselves lie, pictures are nobody's.
            layouts = _LAYOUTS if inner != "." else ()
            if name == "DIV2K":
                layouts = (_DIV2K, *layouts)
            found = _open(folder, scale, layouts, unreadable)
            if found:
                return Benchmark(name, scale, found, known.pictures if known else None)
    if unreadable:
        raise DataError(f"{root}: {name} {_of_no_use(unreadable)}")
    wanted = ", ".join(folder for folder in folders if folder != ".")
    raise AbsentError(
        f"{root}: has no {name} x{scale}; looked for pictures in {wanted}, and in it in "
        f"{_looked_for(scale)}"
    )


def open_folder(path: Path, scale: int) -> Benchmark:
    """The pictures of any folder, in any of the layouts; DataError if it has none of use."""
    unreadable: list[str] = []
    found = _open(path, scale, (_DIV2K, *_LAYOUTS), unreadable)
    if not found and unreadable:
        raise DataError(f"{path}: {_of_no_use(unreadable)}")
    if not found:
        raise DataError(
            f"{path}: has no pictures for x{scale}; looked in it and in {_looked_for(scale)}"
        )
    return Benchmark(str(path), scale, found)


def _open(
    folder: Path, scale: int, layouts: tuple[Layout, ...], unreadable: list[str]
) -> tuple[Pair, ...]:
    """The first layout with LR, else the first; what others hold does not matter then."""
    first: tuple[Pair, ...] = ()
    for layout in layouts:
        cut_to = re.search(r"mod(\d+)$", layout.hr)
        originals = _folder(folder, layout.hr.format(s=scale))
        if originals is None or (cut_to and int(cut_to[1]) % scale):
            continue
        end = layout.hr_end.format(s=scale).casefold()
        files = [path for path in _pictures(originals) if path.stem.casefold().endswith(end)]
        if not any(map(_is_supported, files)):
            suffixes = sorted({path.suffix.lower() for path in files})
            unreadable.extend(f"{originals} ({suffix})" for suffix in suffixes)
            continue
        pairs = _pairs(folder, scale, layout, files)
        if pairs[0].lr:
            return _told_apart(pairs)
        first = first or pairs
    return _told_apart(first)


def _told_apart(pairs: tuple[Pair, ...]) -> tuple[Pair, ...]:
    """The pairs; DataError if two originals that can be read have one name."""
    by_stem = _by_stem([pair.hr for pair in pairs if _is_supported(pair.hr)])
    for stem in by_stem:
        _only(by_stem, stem)
    return pairs


def _pairs(folder: Path, scale: int, layout: Layout, files: list[Path]) -> tuple[Pair, ...]:
    """Every original with its LR, or with the name that its missing LR would have."""
    names = [file.stem[: len(file.stem) - len(layout.hr_end.format(s=scale))] for file in files]
    lr_end = layout.lr_end.format(s=scale)
    for inner in layout.lr:
        place = _folder(folder, inner.format(s=scale))
        if place is None:
            continue
        present = _pictures(place)
        if not present:
            continue
        by_stem = _by_stem(present)
        pairs = []
        for name, file in zip(names, files, strict=True):
            spellings = (f"{name}{lr_end}", f"{name}x{scale}", f"{name}_x{scale}")
            found = (_only(by_stem, s.casefold()) for s in spellings if s.casefold() in by_stem)
            pairs.append(Pair(name, file, next(found, place / f"{name}{lr_end}{file.suffix}")))
        # Where both lie in one folder, it may hold originals alone.
        if not layout.lr_end or any(pair.lr in present for pair in pairs):
            return tuple(pairs)
    return tuple(Pair(name, file, None) for name, file in zip(names, files, strict=True))


def _by_stem(files: list[Path]) -> dict[str, list[Path]]:
    """The files by their name without the suffix, whatever the case of its letters."""
    found: dict[str, list[Path]] = {}
    for path in files:
        found.setdefault(path.stem.casefold(), []).append(path)
    return found


def _only(by_stem: dict[str, list[Path]], stem: str) -> Path:
    """The picture of that name; one that cannot be read only where no other is."""
    readable = [path for path in by_stem[stem] if _is_supported(path)]
    if len(readable) > 1:
        raise DataError(f"{readable[0]} and {readable[1]}: have one name; keep one of them")
    return readable[0] if readable else by_stem[stem][0]


def _is_supported(path: Path) -> bool:
    return path.suffix.lower() in FORMATS


def _pictures(folder: Path) -> list[Path]:
    """The pictures of a folder, those of formats that are not supported too."""
    known = {*FORMATS, *UNSUPPORTED}
    # macOS leaves `._baby.png` beside `baby.png` in archives.
    return [
        path
        for path, is_folder in _entries(folder)
        if path.suffix.lower() in known and path.name[0] != "." and not is_folder
    ]


def _folder(base: Path, inner: str) -> Path | None:
    """The folder `inner` of `base`, whatever the case of its letters; the exact one first."""
    for part in Path(inner).parts:
        folders = (path for path, is_folder in _entries(base) if is_folder)
        alike = [path for path in folders if path.name.casefold() == part.casefold()]
        if not alike:
            return None
        base = min(alike, key=lambda p: (p.name != part, p.name))
    return base


def _entries(folder: Path) -> list[tuple[Path, bool]]:
    """What lies in a folder, if it is one, and whether that is a folder; in order of the names.

    Raises DataError if it cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            # Links are asked by os.path, for which one that leads nowhere is no folder.
            return sorted(
                (folder / entry.name, entry.is_dir(follow_symlinks=False) or os.path.isdir(entry))
                for entry in entries
            )
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as cause:
        raise DataError(f"{folder}: cannot be read ({cause.strerror})") from cause


def _of_no_use(unreadable: list[str]) -> str:
    return (
        f"has pictures of formats that are not supported: {', '.join(unreadable)}; "
        f"supported are {', '.join(sorted(FORMATS))}"
    )


def _looked_for(scale: int) -> str:
    return ", ".join(layout.hr.format(s=scale) for layout in _LAYOUTS if layout.hr != ".")
