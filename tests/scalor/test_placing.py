"""Boxes made in one operation are those of the formulae, and so are their gradients."""

import pytest
import torch
from torch import Tensor

from scalor_ppl.nn.gathered import gathering
from scalor_ppl.scalor.placing import placed

STEP, LOW, HIGH = torch.tensor([0.2, 0.3]), torch.tensor([0.1, 0.2]), torch.tensor([0.5, 0.9])


def made(previous: Tensor, raw: Tensor, whole: bool) -> list[Tensor]:
    """Boxes, and the slopes by what has some."""
    given = [each for each in (previous, raw) if each.requires_grad]
    with gathering(whole):
        boxes = placed(previous, raw, STEP, LOW, HIGH)
    assert ("Placed" in type(boxes.grad_fn).__name__) is whole
    return [boxes, *torch.autograd.grad(boxes.sin().sum(), given)]


@pytest.mark.parametrize("width", [2, 4])
@pytest.mark.parametrize("shared", [True, False], ids=["cells", "trackers"])
@pytest.mark.parametrize("learned", [True, False])
def test_one_operation_is_the_formulae(width: int, shared: bool, learned: bool) -> None:
    torch.manual_seed(0)
    raw = 4 * torch.randn(3, 5, 4)
    raw[0, 0] = torch.tensor([0.0, 1e-6, -90.0, 90.0])
    raw.requires_grad_()
    previous = torch.randn(*(() if shared else (3,)), 5, width, requires_grad=learned)
    expected, found = made(previous, raw, False), made(previous, raw, True)
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own, other, rtol=2e-6, atol=2e-7)


def test_other_precisions_are_the_formulae() -> None:
    raw = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    with gathering():
        boxes = placed(torch.zeros(2, 2).double(), raw, STEP, LOW, HIGH)
    centre = STEP * torch.tanh(raw[:, :2])
    size = LOW + (HIGH - LOW) * torch.sigmoid(raw[:, 2:])
    torch.testing.assert_close(boxes, torch.cat((centre, size), -1), rtol=1e-12, atol=1e-12)
