"""Where a network's values are put on grids: what runs in integers, what stays in floats."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from leansr.errors import UsageError
from leansr.lab.nets.collapse import Collapsible, Kernel
from leansr.lab.nets.network import Network
from leansr.lab.quantize.integer import Geometry

# integer: has integer kernels, whose inputs and output are on grids of their own;
# movement: moves or picks values, which stay on the grid that they are on;
# float: computed in floats, whatever it is given;
# size: of a tensor's shape, no values.
Kind = Literal["integer", "movement", "float", "size"]

_MODULES: dict[type[nn.Module], Kind] = {
    nn.AdaptiveAvgPool2d: "float",
    nn.GELU: "float",
    nn.Hardswish: "float",
    nn.LeakyReLU: "float",
    nn.PReLU: "float",
    nn.ReLU: "float",
    nn.SiLU: "float",
    nn.Sigmoid: "float",
    nn.Identity: "movement",
    nn.MaxPool2d: "movement",
    nn.PixelShuffle: "movement",
}
_FUNCTIONS: dict[Any, Kind] = {
    operator.add: "integer",
    operator.mul: "integer",
    torch.add: "integer",
    torch.cat: "integer",
    operator.sub: "float",
    F.avg_pool2d: "float",
    F.interpolate: "float",
    F.pad: "movement",
    getattr: "size",
    # Of values; that of a size sees none.
    operator.getitem: "movement",
}
_METHODS: dict[str, Kind] = {"mean": "float", "sqrt": "float", "square": "float"}


@runtime_checkable
class Block(Protocol):
    """A block of linear layers that is trained through its kernel."""

    def kernel(self) -> Kernel:
        """The one that it collapses to, zero padding keeping the size."""


Layer = nn.Conv2d | Block


@dataclass
class Placement:
    """A network's operations with quantisers among them, each called `ranges.<name>`.

    `ranges` are their names. `layers` are the operations in integers, by the names to keep them in
    floats by, each with the ranges of its inputs and of its output, none if it is kept. `sources`
    is for each convolution the range that its input is on, `geometries` how it goes over that.
    """

    graph: fx.Graph
    geometries: dict[str, Geometry] = field(default_factory=dict)
    ranges: list[str] = field(default_factory=list)
    layers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)


def place(network: Network, keep: Sequence[str]) -> Placement:
    """The operations of `network`, all but those of `keep` in integers as far as they can be.

    What is computed in floats is put on a grid where an operation in integers takes it, and what
    those return is put on one before anything else sees it, after ReLU if ReLU follows. Raises
    UsageError for an operation that is not known, a layer that is applied twice and not kept, and a
    name in `keep` that there is not.
    """
    placement = Placement(_Tracer().trace(network))
    walk = _Walk(placement, dict(network.named_modules()), keep)
    for node in list(placement.graph.nodes):
        walk.take(node)
    unknown = [name for name in keep if name not in placement.layers]
    if unknown:
        raise UsageError(
            f"{unknown[0]}: no layer of that name; there are {', '.join(placement.layers)}"
        )
    placement.graph.lint()
    return placement


def _geometry(layer: Layer) -> Geometry:
    """That of a convolution, or of the one that a block collapses to."""
    if isinstance(layer, Block):
        size = layer.kernel().weight.shape[-1]
        return Geometry(padding=(size // 2, size // 2))
    assert not isinstance(layer.padding, str)
    # What is not padded by zeros is padded beside the convolution.
    padding = layer.padding if layer.padding_mode == "zeros" else (0, 0)
    return Geometry(layer.stride, padding, layer.dilation, layer.groups)


def _held(x: Tensor) -> Tensor:
    """x, by an operation that no runtime takes for none."""
    return torch.maximum(x, x.new_tensor(torch.finfo(torch.float32).min))


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Collapsible) or super().is_leaf_module(m, module_qualified_name)


class _Walk:
    """Along the operations in their order."""

    def __init__(
        self, placement: Placement, modules: dict[str, nn.Module], keep: Sequence[str]
    ) -> None:
        self.placement, self.modules, self.keep = placement, modules, keep
        self.graph = placement.graph
        # Nodes that hold values; of each the range that it is on, if it is on one.
        self.range_of: dict[fx.Node, str | None] = {}
        # Of values in floats, what they are on the grid that was made for them.
        self.on_grid: dict[fx.Node, fx.Node] = {}

    def take(self, node: fx.Node) -> None:
        """Puts the inputs and the output of one operation on grids."""
        inputs = [one for one in node.all_input_nodes if one in self.range_of]
        if node.op == "placeholder":
            self.range_of[node] = None
        elif node.op in ("get_attr", "output") or not inputs:
            return
        elif (kind := self._kind(node, inputs)) == "movement":
            (source,) = inputs
            self.range_of[node] = None
            if self.range_of[source] is not None:
                self._quantise(node, self.range_of[source])
        elif kind == "integer":
            self._take_integer(node, inputs)
        elif kind == "float":
            self.range_of[node] = None

    def _take_integer(self, node: fx.Node, inputs: list[fx.Node]) -> None:
        layer = self._layer(node)
        name = str(node.target) if layer is not None else node.name
        if name in self.placement.layers and name not in self.keep:
            raise UsageError(
                f"{name}: is applied more than once, and has one grid for what it sees; leave it "
                f"in floats, by --keep {name} or a recipe's network.keep"
            )
        self.placement.layers[name] = ()
        self.range_of[node] = None
        if name in self.keep:
            if layer is not None:
                self._hold(node)
            return
        for one in inputs:
            node.replace_input_with(one, self._quantised(one))
        ranges = [self._on(one) for one in node.all_input_nodes if one in self.range_of]
        if layer is not None:
            (source,) = ranges
            self.placement.sources[name] = source
            self.placement.geometries[name] = _geometry(layer)
            self._pad(node, layer, source)
        after = self._fused(node)
        self.range_of[after] = None
        ranges.append(self._quantise(after, None))
        self.placement.layers[name] = tuple(dict.fromkeys(ranges))

    def _hold(self, node: fx.Node) -> None:
        """Between grids, ONNX Runtime would make 8 bits of a kernel in floats; so it does not."""
        users = list(node.users)
        with self.graph.inserting_after(node):
            held = self.graph.call_function(_held, (node,))
        for user in users:
            user.replace_input_with(node, held)
        self.range_of[held] = None

    def _pad(self, node: fx.Node, layer: Layer, source: str) -> None:
        """What a convolution pads by other than zeros as an operation of its own."""
        if isinstance(layer, nn.Conv2d) and layer.padding_mode != "zeros":
            assert not isinstance(layer.padding, str)
            high, wide = layer.padding
            (x,) = node.all_input_nodes
            with self.graph.inserting_before(node):
                around = (wide, wide, high, high)
                padded = self.graph.call_function(F.pad, (x, around, layer.padding_mode))
            node.replace_input_with(x, padded)
            self._quantise(padded, source)

    def _quantised(self, node: fx.Node) -> fx.Node:
        """The values of `node` on a grid, which is made if there is none."""
        if self.range_of[node] is not None:
            return node
        if node not in self.on_grid:
            with self.graph.inserting_after(node):
                self.on_grid[node] = self._call(node, self._new(node))
        return self.on_grid[node]

    def _quantise(self, node: fx.Node, name: str | None) -> str:
        """Puts `node` on the grid of that name, or on one of its own, for all who use it."""
        users = list(node.users)
        with self.graph.inserting_after(node):
            quantised = self._call(node, name or self._new(node))
        for user in users:
            user.replace_input_with(node, quantised)
        return self._on(quantised)

    def _call(self, node: fx.Node, name: str) -> fx.Node:
        quantised = self.graph.call_module(f"ranges.{name}", (node,))
        self.range_of[quantised] = name
        return quantised

    def _on(self, node: fx.Node) -> str:
        """The range that a node's values are on."""
        name = self.range_of[node]
        assert name is not None
        return name

    def _new(self, node: fx.Node) -> str:
        self.placement.ranges.append(node.name)
        return node.name

    def _layer(self, node: fx.Node) -> Layer | None:
        """The convolution, or the block of one, that a node is."""
        module = self.modules[str(node.target)] if node.op == "call_module" else None
        return module if isinstance(module, nn.Conv2d | Block) else None

    def _fused(self, node: fx.Node) -> fx.Node:
        """The ReLU that alone sees `node`, or `node`."""
        users = list(node.users)
        return users[0] if len(users) == 1 and self._is_relu(users[0]) else node

    def _is_relu(self, node: fx.Node) -> bool:
        is_module = node.op == "call_module"
        return is_module and isinstance(self.modules[str(node.target)], nn.ReLU)

    def _kind(self, node: fx.Node, inputs: list[fx.Node]) -> Kind:
        if self._layer(node) is not None:
            return "integer"
        found: Kind | None
        if node.op == "call_module":
            found = _MODULES.get(type(self.modules[str(node.target)]))
        elif node.op == "call_function":
            found = _FUNCTIONS.get(node.target)
        else:
            found = _METHODS.get(str(node.target))
        if found is None:
            is_module = node.op == "call_module"
            what = f" ({type(self.modules[str(node.target)]).__name__})" if is_module else ""
            raise UsageError(
                f"{node.target if is_module else node.name}{what}: has no form of eight bits, nor "
                f"is it known to stay in floats; of networks that have one, `leansr models` lists "
                f"NAME-int8"
            )
        if found == "integer" and len(inputs) == 1 and node.target is not torch.cat:
            return "float"  # with a constant, which has no grid
        return found
