"""What a folder of outputs was made of, so that a batch goes on where it was ended.

A line of JSON for each picture, at the end of `MANIFEST` in the folder, written when the output is
whole and before it is put in place. Lines are only ever added, so nothing is lost when the program
is killed: a line that was cut off is passed over, and of several lines for one output the last
holds.
"""

import hashlib
import json
import os
import stat
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from leansr.errors import DataError, PictureError

MANIFEST = ".leansr-manifest.jsonl"
_SCHEMA = 1

# Of an output that is there: made of this input in this way; made in another way or of another
# input; nothing that is known here, or changed since.
Standing = Literal["done", "stale", "foreign"]


@dataclass(frozen=True)
class Entry:
    """A line: the output's name, and the SHA-256 of the input, the settings and the output."""

    output: str
    input: str
    settings: str
    result: str


class Manifest:
    """The manifest of the folder `root`, for work by `settings` (of whatever changes pixels).

    Raises DataError if there is one that cannot be read.
    """

    def __init__(self, root: Path, settings: dict[str, Any]) -> None:
        self.path = root / MANIFEST
        self._root = root
        self._settings = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        # All that was ever to be put in place: a run that was killed before leaves the older one.
        self._made: set[tuple[str, str]] = set()
        for entry in _read(self.path):
            self._know(entry)

    def standing(self, source: str, target: Path) -> Standing:
        """How the output `target` that is there stands to the input of the SHA-256 `source`.

        PictureError if it cannot be read.
        """
        entry = self._entries.get(self._name(target))
        if entry is None:
            return "foreign"
        found = sha256(target)
        if (entry.output, found) not in self._made:
            return "foreign"
        is_same = (entry.input, entry.settings, entry.result) == (source, self._settings, found)
        return "done" if is_same else "stale"

    def add(self, source: str, target: Path, part: Path) -> None:
        """To be called before `part` becomes `target`; `source` is the input's SHA-256."""
        entry = Entry(self._name(target), source, self._settings, sha256(part))
        line = json.dumps({"schema": _SCHEMA} | asdict(entry)) + "\n"
        with self._lock:
            self._know(entry)
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                _append(self.path, line.encode())
            except OSError as cause:
                reason = cause.strerror
                raise DataError(f"{self.path}: cannot be written ({reason})") from cause

    def _know(self, entry: Entry) -> None:
        self._entries[entry.output] = entry
        self._made.add((entry.output, entry.result))

    def _name(self, target: Path) -> str:
        return target.relative_to(self._root).as_posix()


def sha256(path: Path) -> str:
    """Of a file's content, in hex; PictureError if it cannot be read."""
    try:
        # Asked before it is opened, which would wait for the writer of a pipe.
        if not stat.S_ISREG(path.stat().st_mode):
            raise PictureError(f"{path}: is not a file")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as cause:
        raise PictureError(f"{path}: no such file") from cause
    except OSError as cause:
        raise PictureError(f"{path}: cannot be read ({cause.strerror})") from cause


def _append(path: Path, line: bytes) -> None:
    with path.open("ab+") as file:
        # A line that a kill cut off must not swallow the one after it.
        file.seek(0, os.SEEK_END)
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                line = b"\n" + line
        file.write(line)


def _read(path: Path) -> Iterator[Entry]:
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return
    except OSError as cause:
        raise DataError(f"{path}: cannot be read ({cause.strerror})") from cause
    for number, line in enumerate(lines, 1):
        try:
            fields = json.loads(line)
        except ValueError:  # cut off
            continue
        try:
            if fields.pop("schema") != _SCHEMA:
                raise ValueError("of another version of leansr")
            yield Entry(**fields)
        except (ValueError, TypeError, LookupError, AttributeError) as cause:
            raise DataError(
                f"{path}: line {number} is none of a manifest ({cause}); remove the file"
            ) from cause
