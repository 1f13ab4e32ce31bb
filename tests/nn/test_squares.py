"""Likelihoods of many pictures without stacking them: the stacked ones' values and gradients."""

import pytest
import torch

from scalor_ppl.nn.distributions import PixelNormal
from scalor_ppl.nn.squares import squared_distances
from scalor_ppl.nn.stacking import log_prob_unstacked, stacked


@pytest.mark.parametrize("apart", [False, True], ids=["frames of a video", "pictures"])
def test_log_densities_are_those_of_the_stack(apart: bool) -> None:
    torch.manual_seed(0)
    video, image = torch.rand(2, 3, 3, 17, 9), torch.rand(2, 3, 3, 17, 9, requires_grad=True)
    frames, means = video.unbind(1), image.unbind(1)
    if apart:
        frames = tuple(each.contiguous() for each in frames)
        means = tuple(each * 1 for each in means)
    values = [each[:, None] for each in frames]
    fns = [PixelNormal(each[:, None], 0.2, 3, False) for each in means]
    expected = stacked(fns).log_prob(torch.stack(values))
    found = log_prob_unstacked(fns, values)
    assert found is not None
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    slope = torch.randn_like(expected)
    own, other = (torch.autograd.grad(each, image, slope, True)[0] for each in (found, expected))
    torch.testing.assert_close(own, other)


def test_a_long_sum_keeps_its_digits() -> None:
    first, second = torch.rand(1, 3, 256, 256), torch.rand(1, 3, 256, 256)
    found = squared_distances([first], [second], 3)
    assert found is not None
    exact = (first.double() - second.double()).square().sum()
    assert abs(found.item() / exact.item() - 1) < 1e-6


def test_what_loops_cannot_serve_is_stacked() -> None:
    double = torch.rand(1, 3, 4, 4, dtype=torch.float64)
    assert squared_distances([double], [double], 3) is None
    learned = torch.rand(1, 3, 4, 4, requires_grad=True)
    assert squared_distances([learned], [learned.detach()], 3) is None
    checked = PixelNormal(torch.rand(1, 3, 4, 4), 0.2, 3, validate_args=True)
    assert log_prob_unstacked([checked], [torch.rand(1, 3, 4, 4)]) is None
