"""What a command line names: files, folders, and patterns that the shell left as they are."""

import glob
import os
import re
from collections.abc import Iterator
from pathlib import Path

from leansr.errors import UsageError
from leansr.image.codecs import FORMATS, UNSUPPORTED


def pictures(path: Path, output: Path | None) -> Iterator[tuple[Path, Path]]:
    """Every picture of a file, folder or pattern, with its name below the output.

    Of a folder and a pattern, files with other suffixes than a picture's are passed over, and so
    is what lies in the folder `output`, unless that is where they were to be looked for. Raises
    UsageError for a pattern that nothing matches.
    """
    if not is_pattern(path):
        if not os.path.isdir(path):
            yield path, Path(path.name)
        else:
            for source in _walk(path, output):
                yield source, source.relative_to(path)
        return
    fixed, rest = _split(path)
    matches = _matches(fixed, rest)
    if not matches:
        raise UsageError(f"{path}: no such file, and none that matches it")
    if output is not None and _is_below(fixed, output):
        output = None
    for match in matches:
        if output is not None and _is_below(match.parent, output):
            continue
        for source in _walk(match, output, is_named=False) if match.is_dir() else [match]:
            if _is_picture(source):
                yield source, source.relative_to(fixed)


def is_pattern(path: Path) -> bool:
    """Whether `path` is no file but has what a pattern has: *, ? or [."""
    return glob.has_magic(os.fspath(path)) and not os.path.lexists(path)


def real(path: Path) -> str:
    """Without symbolic links; of a loop of them, which is the reader's to name, what is there."""
    return os.path.realpath(path)


def place(path: Path) -> str:
    """Where the name itself lies: without the links on the way to it, but what it may be."""
    return os.path.join(real(path.parent), path.name)


def _walk(folder: Path, output: Path | None, *, is_named: bool = True) -> Iterator[Path]:
    """The pictures below a folder, its own first; folders that cannot be listed as themselves.

    Links to folders are followed, and a folder that is met twice is taken once: by its own name
    rather than by a link. So loops end. The folder `output` is left out, unless it is the folder
    itself and `is_named`.
    """
    seen = set()
    if output is not None and not (is_named and real(output) == real(folder)):
        seen.add(real(output))
    waiting = [folder]
    while waiting:
        folder = waiting.pop()
        if real(folder) in seen:
            continue
        seen.add(real(folder))
        try:
            inside = [folder / name for name in sorted(os.listdir(folder))]
        except OSError:
            yield folder
            continue
        is_folder = {path: os.path.isdir(path) for path in inside}
        yield from (path for path in inside if not is_folder[path] and _is_picture(path))
        folders = [path for path in inside if is_folder[path]]
        # The last is taken first: those that are no links, by their names.
        waiting += sorted(folders, key=lambda path: (os.path.islink(path), path), reverse=True)


def _is_picture(path: Path) -> bool:
    # Beside pictures macOS writes such files, which hold none.
    return path.suffix.lower() in {*FORMATS, *UNSUPPORTED} and not path.name.startswith("._")


def _is_below(path: Path, folder: Path) -> bool:
    """Whether it is the folder, or really lies in it."""
    return Path(real(path)).is_relative_to(real(folder))


def _split(pattern: Path) -> tuple[Path, Path]:
    """The folder that a pattern begins with, and the rest of it."""
    parts = pattern.parts
    first = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:first]), Path(*parts[first:])


def _matches(fixed: Path, rest: Path) -> list[Path]:
    """What matches as for a shell: names that begin with a dot only where the pattern's do.

    `**` does not go through links, of which two that lead back would have no end.
    """
    # Of more stars in one name pathlib makes nothing before Python 3.13.
    parts = [part if part == "**" else re.sub(r"\*+", "*", part) for part in rest.parts]
    takes_hidden = any(part.startswith(".") for part in parts)
    found = fixed.glob(os.path.join(*parts))
    return sorted(
        path
        for path in found
        if takes_hidden or not any(part.startswith(".") for part in path.relative_to(fixed).parts)
    )
