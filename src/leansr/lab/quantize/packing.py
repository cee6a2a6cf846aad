"""Ternary values in two bits each."""

import torch
from torch import Tensor

from leansr.errors import WeightsError

_BITS, _IN_A_BYTE = 2, 4


def pack(values: Tensor) -> Tensor:
    """`values` of -1, 0 and 1, int8 of any shape, four to a byte: uint8 `(ceil(n / 4),)`.

    In the order of `flatten`, each as two's complement, the first of a byte in its lowest bits (so
    does ONNX's INT2); what is left of the last byte is zero. ValueError for other values.
    """
    # Without data, as where costs are counted, there is nothing to look at.
    if not values.is_meta and bool(((values < -1) | (values > 1)).any()):
        raise ValueError("values other than -1, 0 and 1 do not fit into two bits")
    codes = (values.flatten() & 3).to(torch.uint8)
    codes = torch.cat([codes, codes.new_zeros(-codes.numel() % _IN_A_BYTE)])
    result: Tensor = (codes.view(-1, _IN_A_BYTE) << _shifts(codes)).sum(1, dtype=torch.uint8)
    return result


def unpack(packed: Tensor, shape: torch.Size) -> Tensor:
    """The values that `pack` was given, int8 of `shape`.

    WeightsError if `packed` is not so many values of -1, 0 and 1: its other length or type, a
    fourth value, or something after the last one.
    """
    count = shape.numel()
    if packed.dtype != torch.uint8 or packed.shape != (-(-count // _IN_A_BYTE),):
        told = f"{tuple(packed.shape)} of {packed.dtype}"
        raise WeightsError(f"{told} are not {count} packed ternary values")
    codes = ((packed[:, None] >> _shifts(packed)) & 3).flatten()
    if not packed.is_meta and bool((codes == 2).any() or codes[count:].any()):
        raise WeightsError("packed ternary values are damaged: not all are -1, 0 and 1")
    # 0 and 1 stay, 3 is -1.
    signed = codes[:count].to(torch.int8)
    return (signed - (signed & 2) * 2).view(shape)


def _shifts(like: Tensor) -> Tensor:
    return _BITS * torch.arange(_IN_A_BYTE, dtype=torch.uint8, device=like.device)
