"""The methods that a figure compares: variants, each released or with its weights."""

from collections.abc import Sequence
from pathlib import Path

from leansr.errors import UsageError

# A variant, and the file of its weights if not the released ones.
Method = tuple[str, Path | None]


def named(methods: Sequence[Method]) -> dict[str, Method]:
    """The methods by what a figure calls them: the variant, with its file if it is not alone.

    UsageError for two that would be called the same.
    """
    variants = [name for name, _ in methods]
    found = {}
    for name, file in methods:
        told = (
            name if variants.count(name) == 1 else f"{name} ({file.stem if file else 'released'})"
        )
        if told in found:
            raise UsageError(f"{told}: is there twice; give the files different names")
        found[told] = name, file
    return found
