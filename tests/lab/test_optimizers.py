import pytest
import torch

from leansr import zoo
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


@pytest.mark.parametrize("name", ["muon", "adam"])
def test_kernels_and_vectors_have_their_own_rates(name):
    network = build(zoo.find("sesr-m3", 2), 2)
    kernels, vectors = optimizers(network, Optimizer(name=name, lr=1e-2, vector_lr=0.1))
    assert kernels.param_groups[0]["base_lr"] == pytest.approx(1e-2)
    assert vectors.param_groups[0]["base_lr"] == pytest.approx(1e-3)
    covered = [p for o in (kernels, vectors) for g in o.param_groups for p in g["params"]]
    assert {id(p) for p in covered} == {id(p) for p in network.parameters()}
    assert len(covered) == len(list(network.parameters()))
