"""The networks, one family a file, and the one place where rows become networks."""

import pkgutil
from typing import Any

from leansr.lab.nets.network import Network
from leansr.zoo.variant import Variant


def build(variant: Variant, scale: int, **training: Any) -> Network:
    """The training form of `variant` at `scale`; `training` is for options of that form alone."""
    network: Network = pkgutil.resolve_name(variant.network)(
        **variant.arguments, scale=scale, **training
    )
    return network
