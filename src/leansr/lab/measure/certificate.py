"""Proof that a network and its deploy form are one function."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from leansr.lab.measure.complexity import Complexity, complexity, lr_size
from leansr.lab.nets.network import Network
from leansr.zoo.variant import Variant

# Relative to the largest output, in float32; a wrong border or fold differs by far more.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Certificate:
    """Both forms' costs for a 1280 x 720 output, and how far apart they were seen.

    `layers` counts the modules without children, before and after. `difference` is the largest
    over `shapes` (height, width) of max |difference| / max |output|, the border included.
    """

    layers: tuple[int, int]
    training: Complexity
    deploy: Complexity
    difference: float
    shapes: tuple[tuple[int, int], ...]

    @property
    def holds(self) -> bool:
        """Whether the forms are equal to float rounding."""
        return self.difference <= TOLERANCE


@torch.no_grad()
def certificate(
    network: Network, variant: Variant, scale: int, shapes: int = 6, seed: int = 0
) -> Certificate:
    """Compares the two forms of `network`, in evaluation mode, on random pictures of odd sizes."""
    generator = torch.Generator().manual_seed(seed)
    training, deployed = network.eval(), network.deploy()
    sizes, differences = [], []
    for _ in range(shapes):
        sides = torch.randint(variant.smallest, variant.smallest + 40, (2,), generator=generator)
        height, width = sides.tolist()
        lr = torch.rand(1, variant.channels, height, width, generator=generator)
        sizes.append((height, width))
        differences.append(relative_difference(deployed(lr), training(lr)))
    shape = (1, variant.channels, *lr_size(scale))
    return Certificate(
        (_layers(training), _layers(deployed)),
        complexity(training, shape),
        complexity(deployed, shape),
        float(torch.stack(differences).max()),
        tuple(sizes),
    )


def relative_difference(found: Tensor, expected: Tensor) -> Tensor:
    """max |found - expected| / max |expected|; NaN stays NaN."""
    return (found - expected).abs().max() / expected.abs().max()


@torch.no_grad()
def with_nothing_zero(network: Network, seed: int = 0) -> Network:
    """The same network with its biases, slopes and statistics moved from their starts.

    Zero biases and unit variances would hide a wrong border or a forgotten factor.
    """
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        size = 0.2 if parameter.ndim == 1 else 0.02
        parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=size)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean += torch.randn(module.num_features, generator=generator)
            module.running_var *= 0.5 + torch.rand(module.num_features, generator=generator)
    return network


def _layers(network: nn.Module) -> int:
    leaves = [m for m in network.modules() if not any(True for _ in m.children())]
    return sum(not isinstance(leaf, nn.Identity) for leaf in leaves)
