"""Networks of ternary weights (StrassenNets; efficiency study, section 5.2)."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Self

from torch import Tensor, nn

from leansr import zoo
from leansr.errors import UsageError
from leansr.lab.nets import build, changed
from leansr.lab.nets.collapse import Collapsible, Space, replaced
from leansr.lab.nets.network import Network, Tensors
from leansr.lab.nets.rcan import ChannelAttention
from leansr.lab.quantize.decomposition import decomposed
from leansr.lab.quantize.sum_product import SumProduct, SumProductConv2d
from leansr.lab.weights import check_finite

# What the names of its tensors begin with, before those of the network that it is made of.
_PREFIX = "network."
# The tensors of a sum-product but its bias, as `decomposed` returns them.
_PARTS = ("features.weight", "vector", "mix.weight")


class Ternary(Network):
    """The network `of`, every convolution a sum-product of ternary weights, as `of` in and out.

    Each makes r = `rank` times its outputs of maps, which is also what it multiplies for a pixel.
    The first of its two ternary convolutions is in `groups`, where inputs and maps can be shared
    out so (not the picture's three channels); the study's words leave open which is grouped.
    Channel attention stays in floats. `changes` are to arguments of `of`; its linear blocks are
    collapsed beforehand. `space` is the phase of training (`SumProductConv2d`): "float", then
    "ternary", then "fixed", each starting from the weights of the one before. Raises ValueError
    if `of` has layers without such a form: grouped, strided, dilated or transposed convolutions.
    """

    spaces = ("ternary", "fixed", "float")

    def __init__(
        self,
        *,
        of: str,
        rank: int,
        scale: int,
        groups: int = 1,
        changes: Mapping[str, Any] | None = None,
        space: Space = "ternary",
    ) -> None:
        super().__init__()
        self.rank = rank
        network = build(changed(zoo.find(of, scale), changes or {}), scale)
        put = partial(_sum_product, rank=rank, groups=groups, space=space)
        self.network = replaced(network.deploy(), put).train()

    def forward(self, lr: Tensor) -> Tensor:
        return self.network(lr)

    def adopted(self, tensors: Tensors) -> Tensors:
        """Those of weights of `of` as a start of this one's: in the space "float" the same network.

        Any others as they are. UsageError if convolutions are in groups: they cannot hold them.
        """
        layers = {
            name.removeprefix(_PREFIX): layer
            for name, layer in self.named_modules()
            if isinstance(layer, SumProductConv2d)
        }
        if any(name.startswith(_PREFIX) for name in tensors):
            return tensors
        result = {}
        for name, tensor in tensors.items():
            of, _, kind = name.rpartition(".")
            if of not in layers:
                result[f"{_PREFIX}{name}"] = tensor
            elif kind == "bias":
                result[f"{_PREFIX}{of}.mix.bias"] = tensor
            elif layers[of].features.groups > 1:
                raise UsageError(f"{of}: a network with groups starts afresh, not from {name}")
            else:
                parts = decomposed(tensor, self.rank)
                for part, value in zip(_PARTS, parts, strict=True):
                    result[f"{_PREFIX}{of}.{part}"] = value
        return result

    def deploy(self) -> Self:
        """The form that holds -1, 0 and 1; WeightsError if a weight is not finite.

        ExportError in the space "float".
        """
        check_finite(self)
        # Not by way of double, as other networks: a weight could pass the threshold on the way.
        twin = replaced(self, lambda m: m.collapse() if isinstance(m, Collapsible) else None)
        return twin.eval()


def _sum_product(layer: nn.Module, rank: int, groups: int, space: Space) -> nn.Module | None:
    """What takes the place of `layer`; None where what is in it is looked at instead."""
    if isinstance(layer, ChannelAttention):
        return layer
    if isinstance(layer, nn.ConvTranspose2d | nn.Linear | SumProduct):
        raise ValueError(f"has no sum-product form: {layer}")
    if not isinstance(layer, nn.Conv2d):
        return None
    size = layer.kernel_size[0]
    inputs, outputs = layer.in_channels, layer.out_channels
    plain = nn.Conv2d(inputs, outputs, size, padding=size // 2, device="meta")
    same = ("kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")
    if any(getattr(layer, name) != getattr(plain, name) for name in same):
        raise ValueError(f"has no sum-product form: {layer}")
    can_group = inputs % groups == 0 and rank * outputs % groups == 0
    return SumProductConv2d(
        inputs,
        outputs,
        size,
        rank=rank,
        groups=groups if can_group else 1,
        bias=layer.bias is not None,
        space=space,
    )
