"""The networks, one family a file, and the one place where rows become networks."""

import difflib
import inspect
import pkgutil
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from leansr.errors import UsageError
from leansr.lab.nets.collapse import Space
from leansr.lab.nets.network import Network
from leansr.zoo.variant import Variant


def network_class(variant: Variant) -> type[Network]:
    """The class that the row names."""
    found: type[Network] = pkgutil.resolve_name(variant.network)
    return found


def changed(variant: Variant, arguments: Mapping[str, Any]) -> Variant:
    """The row with other arguments for its network; UsageError for one that it does not take."""
    known = set(inspect.signature(network_class(variant)).parameters) - {"scale", "space"}
    for name in arguments:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(sorted(known))}"
            raise UsageError(f"{variant.name}: its network has no argument {name}; {hint}")
    return replace(variant, arguments={**variant.arguments, **arguments})


def build(variant: Variant, scale: int, space: Space | None = None, **training: Any) -> Network:
    """The training form of `variant` at `scale`, its own first space if `space` is None.

    `training` is for further options of that form alone. Raises UsageError for a space that the
    network does not have.
    """
    make = network_class(variant)
    if space is not None:
        if space not in make.spaces:
            known = f"one of {', '.join(make.spaces)}" if make.spaces else "it has none"
            raise UsageError(f"{variant.name}: there is no space {space}; {known}")
        training["space"] = space
    return make(**variant.arguments, scale=scale, **training)


def as_drawn(variant: Variant, scale: int) -> Network:
    """The training form as the paper draws it, with every linear block expanded."""
    is_expandable = "expanded" in network_class(variant).spaces
    return build(variant, scale, "expanded" if is_expandable else None)
