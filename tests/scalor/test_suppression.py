"""Duplicates are suppressed alike whether neighbours are looked up or all pairs are compared."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from scalor_ppl.render.glimpses import use_backend
from scalor_ppl.scalor.suppression import inside_ellipse, keep_strongest


def all_pairs(where: Tensor, strength: Tensor, eligible: Tensor, radius: float) -> Tensor:
    """The rule as it stands in the documentation, pair by pair."""
    near = inside_ellipse(where, where, radius)
    kept = eligible.clone()
    for _ in range(3):
        before = kept.clone()
        for b in range(len(where)):
            for i in range(where.shape[1]):
                kept[b, i] = eligible[b, i] and not any(
                    before[b, j]
                    and near[b, i, j]
                    and (
                        strength[b, j] > strength[b, i]
                        or (strength[b, j] == strength[b, i] and j < i)
                    )
                    for j in range(where.shape[1])
                )
    return kept


@st.composite
def proposals(draw: st.DrawFn, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes, strengths and who may be kept: in clusters or far apart, with ties and oddities."""
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    videos, count = draw(st.integers(1, 3)), draw(st.integers(1, most))
    spread = draw(st.sampled_from([0.0, 0.05, 0.5, 1.5, 40.0]))
    extent = draw(st.sampled_from([0.001, 0.05, 0.3, 3.0]))
    centre = spread * (2 * torch.rand(videos, count, 2, generator=random) - 1)
    if draw(st.booleans()):  # places that are exactly alike, or on the border of an ellipse
        centre = (8 * centre).round() / 8
    sides = extent * (0.2 + torch.rand(videos, count, 2, generator=random))
    strength = torch.rand(videos, count, generator=random)
    if draw(st.booleans()):
        strength = (3 * strength).round() / 3
    eligible = torch.rand(videos, count, generator=random) < draw(st.sampled_from([0.2, 0.9, 1.0]))
    where = torch.cat((centre, sides), -1)
    odd = draw(st.sampled_from([None, math.nan, math.inf, 0.0, 1e30]))
    if odd is not None:
        where[0, draw(st.integers(0, count - 1)), draw(st.integers(0, 3))] = odd
    return where, strength, eligible


@given(proposals(5), st.floats(1e-6, 3))
@settings(max_examples=30)
def test_both_ways_are_the_rule(drawn: tuple[Tensor, Tensor, Tensor], radius: float) -> None:
    expected = all_pairs(*drawn, radius)
    assert torch.equal(keep_strongest(*drawn, radius), expected)
    with use_backend("torch"):
        assert torch.equal(keep_strongest(*drawn, radius), expected)


@given(proposals(300), st.floats(1e-6, 3))
@settings(max_examples=120)
def test_neighbours_are_all_that_matter(
    drawn: tuple[Tensor, Tensor, Tensor], radius: float
) -> None:
    found = keep_strongest(*drawn, radius)
    with use_backend("torch"):
        assert torch.equal(found, keep_strongest(*drawn, radius))


@pytest.mark.parametrize("eligible", [True, False])
def test_none_and_all_may_be_kept(eligible: bool) -> None:
    where = torch.tensor([0.0, 0.0, 0.2, 0.2]).expand(2, 5, 4)
    strength = torch.tensor([[0.1, 0.9, 0.3, 0.9, 0.2]]).expand(2, -1)
    able = torch.full((2, 5), eligible)
    kept = keep_strongest(where, strength, able, 0.4)
    assert kept.tolist() == [[False, eligible, False, False, False]] * 2


def test_a_gradient_and_a_view_are_no_obstacle() -> None:
    where = torch.rand(3, 2, 4).transpose(0, 1).requires_grad_()
    strength = torch.rand(3, 2, dtype=torch.float32).t().requires_grad_()
    kept = keep_strongest(where, strength, torch.ones(2, 3, dtype=torch.bool), 0.3)
    with use_backend("torch"):
        same = keep_strongest(where, strength, torch.ones(2, 3, dtype=torch.bool), 0.3)
    assert torch.equal(kept, same)


def test_tens_of_thousands_are_no_more_than_their_number() -> None:
    """All pairs of them would be 400 million."""
    count, side = 20_000, 2_800
    random = torch.Generator().manual_seed(0)
    centre = 2 * torch.rand(1, count, 2, generator=random) - 1
    where = torch.cat((centre, torch.full_like(centre, 20 / side)), -1)
    strength = torch.rand(1, count, generator=random)
    kept = keep_strongest(where, strength, torch.ones(1, count, dtype=torch.bool), 0.4)
    assert 0.5 * count < int(kept.sum()) < 0.95 * count
    # None that was kept lies in the ellipse of another that was.
    some = where[:, kept[0]][:, :2_000]
    near = inside_ellipse(some, where[:, kept[0]], 0.4)
    assert int(near.sum()) == 2_000
