"""A deployed network of eight bits as a TensorFlow Lite file."""

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import fx, nn

from leansr.errors import ExportError
from leansr.lab.export.flatbuffer import Grid
from leansr.lab.export.litert_operators import Activation, Operators, Placed, Shape
from leansr.lab.export.whole_prelu import operations
from leansr.lab.quantize.int8 import Int8
from leansr.lab.quantize.integer import IntegerConvolution, Quantiser


@dataclass(frozen=True)
class Awaited:
    """What an operation computes; it is written once it is known on what grid, or in floats.

    `write` is given its inputs and its output, all on grids or all in floats. `has_integers` says
    whether it has a form of the former.
    """

    name: str
    inputs: tuple["Placed | Awaited", ...]
    shape: Shape
    write: Callable[[Sequence[Placed], Placed, Activation], None]
    has_integers: bool = True
    activation: Activation | None = "NONE"


Value = Placed | Awaited


def lowered(network: Int8, channels: int, size: tuple[int, int], told: str) -> bytes:
    """The file of a deployed network for pictures of `size` (height, width).

    In and out in floats, and on grids where the network is. `told` is what the file says of itself.
    Raises ExportError for an operation that is not mapped.
    """
    return _Walk(network).packed((1, *size, channels), told)


class _Walk:
    """Along the operations in their order."""

    def __init__(self, network: Int8) -> None:
        self.network = network
        self.graph = operations(network)
        self.write = Operators(is_signed=network.scheme.grid.dtype == torch.int8)
        self.values: dict[fx.Node, Value] = {}
        # Of depths-to-space, and of the convolutions that make what they see.
        self.blocks = dict(self._blocks())

    def packed(self, shape: Shape, told: str) -> bytes:
        lr = sr = self.write.place("lr", shape, None)
        for node in self.graph.nodes:
            if node.op == "placeholder":
                self.values[node] = lr
            elif node.op == "output":
                sr = self._in_floats(self.values[node.args[0]])
            elif node.op == "call_module":
                self.values[node] = self._module(node)
            elif _is_held(node):
                self.values[node] = self.values[node.args[0]]
            elif node.target in (operator.add, operator.sub):
                self.values[node] = self._sum(node)
            elif node.target != "new_tensor":
                raise _unmapped(node.name)
        return self.write.file.packed([lr.number], [sr.number], told)

    def _module(self, node: fx.Node) -> Value:
        name, module = str(node.target), self.network.get_submodule(str(node.target))
        x = self.values[node.all_input_nodes[0]]
        if isinstance(module, Quantiser):
            return self._on_grid(name, x, self.write.grid(module))
        if isinstance(module, nn.Conv2d):
            return self._convolution(name, module, x, self.blocks.get(node, 1))
        if isinstance(module, nn.PReLU):
            slopes = module.weight.detach().expand(x.shape[3]).numpy()
            return Awaited(
                name,
                (x,),
                x.shape,
                lambda inputs, y, _: self.write.prelu(name, slopes, inputs[0], y),
                activation=None,
            )
        if isinstance(module, nn.ReLU):
            if isinstance(x, Awaited) and x.activation == "NONE":
                return replace(x, activation="RELU")
            return Awaited(
                name,
                (x,),
                x.shape,
                lambda inputs, y, _: self.write.relu(inputs[0], y),
                activation=None,
            )
        if isinstance(module, nn.PixelShuffle):
            return self._shuffle(node, module.upscale_factor, self._settled(x))
        raise _unmapped(f"{name} ({type(module).__name__})")

    def _convolution(self, name: str, conv: nn.Conv2d, x: Value, block: int) -> Awaited:
        is_same = [2 * int(pad) + 1 for pad in conv.padding] == list(conv.kernel_size)
        if not is_same or (conv.stride, conv.dilation, conv.groups) != ((1, 1), (1, 1), 1):
            raise _unmapped(f"{name} (strided, dilated, grouped, or not padded to its size)")
        # Torch has the pixels of a block beside each other, LiteRT its channels.
        order = torch.arange(conv.out_channels).view(-1, block**2).T.flatten()

        def write(inputs: Sequence[Placed], y: Placed, activation: Activation) -> None:
            self.write.convolution(name, conv, order, inputs[0], y, activation)

        shape = *x.shape[:3], conv.out_channels
        return Awaited(name, (x,), shape, write, isinstance(conv, IntegerConvolution))

    def _sum(self, node: fx.Node) -> Awaited:
        """Of two features, or of one and a number."""
        kind: Literal["ADD", "SUB"] = "ADD" if node.target is operator.add else "SUB"
        a, b = (self.values[one] if isinstance(one, fx.Node) else one for one in node.args)
        if not isinstance(a, Value) or not isinstance(b, Value | int | float):
            raise _unmapped(node.name)
        if isinstance(b, Value):

            def write(inputs: Sequence[Placed], y: Placed, activation: Activation) -> None:
                self.write.sum(kind, inputs[0], inputs[1], y, activation)

            widest = max(a.shape, b.shape, key=lambda shape: shape[3])
            return Awaited(node.name, (a, b), widest, write)
        number = float(b)

        def write_shift(inputs: Sequence[Placed], y: Placed, activation: Activation) -> None:
            self.write.sum(kind, inputs[0], number, y, activation)

        return Awaited(node.name, (a,), a.shape, write_shift, has_integers=False)

    def _shuffle(self, node: fx.Node, block: int, x: Placed) -> Placed:
        batch, height, width, channels = x.shape
        left = channels // block**2
        if left > 1 and node not in self.blocks:
            raise _unmapped(f"{node.target} (of features that are not a convolution's alone)")
        y = self.write.place(str(node.target), (batch, block * height, block * width, left), x.grid)
        self.write.shuffle(block, x, y)
        return y

    def _on_grid(self, name: str, x: Value, grid: Grid) -> Placed:
        if isinstance(x, Awaited) and x.has_integers:
            inputs = [one for one in x.inputs if isinstance(one, Placed) and one.grid is not None]
            if len(inputs) == len(x.inputs):
                return self._written(x, inputs, grid)
        if isinstance(x, Placed) and x.grid == grid:
            return x
        y = self.write.place(name, x.shape, grid)
        self.write.quantize(self._in_floats(x), y)
        return y

    def _settled(self, x: Value) -> Placed:
        """x where it is, or in floats if it is nowhere yet."""
        if isinstance(x, Placed):
            return x
        return self._written(x, [self._in_floats(one) for one in x.inputs], None)

    def _in_floats(self, x: Value) -> Placed:
        source = self._settled(x)
        if source.grid is None:
            return source
        y = self.write.place("floats", x.shape, None)
        self.write.dequantize(source, y)
        return y

    def _written(self, x: Awaited, inputs: Sequence[Placed], grid: Grid | None) -> Placed:
        y = self.write.place(x.name, x.shape, grid)
        x.write(inputs, y, x.activation or "NONE")
        return y

    def _blocks(self) -> Iterator[tuple[fx.Node, int]]:
        for node in self.graph.nodes:
            module = self._module_of(node)
            if isinstance(module, nn.PixelShuffle):
                makers = self._makers(node.args[0])
                for one in [] if makers is None else [node, *makers]:
                    yield one, module.upscale_factor

    def _makers(self, node: fx.Node) -> list[fx.Node] | None:
        """The convolutions that make features of `node`'s order, if they do so for it alone."""
        if node.op == "placeholder":
            return []  # of luma, which is the same beside any channel
        if len([user for user in node.users if user.target != "new_tensor"]) > 1:
            return None
        module = self._module_of(node)
        if isinstance(module, nn.Conv2d):
            return [node]
        if not (
            isinstance(module, Quantiser | nn.ReLU) or node.target is operator.add or _is_held(node)
        ):
            return None
        inputs = [one for one in node.args if isinstance(one, fx.Node)]
        found = [self._makers(one) for one in inputs if one.target != "new_tensor"]
        return None if None in found else [one for part in found for one in part or []]

    def _module_of(self, node: fx.Node) -> nn.Module | None:
        is_module = node.op == "call_module"
        return self.network.get_submodule(str(node.target)) if is_module else None


def _is_held(node: fx.Node) -> bool:
    """Whether a node returns its input, as what follows a layer in floats does (placement)."""
    return node.target is torch.maximum and getattr(node.args[1], "target", None) == "new_tensor"


def _unmapped(what: str) -> ExportError:
    return ExportError(
        f"{what}: is not mapped to LiteRT, as FILE.tflite and --vela need it; FILE.onnx has it"
    )
