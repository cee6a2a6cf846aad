"""What a network with ternary weights multiplies and adds (StrassenNets; study, section 5.2)."""

from dataclasses import dataclass

from leansr.lab.measure.trace import trace
from leansr.lab.nets.network import Network
from leansr.lab.nets.rcan import RCAN, ChannelAttention

# EDSR's two mean shifts, which the study counts: a 1 x 1 convolution of the three colours.
_MEAN_SHIFT = 9


@dataclass(frozen=True)
class Operations:
    """Multiplications and additions for one picture."""

    multiplications: int
    additions: int


def ternary_operations(network: RCAN, shape: tuple[int, int, int, int], rank: int) -> Operations:
    """Of `network` for a picture of `shape` `(N, C, H, W)`, every k x k convolution ternary.

    Each becomes one to r = `rank` c_out maps whose weights are -1, 0 or 1, a product with a
    learnt r-vector, and a 1 x 1 transposed one, ternary too, back to c_out. So a pixel of its
    output costs r multiplications and (k^2 c_in - 1) r + (r - 1) c_out additions. Channel
    attention and the mean shifts stay as they are; the attention's share is not counted.
    """
    attention = _attention(network)
    multiplications = additions = mean_shifts(shape, network)
    for step in trace(network, shape).steps:
        if step.operation != "aten.convolution" or step.module.startswith(attention):
            continue
        _, weight = step.inputs[:2]
        outputs, inputs, height, width = weight.shape
        pixels = step.outputs[0].numel // outputs
        r = rank * outputs
        multiplications += r * pixels
        additions += ((height * width * inputs - 1) * r + (r - 1) * outputs) * pixels
    return Operations(multiplications, additions)


def mean_shifts(shape: tuple[int, int, int, int], network: Network) -> int:
    """Multiply-accumulates of EDSR's mean shifts, one at LR and one at HR pixels."""
    lr = shape[0] * shape[2] * shape[3]
    hr = trace(network, shape).steps[-1].outputs[0].numel // 3
    return _MEAN_SHIFT * (lr + hr)


def _attention(network: Network) -> tuple[str, ...]:
    named = network.named_modules()
    return tuple(f"{name}." for name, module in named if isinstance(module, ChannelAttention))
