"""What to write instead, where a TOML file does not fit the tables that it is read as."""

import difflib
import re
from typing import Literal, TypeGuard, get_args, get_origin, get_type_hints

import msgspec


def suggestion(message: str, root: type[msgspec.Struct]) -> str:
    """What belongs after msgspec's `message` on a file read as `root`; empty if nothing does.

    For a key that is not known, the nearest of that table or all of them; for a value that is none
    of a few, the few.
    """
    path = re.search(r"`\$\.?(.*?)`$", message)
    keys = re.findall(r"\w+", re.sub(r"\[.*?\]", "", path[1])) if path else []
    unknown = re.search(r"unknown field `(.+?)`", message)
    if unknown is not None:
        known = _table(root, keys).__struct_fields__
        close = difflib.get_close_matches(unknown[1], known, n=1)
        close = close or _elsewhere(root, unknown[1])
        return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"
    if message.startswith("Invalid enum value"):
        return f"; one of {', '.join(_choices(_table(root, keys[:-1]), keys[-1]))}"
    return ""


def _table(root: type[msgspec.Struct], keys: list[str]) -> type[msgspec.Struct]:
    """The table that `keys` lead to from `root`."""
    table = root
    for key in keys:
        table = next(kind for kind in _kinds(table, key) if _is_table(kind))
    return table


def _elsewhere(root: type[msgspec.Struct], key: str) -> list[str]:
    """Where in the tables of `root` there is a key of this name, like `data.batch`."""
    tables = [(name, kind) for name in root.__struct_fields__ for kind in _kinds(root, name)]
    return [f"{n}.{key}" for n, kind in tables if _is_table(kind) and key in kind.__struct_fields__]


def _choices(table: type[msgspec.Struct], key: str) -> list[str]:
    kinds = _kinds(table, key)
    return [str(value) for kind in kinds if get_origin(kind) is Literal for value in get_args(kind)]


def _kinds(table: type[msgspec.Struct], key: str) -> list[object]:
    """The type of a key, or those that it is made of: a list's items, one of several, `None`."""
    kind = get_type_hints(table)[key]
    return [kind, *(part for part in get_args(kind) if get_origin(kind) is not Literal)]


def _is_table(kind: object) -> TypeGuard[type[msgspec.Struct]]:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
