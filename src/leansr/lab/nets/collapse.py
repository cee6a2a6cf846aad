"""Linear layers in a row become one convolution, and networks of them their deploy form."""

import copy
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

# Where a network of collapsible blocks is trained: as drawn, collapsed at every step, or on the
# collapsed kernels themselves; one of ternary weights: before they are, while, and after.
Space = Literal["expanded", "collapsed", "direct", "float", "ternary", "fixed"]


class Kernel(NamedTuple):
    """A convolution by its tensors: `weight` `(out, in, k, k)`, `bias` `(out,)`.

    What is made of kernels is differentiable, so that the collapsed form can be trained too.
    """

    weight: Tensor
    bias: Tensor

    def then(self, last: "Kernel") -> "Kernel":
        """The one kernel equal to `last` after this one, where either is 1 x 1.

        If `last` is the 1 x 1, equal also at the border, for zero padding reaches only this one
        (SESR, Algorithm 1). If this is the 1 x 1, equal at the border where `last` pads what it
        sees by this one's bias, its answer to zero (FMEN, section 3.2). Raises ValueError if
        neither is 1 x 1 or the channels do not chain.
        """
        chains = last.weight.shape[1] == self.weight.shape[0]
        if not chains or 1 not in (self.weight.shape[-1], last.weight.shape[-1]):
            shapes = f"{tuple(self.weight.shape)} then {tuple(last.weight.shape)}"
            raise ValueError(f"not two kernels that chain, one of them 1 x 1: {shapes}")
        if last.weight.shape[-1] == 1:
            mix = last.weight[:, :, 0, 0]
            weight = (mix @ self.weight.flatten(1)).view(-1, *self.weight.shape[1:])
        else:
            weight = torch.einsum("omhw,mi->oihw", last.weight, self.weight[:, :, 0, 0])
        return Kernel(weight, last.weight.sum(dim=(2, 3)) @ self.bias + last.bias)

    def plus_identity(self) -> "Kernel":
        """The kernel of this convolution's output plus its input (SESR, Algorithm 2)."""
        channels, size = self.weight.shape[0], self.weight.shape[-1]
        return Kernel(self.weight + identity(channels, size).to(self.weight), self.bias)

    def convolution(self) -> nn.Conv2d:
        """The plain convolution of this kernel, zero padding keeping the size."""
        outputs, inputs, size, _ = self.weight.shape
        conv = nn.Conv2d(inputs, outputs, size, padding=size // 2)
        conv.load_state_dict(self._asdict(), assign=True)
        return conv


def kernel_of(layer: nn.Conv2d | nn.Linear | nn.BatchNorm2d) -> Kernel:
    """The kernel of a linear layer over channels.

    That of a batch normalisation is diagonal, by its running statistics. Raises ValueError for a
    convolution that is strided, dilated or grouped: no one kernel is made of it.
    """
    if isinstance(layer, nn.BatchNorm2d):
        assert layer.running_var is not None
        assert layer.running_mean is not None
        factor = layer.weight / (layer.running_var + layer.eps).sqrt()
        bias = layer.bias - factor * layer.running_mean
        return Kernel(torch.diag(factor)[:, :, None, None], bias)
    weight = layer.weight
    if isinstance(layer, nn.Linear):
        weight = weight[:, :, None, None]
    elif (layer.stride, layer.dilation, layer.groups) != ((1, 1), (1, 1), 1):
        raise ValueError(f"strided, dilated or grouped: {layer}")
    bias = torch.zeros_like(weight[:, 0, 0, 0]) if layer.bias is None else layer.bias
    return Kernel(weight, bias)


def identity(channels: int, kernel_size: int) -> Tensor:
    """The k x k kernel that returns its input (SESR, Algorithm 2)."""
    kernel = torch.zeros(channels, channels, kernel_size, kernel_size)
    centre = kernel_size // 2
    kernel[range(channels), range(channels), centre, centre] = 1
    return kernel


@runtime_checkable
class Collapsible(Protocol):
    """A block of the training form that knows the plainer module equal to it."""

    def collapse(self) -> nn.Module:
        """The module that takes the block's place in the deploy form."""


Module = TypeVar("Module", bound=nn.Module)


def deploy(network: Module) -> Module:
    """A copy of `network` in evaluation mode with every collapsible block collapsed."""
    tensor = next(iter(network.state_dict().values()), torch.empty(0))
    # Products of kernels are rounded once, at the end.
    exact = copy.deepcopy(network).double().eval()
    twin = replaced(exact, lambda m: m.collapse() if isinstance(m, Collapsible) else None)
    return twin.to(tensor.dtype).eval()


@torch.no_grad()
def replaced(network: Module, twin: Callable[[nn.Module], nn.Module | None]) -> Module:
    """A copy of `network` with `twin(module)` in place of each outermost module that has one."""
    network = copy.deepcopy(network)
    done: tuple[str, ...] = ()
    for name, module in list(network.named_modules()):
        if name.startswith(done):
            continue
        other = twin(module)
        if other is not None:
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, other)
            done += (f"{name}.",)
    return network


def is_deployed(network: nn.Module) -> bool:
    """Whether nothing in `network` is left to collapse."""
    return not any(isinstance(module, Collapsible) for module in network.modules())
