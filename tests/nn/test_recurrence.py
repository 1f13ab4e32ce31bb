"""A ConvLSTM over all frames as one node gives what it gives frame by frame."""

import pytest
import torch
from torch import Tensor

from scalor_ppl.nn.gathered import gathering
from scalor_ppl.nn.layers import ConvLSTM

# Of weights, and of biases.
FORMAT = {4: torch.channels_last, 1: torch.contiguous_format}
State = tuple[Tensor, Tensor]


def run(net: ConvLSTM, features: Tensor, state: State | None, whole: bool) -> list[Tensor]:
    """Hidden states, last cell, and the gradient of a function of both."""
    given = [each.clone().requires_grad_() for each in (features, *(state or ()))]
    with gathering(whole):
        hidden, (last, cell) = net(given[0], (given[1], given[2]) if state else None)
    assert ("Recurrence" in type(cell.grad_fn).__name__) is whole
    loss = (hidden * hidden).sum() + last.sin().sum() + cell.square().sum()
    return [hidden, cell, *torch.autograd.grad(loss, (*given, *net.parameters()))]


@pytest.mark.parametrize("frames", [2, 5])
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("last", [False, True], ids=["channels first", "channels last"])
def test_values_and_gradients(frames: int, begun: bool, last: bool) -> None:
    torch.manual_seed(0)
    net = ConvLSTM(4, 6)
    if last:
        for each in net.parameters():
            each.data = each.data.contiguous(memory_format=FORMAT[each.dim()])
    features = torch.randn(2, frames, 4, 5, 7)
    state = (torch.randn(2, 6, 5, 7), 3 * torch.randn(2, 6, 5, 7)) if begun else None
    expected, found = run(net, features, state, False), run(net, features, state, True)
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-5, atol=2e-5)


def test_a_frame_without_a_state_leaves_its_weights_without_a_gradient() -> None:
    net = ConvLSTM(2, 3)
    with gathering():
        hidden, _ = net(torch.randn(1, 1, 2, 4, 4))
    hidden.sum().backward()
    assert net.from_state.weight.grad is None


def test_only_what_is_asked_for_has_a_gradient() -> None:
    net = ConvLSTM(2, 3)
    with gathering():
        _, (_, cell) = net(torch.randn(1, 3, 2, 4, 4))
    cell.sum().backward()
    assert net.from_state.weight.grad is not None


def test_other_precisions_go_frame_by_frame() -> None:
    net = ConvLSTM(2, 3).double()
    with gathering():
        _, (_, cell) = net(torch.randn(1, 3, 2, 4, 4, dtype=torch.float64))
    assert "Recurrence" not in type(cell.grad_fn).__name__
