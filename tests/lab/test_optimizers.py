import pytest
import torch

from leansr import zoo
from leansr.errors import UsageError
from leansr.lab.nets import build
from leansr.lab.train.optimizers import Muon, optimizers, orthogonalize
from leansr.lab.train.recipe import Optimizer


@pytest.mark.parametrize("shape", [(3, 16, 144), (2, 40, 16), (1, 5, 5)])
def test_orthogonalize_keeps_directions_and_levels_sizes(shape):
    """Against the singular value decomposition: same singular vectors, values near 1."""
    torch.manual_seed(0)
    matrices = torch.randn(shape, dtype=torch.float64)
    left, sizes, right = torch.linalg.svd(matrices, full_matrices=False)
    levelled = left.mT @ orthogonalize(matrices, steps=5) @ right.mT
    diagonal = torch.diagonal(levelled, dim1=1, dim2=2)
    assert sizes.max() > 1.5 * sizes.min()
    assert ((diagonal > 0.3) & (diagonal < 1.25)).all()
    off_diagonal = levelled - torch.diag_embed(diagonal)
    assert off_diagonal.abs().max() < 1e-10


def test_muon_step_by_hand():
    torch.manual_seed(0)
    kernel = torch.nn.Parameter(torch.randn(4, 2, 3, 3))
    start, muon = kernel.detach().clone(), Muon([kernel], lr=0.1, weight_decay=0.5)
    average = torch.zeros(4, 18)
    expected = start.flatten(1)
    for _ in range(3):
        kernel.grad = torch.randn(4, 2, 3, 3)
        gradient = kernel.grad.flatten(1)
        average = 0.95 * average + 0.05 * gradient
        update = orthogonalize((0.05 * gradient + 0.95 * average)[None])[0]
        expected = (1 - 0.1 * 0.5) * expected - 0.1 * 0.2 * 18**0.5 * update
        muon.step()
    torch.testing.assert_close(kernel.detach().flatten(1), expected)


def test_muon_is_the_same_for_every_memory_format():
    results = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        values = torch.randn(6, 3, 3, 3).to(memory_format=memory_format)
        kernel = torch.nn.Parameter(values)
        kernel.grad = torch.randn(6, 3, 3, 3)
        Muon([kernel], lr=0.1).step()
        results.append(kernel.detach())
    torch.testing.assert_close(*results)


NAMES = Optimizer.__annotations__["name"].__args__


@pytest.mark.parametrize("name", NAMES)
def test_kernels_and_vectors_have_their_own_rates(name):
    network = build(zoo.find("sesr-m3", 2), 2)
    kernels, vectors = optimizers(network, Optimizer(name=name, lr=1e-2, vector_lr=0.1))
    assert kernels.param_groups[0]["base_lr"] == pytest.approx(1e-2)
    assert vectors.param_groups[0]["base_lr"] == pytest.approx(1e-3)
    covered = [p for o in (kernels, vectors) for g in o.param_groups for p in g["params"]]
    assert {id(p) for p in covered} == {id(p) for p in network.parameters()}
    assert len(covered) == len(list(network.parameters()))


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_reaches_its_optimiser(name):
    momentum = {"momentum": 0.6} if name == "muon" else {}
    settings = Optimizer(
        name=name, lr=1e-2, betas=(0.8, 0.7), epsilon=1e-3, weight_decay=0.5, **momentum
    )
    kernels, vectors = (
        o.param_groups[0] for o in optimizers(build(zoo.find("sesr-m3", 2), 2), settings)
    )
    assert kernels["weight_decay"] == 0.5
    assert vectors["weight_decay"] == 0
    if name == "muon":
        assert kernels["momentum"] == 0.6
    for group in (vectors,) if name == "muon" else (kernels, vectors):
        assert (group["betas"], group["eps"]) == ((0.8, 0.7), 1e-3)


@pytest.mark.parametrize(
    ("shape", "is_kernel"),
    [
        ((4, 3, 3, 3), True),
        ((4, 1, 3, 3), True),
        ((4, 3, 1, 1), True),
        ((1, 1, 5, 5), True),
        ((4, 3), True),
        # One row or column of numbers, whatever it is shaped like: MDRN-S's squeezing, BSRN-S's cw.
        ((1, 4, 1, 1), False),
        ((4, 1, 1, 1), False),
        ((1, 4), False),
        ((4,), False),
        ((), False),
    ],
)
def test_what_is_a_kernel(shape, is_kernel):
    network = torch.nn.Module()
    network.sure = torch.nn.Parameter(torch.zeros(2, 2))
    network.tried = torch.nn.Parameter(torch.zeros(shape))
    kernels, *rest = optimizers(network, Optimizer(name="muon", lr=1e-2))
    assert any(p is network.tried for p in kernels.param_groups[0]["params"]) == is_kernel
    assert len(rest) == (not is_kernel)


def test_a_network_without_weights_is_not_trained():
    with pytest.raises(UsageError, match="Bicubic: the network has nothing to train"):
        optimizers(build(zoo.find("bicubic", 2), 2), Optimizer(name="adam", lr=1e-2))
