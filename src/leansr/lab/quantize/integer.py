"""What holds whole numbers: the deploy form's grids and convolutions."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from leansr.lab.quantize.grid import UINT8
from leansr.lab.quantize.operations import dequantize, quantize
from leansr.lab.quantize.scheme import Scheme


class Geometry(NamedTuple):
    """How a convolution goes over its input, in the order of `F.conv2d`'s arguments."""

    stride: tuple[int, ...] = (1, 1)
    padding: tuple[int, ...] = (0, 0)
    dilation: tuple[int, ...] = (1, 1)
    groups: int = 1


class Quantiser(nn.Module):
    """x in floats to whole numbers on a grid, and back to the floats that those stand for."""

    scale: Tensor
    zero: Tensor

    def __init__(self, scale: Tensor, zero: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale.float())
        self.register_buffer("zero", zero.to(UINT8.dtype))

    def forward(self, x: Tensor) -> Tensor:
        return dequantize(quantize(x, self.scale, self.zero), self.scale, self.zero)


class IntegerConvolution(nn.Conv2d):
    """A convolution whose kernel is of 8 bits and whose bias is of 32.

    Biases are whole numbers at the product of both scales, which is what sums of products are told
    in: so a runtime adds them before it scales.
    """

    weight_scale: Tensor
    weight_zero: Tensor
    bias_scale: Tensor
    bias_zero: Tensor

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        geometry: Geometry,
        scheme: Scheme,
        input_scale: Tensor,
    ) -> None:
        """Of a kernel in floats; `input_scale` is that of what it will see."""
        outputs, inputs, *size = weight.shape
        stride, padding, dilation, groups = geometry
        super().__init__(
            inputs * groups,
            outputs,
            (size[0], size[1]),
            (stride[0], stride[1]),
            (padding[0], padding[1]),
            (dilation[0], dilation[1]),
            groups,
            bias=bias is not None,
            device="meta",  # nothing is started that is set below
        )
        whole = scheme.whole(weight, bias, input_scale)
        self.weight = _constant(whole.weight, scheme.grid.dtype)
        self.register_buffer("weight_scale", whole.scale)
        self.register_buffer("weight_zero", whole.zero.to(scheme.grid.dtype))
        if whole.bias is not None:
            self.bias = _constant(whole.bias, torch.int32)
            self.register_buffer("bias_scale", whole.bias_scale)
            self.register_buffer("bias_zero", torch.zeros_like(whole.bias_scale, dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        weight = dequantize(self.weight, self.weight_scale, self.weight_zero)
        bias = None
        if self.bias is not None:
            bias = dequantize(self.bias, self.bias_scale, self.bias_zero)
        return self._conv_forward(x, weight, bias)


def _constant(levels: Tensor, dtype: torch.dtype) -> nn.Parameter:
    return nn.Parameter(levels.to(dtype), requires_grad=False)
