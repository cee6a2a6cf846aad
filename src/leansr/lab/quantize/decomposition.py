"""A trained convolution as a sum-product, which training then goes on with."""

import torch
from torch import Tensor

from leansr.lab.quantize.sum_product import ternary


def decomposed(kernel: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:
    """`kernel` `(out, in, k, k)` as features `(r, in, k, k)`, vector and mix `(out, r, 1, 1)`.

    r = `rank` * out, the vector `(r, 1, 1)`. Exact as they stand: each output sums up `rank` maps
    of its own, and each map but the last is ternary and takes what it can of what those before it
    have left. The last takes the rest, of which ternary features lose a part. Ours: the study
    trains float features first, from wherever they start.
    """
    rest, features, vectors = kernel, [], []
    for number in range(rank):
        values, scales = zip(*map(ternary, rest), strict=True)
        vector = torch.stack(scales).view(-1, 1, 1, 1)
        # Where nothing is left any vector does, but zero, by which the rest is divided.
        vector = torch.where(vector == 0, torch.ones_like(vector), vector)
        part = torch.stack(values) if number < rank - 1 else rest / vector
        features.append(part)
        vectors.append(vector)
        rest = rest - part * vector
    mix = torch.eye(kernel.shape[0]).repeat(1, rank)[:, :, None, None].to(kernel)
    return torch.cat(features), torch.cat(vectors)[:, :, :, 0], mix
