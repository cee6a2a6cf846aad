"""The row type: what there is to know of a network before anything of it is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal


@dataclass(frozen=True)
class Variant:
    """One network of the zoo, by its name on the command line, in code, tests and docs.

    `network` is `module:Class` in the lab, built as `Class(**arguments, scale=scale)`; nothing
    outside the lab resolves it. `colour` says what the network sees: "y" (BT.601 luma on the
    16..235 scale, divided by 255) or "rgb". `source` names the paper's place for it.
    """

    name: str
    family: str
    network: str
    arguments: Mapping[str, Any]
    scales: tuple[int, ...]
    colour: Literal["y", "rgb"]
    source: str
    # Statistics over the whole image: its receptive field has no halo that would be enough.
    is_global: bool = False
    # Pixels a side of the smallest picture that it takes.
    smallest: int = 1
    # What an exported file computes in, as far as the runtime has kernels for it.
    dtype: Literal["float32", "int8"] = "float32"

    def __post_init__(self) -> None:
        if not self.scales or min(self.scales) < 1:
            raise ValueError(f"{self.name}: scales are positive integers, not {self.scales}")
        object.__setattr__(self, "arguments", MappingProxyType(dict(self.arguments)))

    @property
    def channels(self) -> int:
        """How many channels the network sees."""
        return {"y": 1, "rgb": 3}[self.colour]
