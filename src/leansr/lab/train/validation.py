"""How good weights are, on what the network itself sees and gives."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from leansr.image.arrays import from_unit, to_unit
from leansr.image.quality import psnr
from leansr.lab.nets.network import Network
from leansr.lab.train.pictures import Pair


@torch.no_grad()
def mean_psnr(
    network: Network, weights: Mapping[str, Tensor], pairs: Sequence[Pair], border: int
) -> float:
    """Mean PSNR in dB of `network` with `weights`: its output in 8 bits, `border` pixels cut.

    Over every version of every LR picture.
    """
    device = next(network.parameters()).device
    values = []
    # By running statistics, which the pictures then leave as they are.
    network.eval()
    for pair in pairs:
        for pixels in pair.lrs:
            lr = torch.from_numpy(to_unit(pixels)).permute(2, 0, 1)[None].to(device)
            sr = torch.func.functional_call(network, dict(weights), (lr,))
            sr8 = from_unit(sr[0].permute(1, 2, 0).cpu().numpy(), np.uint8).astype(np.float64)
            hr = to_unit(pair.hr).astype(np.float64) * 255
            inner = slice(border, -border)
            values.append(psnr(sr8[inner, inner], hr[inner, inner]))
    network.train()
    return float(np.mean(values))
