"""Bicubic upscaling as MATLAB's `imresize`, the first stage of the networks that see HR pixels."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from leansr.image.resize import resize
from leansr.lab.nets.network import Network

# Pixels to each side that Keys' cubic takes.
REACH = 2


class Bicubic(Network):
    """`leansr.image.resize.resize` as a network without parameters; any channels, any scale.

    lr --mirror 2--5 x 5, one kernel per phase--depth to space-- sr

    Each channel by itself. The mirror repeats the edge pixel and reaches over pictures of one
    pixel too.
    """

    kernels: Tensor

    def __init__(self, *, scale: int) -> None:
        super().__init__()
        if scale < 1:
            raise ValueError(f"bicubic upscaling takes a whole factor of 1 or more, not {scale}")
        self.scale = scale
        # The reference's answers to impulses are its weights: what the central pixel becomes.
        impulses = np.eye(2 * REACH + 1)[:, None]
        answers = resize(impulses, scale)[REACH * scale : (REACH + 1) * scale, 0]
        taps = torch.tensor(answers.tolist(), dtype=torch.float64)
        kernels = torch.einsum("ph,qw->pqhw", taps, taps).flatten(0, 1)[:, None]
        self.register_buffer("kernels", kernels.float(), persistent=False)

    def forward(self, lr: Tensor) -> Tensor:
        channels = lr.shape[1]
        kernels = torch.cat([self.kernels] * channels)
        return F.pixel_shuffle(F.conv2d(mirrored(lr), kernels, groups=channels), self.scale)


def mirrored(x: Tensor) -> Tensor:
    """`x` with REACH more pixels to each side: ... 1 0 | 0 1 ... n-1 | n-1 n-2 ..."""
    x = F.pad(x, (1, 1, 1, 1), mode="replicate")
    # Slices of what is padded once exist for pictures of one pixel too.
    x = torch.cat([x[..., 2:3, :], x, x[..., -3:-2, :]], dim=-2)
    return torch.cat([x[..., 2:3], x, x[..., -3:-2]], dim=-1)
