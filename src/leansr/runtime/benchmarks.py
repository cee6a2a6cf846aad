"""The standard test sets, found in the layouts that they are passed around in."""

import re
from dataclasses import dataclass
from pathlib import Path

from leansr.errors import DataError
from leansr.image.codecs import FORMATS, UNSUPPORTED


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
    """The pictures of a test set at a scale; all of them come with LR, or none."""

    name: str
    scale: int
    pairs: tuple[Pair, ...]

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
    def resizer(self) -> str:
        """Where the LR comes from, in words."""
        return "as given" if self.has_lr else "by MATLAB's bicubic"


def known_name(name: str) -> str:
    """The standard set's name as it is written here; any other name as it is."""
    return next((known for known in KNOWN if known.casefold() == name.casefold()), name)


def find(root: Path, name: str, scale: int) -> Benchmark:
    """The benchmark `name` below the data root, whatever the case of its folder's letters.

    `name` is one of `KNOWN`, or another folder below the root. Raises DataError, which says what
    was looked for, if it is not there or has no pictures.
    """
    name = known_name(name)
    folders = KNOWN[name].folders if name in KNOWN else (name,)
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
                return Benchmark(name, scale, found)
    if unreadable:
        raise DataError(f"{root}: {name} {_of_no_use(unreadable)}")
    wanted = ", ".join(folder for folder in folders if folder != ".")
    raise DataError(
        f"{root}: has no {name} x{scale}; looked for pictures in {wanted}, and in it in "
        f"{_looked_for(scale)}"
    )


def open_folder(path: Path, scale: int) -> Benchmark:
    """The pictures of any folder, in any of the layouts; DataError if it has none."""
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
    found = []
    for layout in layouts:
        cut_to = re.search(r"mod(\d+)$", layout.hr)
        originals = _folder(folder, layout.hr.format(s=scale))
        if originals is None or (cut_to and int(cut_to[1]) % scale):
            continue
        end = layout.hr_end.format(s=scale).casefold()
        files = [p for p in _pictures(originals, unreadable) if p.stem.casefold().endswith(end)]
        if files:
            found.append(_pairs(folder, scale, layout, files))
    return next((pairs for pairs in found if pairs[0].lr), found[0] if found else ())


def _pairs(folder: Path, scale: int, layout: Layout, files: list[Path]) -> tuple[Pair, ...]:
    """Every original with its LR, or with the name that its missing LR would have."""
    names = [file.stem[: len(file.stem) - len(layout.hr_end.format(s=scale))] for file in files]
    lr_end = layout.lr_end.format(s=scale)
    for inner in layout.lr:
        place = _folder(folder, inner.format(s=scale))
        if place is None:
            continue
        unreadable: list[str] = []
        present = {path.stem.casefold(): path for path in _pictures(place, unreadable)}
        if not present and not unreadable:
            continue
        pairs = []
        for name, file in zip(names, files, strict=True):
            spellings = (f"{name}{lr_end}", f"{name}x{scale}", f"{name}_x{scale}")
            found = (present[s.casefold()] for s in spellings if s.casefold() in present)
            pairs.append(Pair(name, file, next(found, place / f"{name}{lr_end}{file.suffix}")))
        # Where both lie in one folder, it may hold originals alone.
        if not layout.lr_end or any(pair.lr in present.values() for pair in pairs):
            return tuple(pairs)
    return tuple(Pair(name, file, None) for name, file in zip(names, files, strict=True))


def _pictures(folder: Path, unreadable: list[str]) -> list[Path]:
    """The files that can be read; what cannot is noted if there is nothing else."""
    # macOS leaves `._baby.png` beside `baby.png` in archives.
    files = [p for p in sorted(folder.iterdir()) if p.name[0] != "." and not p.is_dir()]
    readable = [path for path in files if path.suffix.lower() in FORMATS]
    if not readable:
        suffixes = {path.suffix.lower() for path in files} & UNSUPPORTED
        unreadable.extend(f"{folder} ({suffix})" for suffix in sorted(suffixes))
    return readable


def _folder(base: Path, inner: str) -> Path | None:
    """The folder `inner` of `base`, whatever the case of its letters; the exact one first."""
    for part in Path(inner).parts:
        if not base.is_dir():
            return None
        alike = [p for p in base.iterdir() if p.name.casefold() == part.casefold() and p.is_dir()]
        if not alike:
            return None
        base = min(alike, key=lambda p: (p.name != part, p.name))
    return base if base.is_dir() else None


def _of_no_use(unreadable: list[str]) -> str:
    return (
        f"has pictures of formats that are not supported yet: {', '.join(unreadable)}; "
        f"supported are {', '.join(sorted(FORMATS))}"
    )


def _looked_for(scale: int) -> str:
    return ", ".join(layout.hr.format(s=scale) for layout in _LAYOUTS if layout.hr != ".")
