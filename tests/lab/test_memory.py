"""The memory model against the papers' arguments, and against what torch allocates."""

import gc

import pytest
import torch
from torch import nn
from torch.fx import Interpreter
from torch.fx.experimental.proxy_tensor import make_fx
from torch.profiler import ProfilerActivity, profile

from leansr import zoo
from leansr.lab.measure.memory import peak_memory
from leansr.lab.nets import build

MIB = 2**20


def features_of(network, channels, in_place=True):
    """The peak in features of `channels` channels, of a 16 x 16 picture with as many."""
    peak = peak_memory(network, (1, channels, 16, 16), in_place)
    return (peak.features + peak.picture) / (channels * 256 * 4)


def conv(inputs=8, outputs=8):
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def test_a_plain_topology_takes_two_features():
    network = nn.Sequential(conv(), nn.ReLU(), conv(), nn.ReLU(), conv())
    # The picture, as the caller's, stays beside them.
    assert features_of(network, 8) == 1 + 2
    assert peak_memory(network, (1, 8, 16, 16)).operation == "aten.relu"


def test_an_activation_takes_its_input_s_place_only_where_nothing_else_reads_it():
    class Kept(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.act = conv(), nn.ReLU()

        def forward(self, x):
            kept = self.conv(x)
            return self.act(kept) + kept

    assert features_of(Kept(), 8) == 1 + 3
    assert features_of(nn.Sequential(conv(), nn.ReLU()), 8) == 1 + 1
    assert features_of(nn.Sequential(conv(), nn.ReLU()), 8, in_place=False) == 1 + 2


class Fusion(nn.Module):
    """FMEN, section 3.1: `local` features joined in each of `blocks` blocks, and those at last."""

    def __init__(self, local, blocks):
        super().__init__()
        self.convs = nn.ModuleList(
            nn.ModuleList(conv() for _ in range(local - 1)) for _ in range(blocks)
        )
        self.fuse = nn.ModuleList(nn.Conv2d(8 * local, 8, 1) for _ in range(blocks))
        self.fuse_all = nn.Conv2d(8 * blocks, 8, 1)

    def forward(self, x):
        outputs = []
        for block, fuse in zip(self.convs, self.fuse, strict=True):
            features = [x]
            for layer in block:
                features.append(layer(features[-1]))
            x = fuse(torch.cat(features, dim=1))
            outputs.append(x)
        return self.fuse_all(torch.cat(outputs, dim=1))


@pytest.mark.parametrize(("local", "blocks"), [(3, 1), (4, 1), (4, 3), (5, 4)])
def test_fusion_takes_what_the_paper_says(local, blocks):
    peak = peak_memory(Fusion(local, blocks), (1, 8, 16, 16))
    feature = 8 * 256 * 4
    kept = blocks - 1
    # A block's first feature is the last block's output, which is also one of those kept; the
    # paper counts it twice. In the only block it is the picture.
    shared = 1
    assert peak.features == (2 * local + kept - shared) * feature
    assert peak.operation == "aten.cat"


def test_fmen_takes_what_it_prints():
    """68 MB at 256 x 256, about four features, at the product in an HFAB (section 3.2)."""
    network = build(zoo.find("fmen", 4), 4).deploy()
    peak = peak_memory(network, (1, 3, 256, 256))
    assert peak.features == 4 * 64 * 256 * 256 * 4
    assert peak.picture / MIB == 0.75
    assert peak.parameters / MIB == pytest.approx(2.94, abs=0.005)
    assert round(peak.total / MIB) == 68
    in_place = peak_memory(network, (1, 3, 256, 256), in_place=True)
    assert in_place.operation == "aten.mul"
    assert in_place.features == peak.features


def test_fmen_s_fits_its_challenge_figure_at_the_size_of_its_pictures():
    network = build(zoo.find("fmen-s", 4), 4).deploy()
    peak = peak_memory(network, (1, 3, 510, 510))
    assert peak.total / MIB == pytest.approx(202.7, abs=0.1)


def test_a_view_takes_nothing():
    class Views(nn.Module):
        def forward(self, x):
            y = x * 2
            return torch.cat([y[:, :4], y[:, 4:]], dim=1)

    assert features_of(Views(), 8) == 1 + 2


@pytest.mark.parametrize(
    "name", ["sesr-m5", "fmen-s", "bsrn", "e-rfdn", "mdrn-s", "rcan-bl", "carn-m"]
)
def test_the_model_is_what_torch_allocates(name):
    """The same graph run for real, each tensor let go after its last use, under the profiler."""
    variant = zoo.VARIANTS[name]
    scale = variant.scales[-1]
    network = build(variant, scale).deploy()
    shape = (1, variant.channels, 64, 96)
    lr = torch.rand(shape)
    with torch.no_grad():
        graph = make_fx(network, tracing_mode="real")(lr)
        # What takes memory once, and whose answer must not be let go in the middle of the record.
        Interpreter(graph, garbage_collect_values=True).run(lr)
        gc.collect()
        run = Interpreter(graph, garbage_collect_values=True)
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
            run.run(lr)
    expected = peak_memory(network, shape).features
    assert allocated(recorded) == pytest.approx(expected, rel=0.1)


def allocated(recorded):
    """The most bytes at once beyond those at the start, by torch's record of every allocation.

    Of what a convolution takes and gives back while it runs, its workspace, only the rest counts.
    """
    now = most = within = 0
    until = -1
    events = recorded.profiler.kineto_results.events()
    for event in sorted(events, key=lambda event: event.start_ns()):
        if event.start_ns() > until:
            most = max(most, now := now + within)
            within = 0
        if event.name() == "aten::convolution":
            until = event.start_ns() + event.duration_ns()
        elif event.name() == "[memory]":
            if event.start_ns() <= until:
                within += event.nbytes()
            else:
                most = max(most, now := now + event.nbytes())
    return max(most, now + within)
