"""Convolutions of ternary weights with few products in between (StrassenNets).

Tschannen, Khanna and Anandkumar (2018): a matrix product as additions, r products, and additions
again, which of them is learnt. Where a weight is -1, 0 or 1, nothing is multiplied.
"""

import torch
from torch import Tensor, nn

from leansr.errors import ExportError
from leansr.lab.nets.collapse import Space
from leansr.lab.quantize.packing import pack, unpack

# Li and Liu (2016): of the mean magnitude, what is no larger is zero.
_THRESHOLD = 0.7


def ternary(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Values of -1, 0 and 1, and the one scale, whose product is near `weight`, of any shape.

    Zero is what is no larger than 0.7 of the mean magnitude, and the scale is the mean magnitude
    of the rest (Li and Liu, 2016, section 2). Of values of -1, 0 and 1 it returns them and 1; of
    zeros alone, zeros and 0.
    """
    size = weight.abs()
    # In double: in whatever order weights lie and are summed, the same ones are zero.
    threshold = (_THRESHOLD * size.mean(dtype=torch.float64)).to(weight.dtype)
    kept = (size > threshold).to(weight.dtype)
    total = (size * kept).sum(dtype=torch.float64)
    scale = total / kept.sum(dtype=torch.float64).clamp(min=1)
    return weight.sign() * kept, scale.to(weight.dtype)


class StraightThroughConv2d(nn.Conv2d):
    """A convolution whose weights are made ternary whenever it is applied.

    Its weights have the gradient of the ternary ones that were applied in their place.
    """

    def forward(self, x: Tensor) -> Tensor:
        values, scale = ternary(self.weight.detach())
        # Adds nothing, with a gradient of one.
        weight = values * scale + (self.weight - self.weight.detach())
        return self._conv_forward(x, weight, self.bias)


class TernaryConv2d(nn.Conv2d):
    """A convolution of `values` -1, 0 and 1, int8 `(out, in / groups, k, k)`; keeps the size.

    Their place in the state is `weight`, packed into two bits each: uint8 `(ceil(n / 4),)`.
    """

    def __init__(self, values: Tensor, bias: Tensor | None, groups: int) -> None:
        outputs, inputs, size, _ = values.shape
        super().__init__(
            inputs * groups,
            outputs,
            size,
            padding=size // 2,
            groups=groups,
            bias=bias is not None,
            device="meta",
        )
        self.weight = nn.Parameter(values.contiguous(), requires_grad=False)
        if bias is not None:
            self.bias = nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight.to(x.dtype), self.bias)

    def _save_to_state_dict(
        self, destination: dict[str, Tensor], prefix: str, keep_vars: bool
    ) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[f"{prefix}weight"] = pack(self.weight.detach())

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *arguments: object
    ) -> None:
        name = f"{prefix}weight"
        values = {name: unpack(state_dict[name], self.weight.shape)} if name in state_dict else {}
        super()._load_from_state_dict(state_dict | values, prefix, *arguments)


class SumProduct(nn.Module):
    """The deploy form of `SumProductConv2d`: ternary, products with a vector, ternary."""

    def __init__(self, features: TernaryConv2d, vector: Tensor, mix: TernaryConv2d) -> None:
        super().__init__()
        self.features = features
        self.vector = nn.Parameter(vector)
        self.mix = mix

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(self.features(x) * self.vector)


class SumProductConv2d(nn.Module):
    """In the place of a k x k convolution (StrassenNets, section 2; study, section 5.2).

    x --k x k, to r = `rank` outputs--(*) vector, learnt--1 x 1, to outputs--

    Both convolutions are ternary, without any product; the second, transposed in the text, is the
    same as a plain one, being 1 x 1. Only it mixes the `groups` of the first, and has the bias.
    `space` is the phase of training: in "float" the weights are what they are, in "ternary" they
    are made so in every forward pass, in "fixed" they are ternary and stay, with their scales
    absorbed into the vector, when the weights of another phase are loaded too. Starts with the
    variance of the plain convolution.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int,
        *,
        rank: int,
        groups: int = 1,
        bias: bool = True,
        space: Space,
    ) -> None:
        super().__init__()
        r = rank * outputs
        conv = nn.Conv2d if space == "float" else StraightThroughConv2d
        padding = kernel_size // 2
        self.space = space
        self.features = conv(inputs, r, kernel_size, padding=padding, groups=groups, bias=False)
        self.vector = nn.Parameter(torch.ones(r, 1, 1))
        self.mix = conv(r, outputs, 1, bias=bias)
        # The first starts as any convolution of torch; a sum over it as large as one of its maps.
        nn.init.uniform_(self.mix.weight, -((3 / r) ** 0.5), (3 / r) ** 0.5)
        if self.mix.bias is not None:
            bound = (inputs * kernel_size**2) ** -0.5
            nn.init.uniform_(self.mix.bias, -bound, bound)
        if space == "fixed":
            self.features.requires_grad_(False)
            self.mix.weight.requires_grad_(False)
            self.register_load_state_dict_post_hook(_fix)
            _fix(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(self.features(x) * self.vector)

    def collapse(self) -> SumProduct:
        """The same, of weights that are -1, 0 and 1 alone; ExportError in the space "float"."""
        if self.space == "float":
            raise ExportError(
                "the weights are still float, and what is trained in the space float is no "
                "ternary network yet; start a run in the space ternary from them"
            )
        first, one = ternary(self.features.weight.detach())
        last, other = ternary(self.mix.weight.detach())
        bias = None if self.mix.bias is None else self.mix.bias.detach()
        return SumProduct(
            TernaryConv2d(first.to(torch.int8), None, self.features.groups),
            self.vector.detach() * (one * other),
            TernaryConv2d(last.to(torch.int8), bias, 1),
        )


@torch.no_grad()
def _fix(module: nn.Module, keys: object = None) -> None:
    """Makes the weights ternary, and their scales part of the vector; once is as good as twice."""
    assert isinstance(module, SumProductConv2d)
    for conv in (module.features, module.mix):
        values, scale = ternary(conv.weight)
        conv.weight.copy_(values)
        module.vector.mul_(scale)
