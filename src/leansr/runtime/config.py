"""The user's settings: where the benchmarks lie."""

import os
import tomllib
from pathlib import Path

from leansr.errors import UsageError

VARIABLE = "LEANSR_DATA"
KEYS = {"data_root"}


def data_root(given: Path | None = None) -> Path | None:
    """The folder of the benchmarks: `given`, else LEANSR_DATA, else `data_root` of the config file.

    None if none of them says. Raises UsageError for one that is not a folder, and for a config
    file that is not TOML or has other keys.
    """
    if given is not None:
        return _folder(given, "--data-root")
    if os.environ.get(VARIABLE):
        return _folder(Path(os.environ[VARIABLE]), VARIABLE)
    file = config_file()
    stated = _read(file).get("data_root")
    if stated is None:
        return None
    if not isinstance(stated, str) or not stated:
        raise UsageError(f'{file}: data_root is a folder in quotes, like data_root = "/data"')
    # Relative to the file that says it, as nobody knows where the command will be called.
    return _folder(file.parent / os.path.expanduser(stated), str(file))


def config_file() -> Path:
    """Where the config file is looked for: `leansr/config.toml` in XDG_CONFIG_HOME or ~/.config."""
    base = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    # The XDG base directory specification has relative paths ignored.
    if not base.is_absolute():
        base = Path(os.path.expanduser("~/.config"))
    return base / "leansr" / "config.toml"


def _read(file: Path) -> dict[str, object]:
    try:
        settings = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as cause:
        raise UsageError(f"{file}: is not TOML ({cause})") from cause
    unknown = sorted(settings.keys() - KEYS)
    if unknown:
        known = ", ".join(sorted(KEYS))
        raise UsageError(f"{file}: {', '.join(unknown)}: no such key; known is {known}")
    return settings


def _folder(path: Path, source: str) -> Path:
    if not path.is_dir():
        raise UsageError(f"{source}: {path} is not a folder")
    return path
