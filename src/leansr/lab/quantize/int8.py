"""Networks of eight bits: any network of the lab with its values on integer grids."""

import copy
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, fx, nn

from leansr import zoo
from leansr.errors import UsageError
from leansr.lab.nets import as_drawn, build, network_class
from leansr.lab.nets.collapse import Collapsible, Space, is_deployed, replaced
from leansr.lab.nets.network import Network, Tensors
from leansr.lab.quantize.calibration import calibrate
from leansr.lab.quantize.fake import RANGES, FakeConvolution, LearnedRange
from leansr.lab.quantize.integer import IntegerConvolution
from leansr.lab.quantize.placement import Block, place
from leansr.lab.quantize.scheme import SCHEMES, SchemeName
from leansr.lab.weights import check_finite, misfits


class Int8(Network):
    """The network `of` with 8-bit weights and activations, 32-bit biases; `of` in and out.

    lr--grid--conv, kernel on its grid--ReLU, if it follows--grid-- ... --sum--grid-- ... -- sr

    Inputs and outputs of every convolution, sum, product and concatenation are on a grid, one for
    each tensor; what has no integer kernel is computed in floats between two of them. `scheme`
    "study" has affine kernels, one grid for each, and ranges of activations that follow what they
    see (Jacob et al., 2018); "sesr" symmetric ones, a grid for each output channel, and ranges that
    are learned. Layers named in `keep` stay in floats.

    The training form simulates; the deploy form holds whole numbers. Tensors are those of `of`'s
    deploy form, by the same names, and the ranges, `ranges.*`: so training starts from the weights
    of `of`. In the space "collapsed", `of`'s blocks are trained expanded, and their kernels are put
    on grids after the collapse (SESR's code). Ranges are [0, 1] until `prepare` sets them. Raises
    UsageError for networks with operations that are not known here.
    """

    spaces = ("direct", "collapsed")
    # Of mixed precision, or in the other scheme, it is the same network in eight bits.
    free = frozenset({"keep", "scheme"})

    def __init__(
        self,
        *,
        of: str,
        scheme: SchemeName,
        scale: int,
        keep: Sequence[str] = (),
        space: Space = "direct",
    ) -> None:
        super().__init__()
        network = _in_floats(of, scale, space)
        self.of, self.scale = of, scale
        self.scheme_name, self.scheme = scheme, SCHEMES[scheme]
        placement = place(network, keep)
        self.layers, self.sources = placement.layers, placement.sources
        _adopt(self, network)
        self.ranges = nn.ModuleDict({name: RANGES[scheme]() for name in placement.ranges})
        self.geometries = placement.geometries
        self.convolutions = nn.ModuleDict(
            {_key(n): FakeConvolution(self.scheme, at) for n, at in self.geometries.items()}
        )
        self._integer_steps = _compiled(self, placement.graph)
        self._steps = _compiled(self, _simulated(placement.graph, self.sources))
        self.train()

    def forward(self, lr: Tensor) -> Tensor:
        return self._steps(self, lr)

    def adopted(self, tensors: Tensors) -> Tensors:
        """Weights of `of`, of its training form too, leave the ranges as they are."""
        own = self.state_dict()
        ranges = {name: t for name, t in own.items() if name.startswith("ranges.")}
        if ranges.keys() & tensors.keys():
            return tensors
        drawn = as_drawn(zoo.find(self.of, self.scale), self.scale)
        if own.keys() - ranges.keys() != tensors.keys() and not misfits(
            drawn.state_dict(), tensors
        ):
            drawn.load_state_dict(tensors)
            tensors = drawn.deploy().state_dict()
        return {**tensors, **ranges}

    def prepare(self, lr: Tensor) -> None:
        """Starts the ranges from what they see of one batch, unless they came with the weights."""
        ends = [
            (float(r.low.detach()), float(r.high.detach())) for r in map(self.range, self.ranges)
        ]
        if all(end == (0.0, 1.0) for end in ends):
            calibrate(self, [lr], "mse")

    def quantized(self) -> dict[str, Any]:
        """The scheme, and the layers that are kept in floats."""
        in_floats = [name for name, ranges in self.layers.items() if not ranges]
        return {"scheme": self.scheme_name, "in_floats": in_floats}

    @torch.no_grad()
    def deploy(self) -> Self:
        """The integer form, as a new network; WeightsError if a value is not finite."""
        # It would be a level like any other.
        check_finite(self)
        twin = copy.deepcopy(self).eval()
        if is_deployed(self):
            return twin
        for name, source in self.sources.items():
            weight, bias = _tensors(self.get_submodule(name))
            scale = self.range(source).scale()
            whole = IntegerConvolution(weight, bias, self.geometries[name], self.scheme, scale)
            parent, _, child = name.rpartition(".")
            setattr(twin.get_submodule(parent), child, whole)
        twin.ranges = nn.ModuleDict({n: self.range(n).collapse() for n in self.ranges})
        del twin.convolutions
        twin._steps = twin._integer_steps
        # Blocks that stay in floats have a plainer form too.
        return replaced(twin, lambda m: m.collapse() if isinstance(m, Collapsible) else None)

    def simulators(self, layer: str) -> list[nn.Module]:
        """What simulates one of `layers`: its ranges, and its kernel if it has one."""
        found: list[nn.Module] = [self.ranges[name] for name in self.layers[layer]]
        if layer in self.sources:
            found += [self.convolutions[_key(layer)].get_submodule("kernel")]
        return found

    def range(self, name: str) -> LearnedRange:
        """One of `ranges`."""
        found = self.ranges[name]
        assert isinstance(found, LearnedRange)
        return found


def _in_floats(of: str, scale: int, space: Space) -> Network:
    """The network to quantise: its deploy form, or its training form if its blocks are trained."""
    variant = zoo.find(of, scale)
    if issubclass(network_class(variant), Int8):
        raise UsageError(f"{of}: is of eight bits already")
    if space == "direct":
        return build(variant, scale).deploy()
    return build(variant, scale, space)


def _adopt(network: nn.Module, other: nn.Module) -> None:
    """Gives `network` what lies in `other`, by the same names."""
    kept = other.state_dict()
    for name, child in other.named_children():
        network.add_module(name, child)
    for name, parameter in other.named_parameters(recurse=False):
        network.register_parameter(name, parameter)
    for name, buffer in other.named_buffers(recurse=False):
        network.register_buffer(name, buffer, persistent=name in kept)


def _key(name: str) -> str:
    """A layer's name as the name of a module, which has no points."""
    return name.replace(".", "_")


def _tensors(layer: nn.Module) -> tuple[Tensor, Tensor | None]:
    """Kernel and bias of a convolution or a block of one."""
    if isinstance(layer, Block):
        return layer.kernel()
    assert isinstance(layer, nn.Conv2d)
    return layer.weight, layer.bias


def _simulated(integer: fx.Graph, sources: dict[str, str]) -> fx.Graph:
    """The same graph with a simulation in the place of each convolution."""
    graph = copy.deepcopy(integer)
    for node in list(graph.nodes):
        if node.op != "call_module" or node.target not in sources:
            continue
        (x,) = node.args
        with graph.inserting_before(node):
            layer = graph.get_attr(node.target)
            tensors = graph.call_function(_tensors, (layer,))
            source = graph.get_attr(f"ranges.{sources[node.target]}")
            scale = graph.call_method("scale", (source,))
            twin = graph.call_module(f"convolutions.{_key(node.target)}", (x, tensors, scale))
        node.replace_all_uses_with(twin)
        graph.erase_node(node)
    return graph


def _compiled(network: nn.Module, graph: fx.Graph) -> Any:
    """The graph as a function of a network with modules of such names, and lr."""
    return type(fx.GraphModule(network, graph)).forward
