"""What every network of the lab is."""

from typing import Self

from torch import nn

from leansr.lab.nets.collapse import deploy


class Network(nn.Module):
    """lr `(N, C, H, W)` to sr `(N, C, scale * H, scale * W)`, float32, [0, 1], not clipped."""

    def deploy(self) -> Self:
        """The deploy form as a new network; the original is untouched."""
        return deploy(self)
