"""A frame's encoder by products has the values and gradients of convolutions."""

import pytest
import torch
from torch import Tensor

from scalor_ppl.nn.columns import ColumnEncoder
from scalor_ppl.nn.gathered import gathering, never_gathering
from scalor_ppl.nn.layers import GridEncoder

Size = tuple[int, int]


def slopes(network: GridEncoder, frames: list[Tensor], wanted: bool) -> list[Tensor]:
    """Features of the frames, and the slopes of their squares by frames and weights."""
    given = [each.clone().requires_grad_() for each in frames]
    network.zero_grad(set_to_none=True)
    with gathering(wanted):
        found = [network(each) for each in given]
    weights = torch.linspace(0.5, 1.5, found[0].numel()).view_as(found[0])
    (torch.stack(found) * weights).square().sum().backward()
    learned = [each.grad for each in (*given, *network.parameters())]
    assert all(each is not None for each in learned)
    return [*(each.detach() for each in found), *(each for each in learned if each is not None)]


@pytest.mark.parametrize(
    ("channels", "size", "grid"),
    [(1, (64, 64), (8, 8)), (1, (64, 64), (16, 16)), (3, (18, 22), (4, 5)), (2, (9, 7), (9, 7))],
)
def test_values_and_gradients_are_those_of_convolutions(
    channels: int, size: Size, grid: Size
) -> None:
    torch.manual_seed(0)
    network = ColumnEncoder(channels, 6, size, grid, width=4)
    frames = [torch.randn(2, channels, *size) for _ in range(3)]
    own, plain = (slopes(network, frames, wanted) for wanted in (True, False))
    for found, expected in zip(own, plain, strict=True):
        largest = float(expected.abs().max())
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * largest)


def test_so_are_those_of_what_a_graph_holds() -> None:
    torch.manual_seed(0)
    network = ColumnEncoder(3, 6, (18, 22), (4, 5), width=4)
    frames = [torch.randn(2, 3, 18, 22) for _ in range(2)]
    plain = slopes(network, frames, False)
    with never_gathering():
        own = slopes(network, frames, False)
    for found, expected in zip(own, plain, strict=True):
        largest = float(expected.abs().max())
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * largest)


def test_without_a_gradient_of_the_frame_the_weights_have_theirs() -> None:
    torch.manual_seed(0)
    network, frame = ColumnEncoder(1, 6, (16, 16), (4, 4), width=4), torch.randn(2, 1, 16, 16)
    found = []
    for wanted in (True, False):
        with gathering(wanted):
            loss = network(frame).square().sum()
        found.append(torch.autograd.grad(loss, list(network.parameters())))
    for own, expected in zip(*found, strict=True):
        torch.testing.assert_close(own, expected, rtol=1e-4, atol=1e-4)


def test_other_types_of_numbers_are_convolved() -> None:
    network = ColumnEncoder(1, 6, (16, 16), (4, 4), width=4).double()
    frame = torch.randn(2, 1, 16, 16, dtype=torch.float64)
    with gathering():
        found = network(frame)
    torch.testing.assert_close(found, GridEncoder.forward(network, frame))


def test_its_weights_have_the_names_of_a_grid_encoders() -> None:
    plain = GridEncoder(1, 6, (16, 16), (4, 4)).state_dict()
    assert ColumnEncoder(1, 6, (16, 16), (4, 4)).state_dict().keys() == plain.keys()
