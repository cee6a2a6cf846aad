import io

import pytest
import torch

from leansr import zoo
from leansr.lab.nets import build
from leansr.lab.train.optimizers import optimizers
from leansr.lab.train.recipe import Optimizer
from leansr.lab.train.soap import REFRESH, SOAP

BETAS = 0.9, 0.95


def kernels(shape, count=2, memory_format=torch.contiguous_format):
    torch.manual_seed(0)
    values = torch.randn(count, *shape)
    return [torch.nn.Parameter(v.to(memory_format=memory_format)) for v in values]


def gradients(shape, steps, count=2):
    """Not the same in all directions, so that there is something to find."""
    torch.manual_seed(1)
    tilt = torch.linspace(0.2, 2, shape[0]).view(-1, *[1] * (len(shape) - 1))
    return torch.randn(steps, count, *shape) * tilt


def walked(optimizer, parameters, steps):
    for step in steps:
        for p, gradient in zip(parameters, step, strict=True):
            p.grad = gradient.clone(memory_format=torch.preserve_format)
        optimizer.step()
    return [p.detach().clone() for p in parameters]


def plain_matrices(start, steps, lr, weight_decay):
    """SOAP of one matrix as the paper's Algorithms 3 and 4 write it, in double precision."""
    w, beta1, beta2 = start, *BETAS
    m = v = left = right = q_left = q_right = torch.zeros(1, dtype=torch.float64)
    for t, g in enumerate(steps):
        if t > 0:
            m = beta1 * m + (1 - beta1) * g
            turned = q_left.T @ g @ q_right
            v = beta2 * v + (1 - beta2) * turned**2
            m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
            n = q_left @ ((q_left.T @ m_hat @ q_right) / (v_hat.sqrt() + 1e-8)) @ q_right.T
            w = w - lr * weight_decay * w - lr * n
        left = beta2 * left + (1 - beta2) * g @ g.T
        right = beta2 * right + (1 - beta2) * g.T @ g
        if t == 0:
            q_left, q_right = torch.linalg.eigh(left)[1], torch.linalg.eigh(right)[1]
        elif t % 10 == 0:
            q_left, q_right = (
                torch.linalg.qr(p @ q)[0] for p, q in ((left, q_left), (right, q_right))
            )
    return w


@pytest.mark.parametrize("shape", [(6, 6), (6, 6, 1, 1), (6, 1, 2, 3)])
def test_matrices_against_the_papers_algorithm(shape):
    # In double precision: rounding turns directions that matter alike.
    parameters = [torch.nn.Parameter(p.detach().double()) for p in kernels(shape)]
    starts = [p.detach().clone() for p in parameters]
    steps = gradients(shape, 25).double()
    soap = SOAP(parameters, lr=0.01, betas=BETAS, weight_decay=0.1)
    for i, found in enumerate(walked(soap, parameters, steps)):
        matrix = [step[i].reshape(6, 6) for step in steps]
        expected = plain_matrices(starts[i].reshape(6, 6), matrix, 0.01, 0.1)
        assert (expected - starts[i].reshape(6, 6)).abs().min() > 1e-4
        torch.testing.assert_close(found.reshape(6, 6), expected, rtol=1e-7, atol=1e-9)


def test_three_modes_by_unfolding():
    """The second step of a kernel outputs x inputs x taps, spelled out in Kronecker products."""
    (kernel,) = kernels((3, 2, 2, 2), count=1)
    start = kernel.detach().clone()
    first, second = gradients((3, 2, 2, 2), 2, count=1)[:, 0].double()
    walked(
        SOAP([kernel], lr=0.01, betas=BETAS),
        [kernel],
        torch.stack((first, second)).float()[:, None],
    )
    cube = first.reshape(3, 2, 4)
    unfolded = (cube.flatten(1), cube.movedim(1, 0).flatten(1), cube.movedim(2, 0).flatten(1))
    q_out, q_in, q_taps = (torch.linalg.eigh(u @ u.T)[1] for u in unfolded)
    turn = torch.kron(torch.kron(q_out, q_in), q_taps).T
    # With both averages corrected, the first move is the sign of the turned gradient.
    move = turn.T @ (turn @ second.flatten()).sign()
    expected = start.double() - 0.01 * move.view(start.shape)
    torch.testing.assert_close(kernel.detach().double(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(6, 3, 3, 3), (5, 1, 3, 3), (4, 6, 1, 1)])
def test_memory_formats_move_alike(shape):
    results = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        parameters = kernels(shape, memory_format=memory_format)
        steps = [[g.to(memory_format=memory_format) for g in s] for s in gradients(shape, 12)]
        results.append(walked(SOAP(parameters, lr=0.01), parameters, steps))
        assert parameters[0].is_contiguous(memory_format=memory_format)
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("cut", [1, REFRESH - 1, REFRESH, REFRESH + 4])
def test_continued_bit_for_bit(memory_format, cut):
    shape = 6, 3, 3, 3
    steps = gradients(shape, 2 * REFRESH + 3)
    whole = kernels(shape, memory_format=memory_format)
    expected = walked(SOAP(whole, lr=0.01), whole, steps)

    before = kernels(shape, memory_format=memory_format)
    soap = SOAP(before, lr=0.01)
    walked(soap, before, steps[:cut])
    file = io.BytesIO()
    torch.save({"state": soap.state_dict(), "kernels": [p.detach() for p in before]}, file)
    saved = torch.load(io.BytesIO(file.getvalue()), weights_only=True)

    after = kernels(shape, memory_format=memory_format)
    with torch.no_grad():
        for p, value in zip(after, saved["kernels"], strict=True):
            p.copy_(value)
    again = SOAP(after, lr=0.5)
    again.load_state_dict(saved["state"])
    for a, b in zip(expected, walked(again, after, steps[cut:]), strict=True):
        assert torch.equal(a, b)


def test_a_gradient_that_is_not_finite_reaches_the_weights():
    (kernel,) = kernels((3, 2, 3, 3), count=1)
    steps = torch.full((2, 1, 3, 2, 3, 3), float("nan"))
    (found,) = walked(SOAP([kernel], lr=0.01), [kernel], steps)
    assert found.isnan().all()


def test_it_finds_tilted_valleys_faster_than_adam():
    """Least squares in badly scaled, turned coordinates: what it is for."""
    torch.manual_seed(0)
    basis = torch.linalg.qr(torch.randn(12, 12))[0]
    metric = basis @ torch.diag(torch.logspace(-2, 1, 12)) @ basis.T
    target = torch.randn(8, 12)
    ends = {}
    for name in ("adam", "soap"):
        layer = torch.nn.Linear(12, 8)
        torch.nn.init.zeros_(layer.weight)
        kernel, _ = optimizers(layer, Optimizer(name=name, lr=0.03, betas=(0.9, 0.95)))
        for step in range(300):
            kernel.param_groups[0]["lr"] = 0.03 * (1 - step / 300)
            kernel.zero_grad()
            difference = layer.weight - target
            loss = (difference @ metric * difference).sum()
            loss.backward()
            kernel.step()
        ends[name] = loss.item()
    assert ends["soap"] < 0.5 * ends["adam"]


def test_every_kind_of_kernel_of_a_network_moves():
    """Depthwise, 1 x 1, strided and plain: BSRN has them all."""
    torch.manual_seed(0)
    network = build(zoo.find("bsrn", 4), 4)
    start = {name: p.detach().clone() for name, p in network.named_parameters()}
    both = optimizers(network, Optimizer(name="soap", lr=1e-3))
    for _ in range(2):
        network(torch.rand(1, 3, 16, 16)).mean().backward()
        for optimizer in both:
            optimizer.step()
            optimizer.zero_grad()
    still = [name for name, p in network.named_parameters() if torch.equal(p, start[name])]
    assert still == []
