"""Linear chains of convolutions become one, and networks of them their deploy form."""

import copy
from collections.abc import Callable
from typing import Literal, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

# Where a network of collapsible blocks is trained: as drawn, collapsed at every step, or on the
# collapsed kernels themselves.
Space = Literal["expanded", "collapsed", "direct"]


@runtime_checkable
class Collapsible(Protocol):
    """A block of the training form that knows the plain module equal to it."""

    def collapse(self) -> nn.Module:
        """The module that takes the block's place in the deploy form."""


Network = TypeVar("Network", bound=nn.Module)


def deploy(network: Network) -> Network:
    """A copy of `network` in evaluation mode with every collapsible block collapsed."""
    return replaced(network, lambda m: m.collapse() if isinstance(m, Collapsible) else None).eval()


@torch.no_grad()
def replaced(network: Network, twin: Callable[[nn.Module], nn.Module | None]) -> Network:
    """A copy of `network` with `twin(module)` in place of each module that has one."""
    network = copy.deepcopy(network)
    for name, module in list(network.named_modules()):
        other = twin(module)
        if other is not None:
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, other)
    return network


def is_deployed(network: nn.Module) -> bool:
    """Whether nothing in `network` is left to collapse."""
    return not any(isinstance(module, Collapsible) for module in network.modules())


def chain(first: nn.Conv2d, last: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Kernel and bias of the one k x k convolution equal to `last(first(x))`, `last` being 1 x 1.

    Equal also at the border, because zero padding reaches only `first` (SESR, Algorithm 1, whose
    convolution of an identity this sum over the inner channels is). Differentiable. Raises
    ValueError if `last` is not 1 x 1 or the channels do not chain.
    """
    if last.kernel_size != (1, 1) or last.in_channels != first.out_channels:
        raise ValueError(f"not a k x k then 1 x 1 chain: {first} then {last}")
    assert first.bias is not None
    assert last.bias is not None
    mix = last.weight[:, :, 0, 0]
    kernel = mix @ first.weight.flatten(1)
    return kernel.view(-1, *first.weight.shape[1:]), mix @ first.bias + last.bias


def identity(channels: int, kernel_size: int) -> Tensor:
    """The k x k kernel that returns its input (SESR, Algorithm 2)."""
    kernel = torch.zeros(channels, channels, kernel_size, kernel_size)
    centre = kernel_size // 2
    kernel[range(channels), range(channels), centre, centre] = 1
    return kernel
