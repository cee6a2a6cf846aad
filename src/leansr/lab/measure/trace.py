"""The operations that run when a network does, in their order, without running them."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_leaves


@dataclass(frozen=True)
class Value:
    """A tensor of the trace: which piece of memory it lies in, and its shape."""

    storage: int
    shape: tuple[int, ...]

    @property
    def numel(self) -> int:
        return torch.Size(self.shape).numel()


@dataclass(frozen=True)
class Step:
    """One operation: `operation` as torch's dispatcher names it, like `aten.convolution`.

    `module` is the path of the innermost module that ran it, `kind` that module's class.
    `inputs` and `outputs` are its tensors in order, `arguments` what else it was given.
    """

    operation: str
    module: str
    kind: type[nn.Module]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    arguments: tuple[Any, ...]


@dataclass
class Trace:
    """What ran. `storages` are the bytes of each piece of memory that an operation made.

    Parameters, buffers and the picture lie in other storages, `parameters` bytes and `picture`
    bytes of them.
    """

    steps: list[Step] = field(default_factory=list)
    storages: dict[int, int] = field(default_factory=dict)
    result: int = -1
    parameters: int = 0
    picture: int = 0


def trace(network: nn.Module, shape: tuple[int, int, int, int]) -> Trace:
    """What `network` does with a picture of `shape` `(N, C, H, W)`, in its present mode.

    Nothing is computed and no memory is taken, whatever the size: the tensors have no data.
    """
    if any(not t.is_meta for t in (*network.parameters(), *network.buffers())):
        network = copy.deepcopy(network).to("meta")
    recorder = _Recorder(network)
    lr = torch.empty(shape, device="meta")
    with torch.no_grad(), recorder.modules_watched(), recorder:
        sr = network(lr)
    result = recorder.trace
    result.result = recorder.storage(sr)
    tensors = {id(t): t for t in (*network.parameters(), *network.buffers())}.values()
    result.parameters = sum(t.untyped_storage().nbytes() for t in tensors)
    result.picture = lr.untyped_storage().nbytes()
    return result


class _Recorder(TorchDispatchMode):
    """Notes every operation at the dispatcher, where nothing that computes can be missed."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.trace = Trace()
        self._network = network
        self._running: list[tuple[str, type[nn.Module]]] = []
        # Held to the end: memory that is freed would give its address to the next tensor.
        self._held: list[Tensor] = []
        # What made a tensor of its own: torch works shapes out in Python, and blocks repeat.
        self._known: dict[Any, tuple[torch.Size, tuple[int, ...], torch.dtype]] = {}

    def storage(self, tensor: Tensor) -> int:
        """A number that tensors in the same memory share."""
        self._held.append(tensor)
        address: int = tensor.untyped_storage()._cdata
        return address

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        given, structure = tree_flatten((args, kwargs or {}))
        like = func, structure, *map(_likeness, given)
        known = self._known.get(like)
        if known is None:
            result = func(*args, **(kwargs or {}))
        else:
            shape, stride, dtype = known
            result = torch.empty_strided(shape, stride, dtype=dtype, device="meta")
        inputs = [self._value(leaf) for leaf in given if isinstance(leaf, Tensor)]
        outputs = [self._value(leaf) for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        own = {value.storage for value in inputs}
        # Of constants on the CPU the values count.
        if isinstance(result, Tensor) and result.is_meta and outputs[0].storage not in own:
            self._known[like] = result.shape, result.stride(), result.dtype
        for value, tensor in zip(outputs, self._held[-len(outputs) :], strict=False):
            if value.storage not in own:
                self.trace.storages[value.storage] = tensor.untyped_storage().nbytes()
        module, kind = self._running[-1]
        self.trace.steps.append(
            Step(
                str(func.overloadpacket),
                module,
                kind,
                tuple(inputs),
                tuple(outputs),
                tuple(leaf for leaf in args if not isinstance(leaf, Tensor)),
            )
        )
        return result

    def _value(self, tensor: Tensor) -> Value:
        return Value(self.storage(tensor), tuple(tensor.shape))

    @contextmanager
    def modules_watched(self) -> Iterator[None]:
        """Within it, `_running` is the path of modules down to the innermost that runs."""
        handles = []
        for name, module in self._network.named_modules():
            handles.append(module.register_forward_pre_hook(self._enter(name)))
            handles.append(module.register_forward_hook(self._leave, always_call=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, name: str) -> Callable[[nn.Module, Any], None]:
        def enter(module: nn.Module, args: Any) -> None:
            self._running.append((name, type(module)))

        return enter

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        self._running.pop()


def _likeness(leaf: object) -> tuple[Any, ...]:
    """What an operation's result has its shape from."""
    if isinstance(leaf, Tensor):
        return leaf.shape, leaf.stride(), leaf.dtype, leaf.device
    return type(leaf), leaf
