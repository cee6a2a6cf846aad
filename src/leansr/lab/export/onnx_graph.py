"""A deployed network as an ONNX graph, equal to torch or not written at all."""

import logging
import warnings

import onnx
import torch
from torch import Tensor, nn
from torch.export import Dim

from leansr.errors import ExportError
from leansr.lab.export.agreement import agreement
from leansr.lab.export.graph import halo
from leansr.lab.export.whole_prelu import with_whole_prelu
from leansr.lab.nets.collapse import is_deployed, replaced
from leansr.lab.quantize.operations import TRANSLATIONS
from leansr.zoo.variant import Variant


class SplitPReLU(nn.Module):
    """PReLU as (1 + a) / 2 x + (1 - a) / 2 |x|.

    ONNX Runtime has no fast kernel for PRelu: SESR is about 1.5 times as fast so
    (benchmarks/prelu.py).
    """

    linear: Tensor
    bent: Tensor

    def __init__(self, prelu: nn.PReLU) -> None:
        super().__init__()
        slope = prelu.weight.detach().view(1, -1, 1, 1)
        self.register_buffer("linear", (1 + slope) / 2)
        self.register_buffer("bent", (1 - slope) / 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear * x + self.bent * x.abs()


def to_onnx(network: nn.Module, variant: Variant, scale: int) -> onnx.ModelProto:
    """The graph of a deployed network, dynamic in height and width, with what it is as metadata.

    Input `lr` `(1, C, H, W)`, output `sr` `(1, C, scale * H, scale * W)`, float32, not clipped.
    Raises ExportError if the network is not in its deploy form, or if ONNX Runtime's output
    differs from torch's by more than 1e-4 of [0, 1] on any of several random shapes, or what is
    rounded within by more than a level, or to another one more often than once in a thousand.
    """
    if not is_deployed(network):
        raise ExportError(f"{variant.name}: is in its training form; export network.deploy()")
    model = traced(with_split_prelu(with_whole_prelu(network)), variant.channels, variant.smallest)
    facts = {
        "schema": 1,
        "variant": variant.name,
        "scale": scale,
        "colour": variant.colour,
        "halo": _stated(halo(model), variant),
    }
    onnx.helper.set_model_props(model, {f"leansr.{k}": str(v) for k, v in facts.items()})
    onnx.checker.check_model(model, full_check=True)
    found = agreement(model, network, variant.channels, variant.smallest)
    if not found.holds:
        raise ExportError(f"{variant.name} x{scale}: {found.told}; nothing is written")
    return model


def _stated(reach: int | None, variant: Variant) -> int | str:
    """The halo as metadata has it; ExportError if the row says otherwise of the network."""
    if (reach is None) != variant.is_global:
        found = "the whole picture" if reach is None else f"{reach} pixels around its own"
        raise ExportError(f"{variant.name}: its graph looks at {found}, which its row denies")
    return "whole" if reach is None else reach


def with_split_prelu(network: nn.Module) -> nn.Module:
    """A copy of `network` whose PReLUs are in the form that ONNX Runtime runs fast."""
    return replaced(network, lambda m: SplitPReLU(m) if isinstance(m, nn.PReLU) else None)


def traced(network: nn.Module, channels: int, smallest: int = 1) -> onnx.ModelProto:
    """The bare graph of `network`, without stack traces or paths of this machine."""
    example = torch.zeros(1, channels, 24, 32)
    # Stated, it need not be found out, which takes the exporter a second attempt.
    sides = {2: Dim("height", min=smallest), 3: Dim("width", min=smallest)}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # The exporter's own internals warn of what they use of torch.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            dynamic_shapes={"lr": sides},
            input_names=["lr"],
            output_names=["sr"],
            external_data=False,
            verbose=False,
            custom_translation_table=TRANSLATIONS,
        )
    assert program is not None
    model = program.model_proto
    # The exporter notes a stack trace with this machine's paths at every node.
    model.ClearField("metadata_props")
    model.graph.ClearField("metadata_props")
    for field in (*model.graph.node, *model.graph.value_info, *model.graph.initializer):
        field.ClearField("metadata_props")
        field.ClearField("doc_string")
    return model
