"""PReLU between grids as operations on whole numbers, which runtimes have kernels for."""

import torch
from torch import Tensor, fx, nn

from leansr.lab.quantize.int8 import Int8
from leansr.lab.quantize.integer import Geometry, IntegerConvolution, Quantiser
from leansr.lab.quantize.operations import dequantize, quantize
from leansr.lab.quantize.scheme import SCHEMES


class WholePReLU(nn.Module):
    """PReLU and the grid after it: the larger of x and slope * x, each on that grid.

    x--1 x 1, by one----grid--(max)--        each channel by itself
     |_1 x 1, by slope__grid____|

    Equal for slopes of up to 1, for rounding leaves the larger the larger. ONNX Runtime has integer
    kernels for all of it, and none for PReLU.
    """

    def __init__(self, slopes: Tensor, grid: Quantiser) -> None:
        super().__init__()
        self.grid = grid
        self.straight, self.bent = (
            IntegerConvolution(
                factors.view(-1, 1, 1, 1),
                None,
                Geometry(groups=len(slopes)),
                SCHEMES["sesr"],
                grid.scale,
            )
            for factors in (torch.ones_like(slopes), slopes)
        )

    def forward(self, x: Tensor) -> Tensor:
        scale, zero = self.grid.scale, self.grid.zero
        straight, bent = (quantize(way(x), scale, zero) for way in (self.straight, self.bent))
        return dequantize(torch.maximum(straight, bent), scale, zero)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True


def operations(network: Int8) -> fx.Graph:
    """What a deployed network does, in its order, each module as a whole."""
    return _Tracer().trace(network)


def with_whole_prelu(network: nn.Module) -> nn.Module:
    """`network`, or of one of eight bits a copy whose PReLUs between grids are `WholePReLU`.

    Those with a slope above 1, and with one slope for all channels, stay.
    """
    if not isinstance(network, Int8):
        return network
    graph = operations(network)
    twin = fx.GraphModule(network, graph)
    for node in list(graph.nodes):
        before, after = node.all_input_nodes[:1], list(node.users)
        prelu = _module(network, node)
        if not isinstance(prelu, nn.PReLU) or len(after) != 1:
            continue
        grid = _module(network, after[0])
        slopes = prelu.weight.detach()
        if (
            isinstance(grid, Quantiser)
            and isinstance(_module(network, before[0]), Quantiser)
            and len(slopes) > 1
            and bool(slopes.max() <= 1)
        ):
            twin.add_submodule(f"whole_{node.name}", WholePReLU(slopes, grid))
            with graph.inserting_after(node):
                whole = graph.call_module(f"whole_{node.name}", (before[0],))
            after[0].replace_all_uses_with(whole)
            graph.erase_node(after[0])
            graph.erase_node(node)
    twin.graph = graph
    return twin.eval()


def _module(network: nn.Module, node: fx.Node) -> nn.Module | None:
    return network.get_submodule(str(node.target)) if node.op == "call_module" else None
