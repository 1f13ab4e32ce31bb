"""Gathered layers give torch's own values and gradients, however often they are used."""

import pytest
import torch
from torch import Tensor, nn

from scalor_ppl.nn.gathered import (
    GatheredGRUCell,
    GatheredLinear,
    GatheredMaps,
    GatheredMlp,
    gathering,
)
from scalor_ppl.nn.layers import mlp

Slopes = list[Tensor | None]


class Recurrent(nn.Module):
    """Three kinds of layers, each used in every frame."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = GatheredLinear(4, 6)
        self.cell = GatheredGRUCell(6, 5)
        self.head = mlp(5, 7, 8, 4)
        self.unused = mlp(2, 2)

    def forward(self, rows: Tensor, frames: int) -> Tensor:
        """Rows ``[B, n, 4]`` after some frames."""
        state = torch.zeros(rows.shape[0] * rows.shape[1], 5)
        for _ in range(frames):
            state = self.cell(self.embed(rows).flatten(0, 1), state)
            rows = rows + self.head(state.unflatten(0, rows.shape[:2]))
        return rows


def run(network: Recurrent, rows: Tensor, wanted: bool, frames: int = 4) -> tuple[Tensor, Slopes]:
    """The result, and the slopes of its squares."""
    rows = rows.clone().requires_grad_()
    network.zero_grad(set_to_none=True)
    with gathering(wanted):
        result = network(rows, frames)
    result.square().sum().backward()
    return result, [rows.grad, *(each.grad for each in network.parameters())]


@pytest.mark.parametrize("frames", [1, 4])
def test_values_and_gradients_are_torchs(frames: int) -> None:
    torch.manual_seed(0)
    network, rows = Recurrent(), torch.randn(2, 3, 4)
    expected, slopes = run(network, rows, False, frames)
    found, gathered = run(network, rows, True, frames)
    torch.testing.assert_close(found, expected)
    assert [each is None for each in gathered] == [each is None for each in slopes]
    for own, other in zip(gathered, slopes, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-6)


def test_names_of_weights_are_torchs() -> None:
    plain = nn.Sequential(nn.Linear(3, 4), nn.CELU(), nn.Linear(4, 2))
    ours = GatheredMlp(3, 4, 2)
    ours.load_state_dict(plain.state_dict())
    rows = torch.randn(5, 3)
    with gathering():
        torch.testing.assert_close(ours(rows), plain(rows))
    cell = GatheredGRUCell(3, 4)
    assert cell.state_dict().keys() == nn.GRUCell(3, 4).state_dict().keys()


@pytest.mark.parametrize("last", [False, True])
def test_maps_are_rows_wherever_their_channels_lie(last: bool) -> None:
    torch.manual_seed(0)
    layer, maps = GatheredMaps(3, 4 * 5, 2), torch.randn(6, 3, 4, 5)
    if last:
        maps = maps.contiguous(memory_format=torch.channels_last)
    expected = torch.nn.functional.linear(maps.flatten(1), layer.weight, layer.bias)
    slopes = torch.autograd.grad(expected.square().sum(), [*layer.parameters()])
    for wanted in (True, False):
        with gathering(wanted):
            found = layer(maps)
        torch.testing.assert_close(found, expected)
        own = torch.autograd.grad(found.square().sum(), [*layer.parameters()])
        torch.testing.assert_close(own, slopes)


def test_the_weights_gradient_is_one_product() -> None:
    layer, rows = GatheredLinear(3, 2), torch.randn(4, 3, requires_grad=True)
    with torch.autograd.profiler.profile() as seen, gathering():
        sum(layer(rows) for _ in range(5)).sum().backward()  # type: ignore[union-attr]
    # Of each use's rows, and one of the weights.
    assert sum(event.name == "aten::mm" for event in seen.function_events) == 6


def test_a_graph_can_be_walked_twice() -> None:
    torch.manual_seed(0)
    network, rows = Recurrent(), torch.randn(2, 3, 4, requires_grad=True)
    _, expected = run(network, rows.detach(), False)
    with gathering():
        loss = network(rows, 4).square().sum()
    # Not the weights' turn: what is noted on the way must not count for the next walk.
    (first,) = torch.autograd.grad(loss, rows, retain_graph=True)
    torch.testing.assert_close(first, expected[0])
    for _ in range(2):
        network.zero_grad()
        loss.backward(retain_graph=True)
        for parameter, slope in zip(network.parameters(), expected[1:], strict=True):
            torch.testing.assert_close(parameter.grad, slope, rtol=1e-5, atol=1e-6)


def test_held_parameters_get_no_gradient() -> None:
    layer, rows = GatheredLinear(3, 2).requires_grad_(False), torch.randn(4, 3, requires_grad=True)
    with gathering():
        layer(rows).sum().backward()
    torch.testing.assert_close(rows.grad, layer.weight.sum(0).expand(4, 3))
    assert layer.weight.grad is None


def test_second_derivatives_are_refused_and_not_wrong() -> None:
    layer, rows = GatheredLinear(3, 2), torch.randn(4, 3, requires_grad=True)
    with gathering():
        loss = layer(rows).square().sum()
    with pytest.raises(RuntimeError, match="once"):
        torch.autograd.grad(loss, rows, create_graph=True)
    (slope,) = torch.autograd.grad(layer(rows).square().sum(), rows, create_graph=True)
    assert slope.requires_grad


def test_bfloat16_is_left_to_torch() -> None:
    layer, rows = GatheredLinear(3, 2), torch.randn(4, 3)
    with gathering(), torch.autocast("cpu", torch.bfloat16):
        assert layer(rows).dtype == torch.bfloat16


def test_a_use_without_gradient_does_not_cut_the_others_off() -> None:
    layer, rows = GatheredLinear(3, 2), torch.randn(4, 3)
    with gathering():
        with torch.no_grad():
            layer(rows)
        layer(rows).sum().backward()
    assert layer.weight.grad is not None
    torch.testing.assert_close(layer.weight.grad, rows.sum(0).expand(2, 3))
