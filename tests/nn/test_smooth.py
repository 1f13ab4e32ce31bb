"""Loops of CELU and of a GRU's cell: torch's values and gradients, and nobody else's memory."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scalor_ppl.nn.gathered import Celu, GatheredLinear, GatheredMlp, gathering
from scalor_ppl.nn.smooth import celu_in_place, celu_slope, gru_slopes, gru_step


def test_celu_is_right_to_rounding_however_small_or_large() -> None:
    size = torch.logspace(-30, 3, 5000)
    values = torch.cat((-size, size, torch.zeros(1)))
    exact = F.celu(values.double())
    torch.testing.assert_close(celu_in_place(values), exact.float(), rtol=2e-7, atol=0)


def test_celu_passes_on_what_is_no_number() -> None:
    assert celu_in_place(torch.tensor([float("nan")])).isnan().all()
    assert celu_in_place(torch.tensor([float("-inf"), float("inf")])).tolist() == [-1, float("inf")]


def test_celu_takes_the_place_of_values_alone_in_memory() -> None:
    values = torch.randn(3, 4)
    assert celu_in_place(values).data_ptr() == values.data_ptr()
    maps = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    expected = F.celu(maps)
    assert celu_in_place(maps).data_ptr() == maps.data_ptr()
    torch.testing.assert_close(maps, expected)
    # Others lie between these.
    whole = torch.randn(3, 4)
    kept = whole.clone()
    torch.testing.assert_close(celu_in_place(whole[:, :2]), F.celu(kept[:, :2]))
    torch.testing.assert_close(whole, kept, rtol=0, atol=0)


@pytest.mark.parametrize("own", [True, False])
def test_slopes_of_celu_are_torchs(own: bool) -> None:
    values, slope = torch.randn(50, requires_grad=True), torch.randn(50)
    found = F.celu(values)
    (expected,) = torch.autograd.grad(found, values, slope)
    given = slope.clone()
    torch.testing.assert_close(celu_slope(given, found.detach(), own), expected)
    assert torch.equal(given, slope) is not own


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("width", [1, 5, 16, 37])
def test_a_grus_step_is_torchs(dtype: torch.dtype, width: int) -> None:
    torch.manual_seed(0)
    cell = nn.GRUCell(3, width, dtype=dtype)
    rows = torch.randn(7, 3, dtype=dtype)
    state = 3 * torch.randn(7, width, dtype=dtype)
    slope = torch.randn(7, width, dtype=dtype)

    def parts(state: Tensor) -> tuple[Tensor, Tensor]:
        given = F.linear(rows, cell.weight_ih, cell.bias_ih)
        return given, F.linear(state, cell.weight_hh, cell.bias_hh)

    state.requires_grad_()
    given, past = parts(state)
    expected = cell(rows, state)
    slopes = torch.autograd.grad(expected, (cell.bias_ih, cell.bias_hh, state), slope)
    with torch.no_grad():
        result, gates = gru_step(given.clone(), past, state.detach())
        by_given, by_past, by_state = gru_slopes(slope, gates, past, state.detach())
    tolerance = 1e-12 if dtype == torch.float64 else 2e-6
    found = (by_given.sum(0), by_past.sum(0), by_state + by_past @ cell.weight_hh)
    for own, other in zip((result, *found), (expected, *slopes), strict=True):
        torch.testing.assert_close(own, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("layer", [GatheredLinear(4, 6), GatheredMlp(4, 5, 6)])
def test_a_chain_that_is_closed_is_celu_of_the_chain(layer: GatheredLinear | GatheredMlp) -> None:
    rows, slope = torch.randn(3, 2, 4, requires_grad=True), torch.randn(3, 2, 6)
    learned = list(layer.parameters())
    expected = F.celu(layer(rows))
    slopes = torch.autograd.grad(expected, (rows, *learned), slope)
    given = slope.clone()
    with gathering():
        found = layer.celu(rows)
    gathered = torch.autograd.grad(found, (rows, *learned), given)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gathered, slopes)
    assert torch.equal(given, slope), "the slope may be somebody else's too"


def test_celu_after_a_convolution_is_torchs() -> None:
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), Celu(), nn.Conv2d(4, 2, 3), Celu())
    images = torch.randn(2, 3, 9, 9)
    learned = list(layers.parameters())
    expected = layers(images)
    slopes = torch.autograd.grad(expected.square().sum(), learned)
    with gathering():
        found = layers(images)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found.square().sum(), learned), slopes)
