"""Muon: singular values, agreement with torch's, what it is used for, and resumption."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from scalor_ppl.training.muon import (
    ITERATIONS,
    LIKE_ADAM,
    QUINTIC,
    Muon,
    Orthogonal,
    is_matrix,
    orthogonalised,
)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.CELU(), nn.Flatten(), nn.Linear(64, 12), nn.Linear(12, 1)
    )


def stepped(net: nn.Module, optimizer: Muon | torch.optim.Optimizer, steps: int) -> None:
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        inputs = torch.randn(5, 3, 4, 4, generator=generator)
        optimizer.zero_grad()
        net(inputs).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("shape", [(8, 8), (12, 40), (40, 12)])
def test_directions_stay_and_singular_values_become_about_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape) * torch.logspace(0, -2, shape[1])
    result = orthogonalised(matrix / matrix.norm())
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    middle = u.T @ result @ v.T
    values = middle.diagonal()
    assert values.min() > 0.3
    assert values.max() < 1.3
    torch.testing.assert_close(middle, torch.diag(values), atol=1e-4, rtol=0)


@pytest.mark.parametrize("shape", [(40, 200), (200, 40)])
def test_a_wide_matrix_is_iterated_by_its_square(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape) * torch.logspace(0, -3, shape[1])
    matrix /= matrix.norm()
    exact = matrix.double() if shape[0] < shape[1] else matrix.double().T
    for _ in range(ITERATIONS):
        square = exact @ exact.T
        a, b, c = QUINTIC
        exact = a * exact + (b * square + c * square @ square) @ exact
    found = orthogonalised(matrix).double()
    torch.testing.assert_close(found if shape[0] < shape[1] else found.T, exact, atol=1e-5, rtol=0)


def test_of_a_gradient_of_zeros_there_is_no_step() -> None:
    assert orthogonalised(torch.zeros(8, 9)).eq(0).all()


def test_steps_on_matrices_are_those_of_torch() -> None:
    theirs = getattr(torch.optim, "Muon", None)
    if theirs is None:
        pytest.skip("this torch has no Muon of its own (2.9 has)")
    torch.manual_seed(0)
    own, other = (nn.Parameter(torch.ones(24, 16)) for _ in range(2))
    ours = Orthogonal([own], 0.01)
    reference = theirs([other], 0.01, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    for _ in range(5):
        gradient = torch.randn(24, 16)
        own.grad, other.grad = gradient.clone(), gradient.clone()
        ours.step()
        reference.step()
    # Theirs is computed with the 8 bits of bfloat16.
    moved = (other - 1).norm()
    assert (own - other).norm() < 0.02 * moved


def test_a_convolution_steps_as_its_flattened_weights() -> None:
    torch.manual_seed(0)
    gradient = torch.randn(16, 3, 3, 3)
    convolution = nn.Parameter(torch.zeros(16, 3, 3, 3))
    matrix = nn.Parameter(torch.zeros(16, 27))
    convolution.grad, matrix.grad = gradient, gradient.flatten(1)
    for parameter in (convolution, matrix):
        Orthogonal([parameter], 0.1).step()
    torch.testing.assert_close(convolution.flatten(1), matrix)


def test_a_step_is_about_as_large_as_adams() -> None:
    torch.manual_seed(0)
    parameter = nn.Parameter(torch.zeros(32, 64))
    parameter.grad = torch.randn(32, 64)
    Orthogonal([parameter], 0.01).step()
    size = parameter.detach().square().mean().sqrt()
    assert 0.7 * 0.01 * LIKE_ADAM < size < 1.2 * 0.01 * LIKE_ADAM


def test_weights_of_layers_go_to_muon_and_all_else_to_adam() -> None:
    net = network()
    optimizer = Muon(net.parameters(), 0.1)
    shapes = {
        name: [tuple(p.shape) for p in part.param_groups[0]["params"]]
        for name, part in optimizer.parts.items()
    }
    assert shapes == {
        "muon": [(16, 3, 3, 3), (12, 64)],
        "adam": [(16,), (12,), (1, 12), (1,)],
    }
    assert not is_matrix(torch.zeros(3, 48, 64))  # the image of a template
    assert list(Muon([nn.Parameter(torch.zeros(3))], 0.1).parts) == ["adam"]
    assert list(Muon([nn.Parameter(torch.zeros(8, 8))], 0.1).parts) == ["muon"]


def test_one_learning_rate_reaches_both_parts() -> None:
    net = network()
    optimizer = Muon(net.parameters(), 0.1)
    before = [p.detach().clone() for p in net.parameters()]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    stepped(net, optimizer, 1)
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), before, strict=True))


def test_a_restored_optimizer_goes_on_bit_for_bit() -> None:
    one, other = network(), network()
    first = Muon(one.parameters(), 0.01)
    stepped(one, first, 3)
    other.load_state_dict(one.state_dict())
    second = Muon(other.parameters(), 0.0)
    second.load_state_dict(deepcopy(first.state_dict()))
    for net, optimizer in ((one, first), (other, second)):
        stepped(net, optimizer, 3)
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    assert all(torch.equal(p, q) for p, q in pairs)


def test_gradients_that_are_not_there_leave_weights_alone() -> None:
    weights = nn.Parameter(torch.ones(8, 8))
    Muon([weights], 0.1).step()
    assert weights.eq(1).all()
