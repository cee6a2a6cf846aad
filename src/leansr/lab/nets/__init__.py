"""The networks, one family a file, and the one place where rows become networks."""

import difflib
import inspect
import pkgutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args, get_origin

from leansr import zoo
from leansr.errors import UsageError
from leansr.lab.nets.collapse import Space
from leansr.lab.nets.network import Network
from leansr.zoo.variant import Variant

# What the arguments of networks are, in words, by how they are annotated.
_KINDS: dict[Any, str] = {
    int: "a positive integer",
    bool: "true or false",
    str: "a name",
    Sequence[int]: "a list of positive integers",
    Sequence[str]: "a list of names",
}


def network_class(variant: Variant) -> type[Network]:
    """The class that the row names."""
    found: type[Network] = pkgutil.resolve_name(variant.network)
    return found


def changed(variant: Variant, arguments: Mapping[str, Any]) -> Variant:
    """The row with other arguments for its network; UsageError for what it does not take."""
    parameters = inspect.signature(network_class(variant)).parameters
    known = set(parameters) - {"scale", "space"}
    for name, value in arguments.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(sorted(known))}"
            raise UsageError(f"{variant.name}: its network has no argument {name}; {hint}")
        kind = parameters[name].annotation
        if not _is_of(kind, value):
            wanted = _KINDS.get(kind) or f"one of {', '.join(get_args(kind))}"
            raise UsageError(f"{variant.name}: network.{name} is {wanted}, not {value!r}")
    return replace(variant, arguments={**variant.arguments, **arguments})


def changes(variant: Variant) -> dict[str, Any]:
    """The arguments of a changed row that are not those of the zoo's row of its name."""
    own = zoo.VARIANTS[variant.name].arguments
    return {name: value for name, value in variant.arguments.items() if own.get(name) != value}


def build(variant: Variant, scale: int, space: Space | None = None, **training: Any) -> Network:
    """The training form of `variant` at `scale`, its own first space if `space` is None.

    `training` is for further options of that form alone. Raises UsageError for a space that the
    network does not have, and for changed arguments that no network can be built with.
    """
    make = network_class(variant)
    if space is not None:
        if space not in make.spaces:
            known = f"one of {', '.join(make.spaces)}" if make.spaces else "it has none"
            raise UsageError(f"{variant.name}: there is no space {space}; {known}")
        training["space"] = space
    try:
        with warnings.catch_warnings():
            # torch only warns of layers that are left without channels.
            warnings.filterwarnings("error", "Initializing zero-element")
            return make(**variant.arguments, scale=scale, **training)
    except (TypeError, ValueError, KeyError, RuntimeError, ArithmeticError, Warning) as cause:
        found = changes(variant)
        if not found:
            raise
        told = ", ".join(f"network.{name} {value}" for name, value in found.items())
        reason = str(cause).partition("\n")[0]
        raise UsageError(f"{variant.name}: cannot be built with {told} ({reason})") from cause


def as_drawn(variant: Variant, scale: int) -> Network:
    """The training form as the paper draws it, with every linear block expanded."""
    is_expandable = "expanded" in network_class(variant).spaces
    return build(variant, scale, "expanded" if is_expandable else None)


def _is_of(kind: Any, value: object) -> bool:
    """Whether `value` can be an argument annotated `kind`; those not in _KINDS are not checked."""
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if kind == Sequence[int]:
        return isinstance(value, tuple) and bool(value) and all(_is_of(int, item) for item in value)
    if kind == Sequence[str]:
        return isinstance(value, tuple) and all(isinstance(item, str) for item in value)
    if kind is int:
        return type(value) is int and value > 0
    return kind not in _KINDS or isinstance(value, kind)
