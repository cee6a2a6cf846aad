"""What every network of the lab is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from torch import Tensor, nn

from leansr.lab.nets.collapse import Space, deploy

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Published:
    """How the authors' own checkpoints of a network are laid out.

    `renames`, pairs for `re.sub`, applied in order, turn our tensors' names into theirs. `values`
    turns their tensors, under our names, into ours without changing a shape: a network that was
    trained on [0, 255] then sees [0, 1]. `form` is which of our two forms the file holds.
    """

    renames: tuple[tuple[str, str], ...] = ()
    values: Callable[[Tensors], Tensors] = dict
    form: Literal["training", "deploy"] = "training"


class Network(nn.Module):
    """lr `(N, C, H, W)` to sr `(N, C, scale * H, scale * W)`, float32, [0, 1], not clipped."""

    # The ways it can be trained, the default first; empty if nothing in it is collapsible.
    spaces: ClassVar[tuple[Space, ...]] = ()
    # The layouts in which its authors published weights.
    published: ClassVar[tuple[Published, ...]] = ()
    # Arguments of its row that a release may have otherwise: its card and its tensors tell them.
    free: ClassVar[frozenset[str]] = frozenset()

    def prepare(self, lr: Tensor) -> None:
        """Starts what follows from what it sees, by the first batch of a new run; called once."""

    def adopted(self, tensors: Tensors) -> Tensors:
        """What it starts from, given a weights file's tensors: those themselves, unless they are
        of a network that it is made of."""
        return tensors

    def quantized(self) -> dict[str, Any]:
        """What a release's card says of how it is in fewer bits; nothing of one in floats."""
        return {}

    def deploy(self) -> Self:
        """The deploy form as a new network; the original is untouched."""
        return deploy(self)


def from_byte_range(head: str, tail: str) -> Callable[[Tensors], Tensors]:
    """For `Published.values`: a network of [0, 255] in and out made one of [0, 1].

    Folded into the convolutions `head`, which sees the picture, and `tail`, which returns it.
    """

    def values(tensors: Tensors) -> Tensors:
        changed = {
            f"{head}.weight": tensors[f"{head}.weight"] * 255,
            f"{tail}.weight": tensors[f"{tail}.weight"] / 255,
            f"{tail}.bias": tensors[f"{tail}.bias"] / 255,
        }
        return tensors | changed

    return values
