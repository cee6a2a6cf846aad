"""Quantising and its inverse as operations of their own, which ONNX has too."""

from collections.abc import Callable
from typing import Any

import torch
from onnxscript import opset20
from torch import Tensor

from leansr.lab.quantize import grid

_GRIDS = {each.dtype: each for each in (grid.UINT8, grid.INT8)}


@torch.library.custom_op("leansr::quantize", mutates_args=())
def quantize(x: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    """The levels of `x` as whole numbers, of the type of `zero`; both are scalars."""
    own = _GRIDS[zero.dtype]
    return grid.levels(x, scale, zero.to(x.dtype), own).to(own.dtype)


@quantize.register_fake
def _(x: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    return torch.empty_like(x, dtype=zero.dtype)


@torch.library.custom_op("leansr::dequantize", mutates_args=())
def dequantize(x: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    """The values of whole numbers; `scale` and `zero` are scalars or one for each `x[i]`."""
    shape = (-1, *[1] * (x.ndim - 1)) if scale.ndim else ()
    return grid.values(x.to(scale.dtype), scale.reshape(shape), zero.to(scale.dtype).reshape(shape))


@dequantize.register_fake
def _(x: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    return torch.empty_like(x, dtype=scale.dtype)


def _quantize_linear(x: Any, scale: Any, zero: Any) -> Any:
    return opset20.QuantizeLinear(x, scale, zero)


def _dequantize_linear(x: Any, scale: Any, zero: Any) -> Any:
    return opset20.DequantizeLinear(x, scale, zero, axis=0)


# For torch.onnx.export.
TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.ops.leansr.quantize.default: _quantize_linear,
    torch.ops.leansr.dequantize.default: _dequantize_linear,
}
