"""What Arm's compiler says of a network, where it is installed."""

from importlib.util import find_spec

import pytest
import torch
from test_int8 import started

from leansr import zoo
from leansr.errors import UsageError
from leansr.lab.measure import vela
from leansr.lab.measure.hardware import ETHOS_N78
from leansr.lab.measure.roofline import estimate
from leansr.lab.nets import build


def deployed(name, scale):
    return build(zoo.find(name, scale), scale).deploy().eval()


@pytest.mark.skipif(find_spec("ethosu") is not None, reason="Vela is installed")
def test_vela_says_how_to_install_it():
    with pytest.raises(UsageError, match=r"pip install 'leansr\[vela\]'"):
        vela.compiled(deployed("sesr-m3-hw", 2), (1, 1, 8, 8), "ethos-u65-512")


def test_what_vela_writes_is_read():
    summary = (
        "system_config,memory_mode,inferences_per_second,sram_total_bytes,dram_total_bytes,"
        "total_original_weights,total_npu_encoded_weights,nn_macs,cycles_total\n"
        "Server,Sram,778.5,4305104,6359696,13520,12864,194688000,1284418.0\n"
    )
    log = "Warning (supported operators) operator: DEPTH_TO_SPACE, ofm: 'shuffle.0_36'\nReason: so"
    found = vela.read(summary, log, "ethos-u65-512")
    assert (found.cycles, found.macs, found.dram_bytes) == (1_284_418, 194_688_000, 6_359_696)
    assert (found.weight_bytes, found.packed_bytes) == (13_520, 12_864)
    assert found.on_cpu == (("DEPTH_TO_SPACE", "shuffle.0"),)


@pytest.mark.parametrize("name", ["sesr-m5", "sesr-m5-hw", "fsrcnn"])
def test_vela_counts_what_the_model_counts(name):
    pytest.importorskip("ethosu")
    pytest.importorskip("ai_edge_litert")
    shape = (1, 1, 45, 80)
    found = vela.compiled(deployed(name, 2), shape, "ethos-u65-512")
    # A deconvolution at its output pixels, as Table 3 has it.
    assert found.macs == estimate(deployed(name, 2), shape, ETHOS_N78).multi_adds_hr
    assert [kind for kind, _ in found.on_cpu] == (["DEPTH_TO_SPACE"] if "sesr" in name else [])


def test_vela_is_given_the_weights_of_eight_bits():
    pytest.importorskip("ethosu")
    pytest.importorskip("ai_edge_litert")
    shape = (1, 1, 45, 80)
    network = started("sesr-m3").deploy()
    found = vela.compiled(network, shape, "ethos-u65-512")
    kernels = sum(m.weight.numel() for m in network.modules() if isinstance(m, torch.nn.Conv2d))
    # Beside them, of each PReLU what x is multiplied by, and x: two factors a channel.
    factors = 3 * 16 * 2
    assert found.weight_bytes == kernels + factors
    assert found.macs == 45 * 80 * (kernels + factors)
    left = "DEPTH_TO_SPACE", "DEQUANTIZE", "QUANTIZE", "QUANTIZE", "SUB"
    assert sorted(kind for kind, _ in found.on_cpu) == [*left]
    # Zeros are packed into less.
    with torch.no_grad():
        for module in network.body:
            module.weight.zero_()
    assert vela.compiled(network, shape, "ethos-u65-512").packed_bytes < found.packed_bytes
    in_floats = vela.compiled(deployed("sesr-m3", 2), shape, "ethos-u65-512")
    assert (in_floats.weight_bytes, in_floats.packed_bytes) == (None, None)


def test_vela_is_not_asked_of_what_is_not_mapped():
    pytest.importorskip("ethosu")
    pytest.importorskip("ai_edge_litert")
    with pytest.raises(UsageError, match=r"is not mapped to TensorFlow Lite, so Vela cannot"):
        vela.compiled(deployed("bsrn-s", 4), (1, 3, 64, 64), "ethos-u65-512")
