"""Identities given by the compiled loop and by operations on all slots are the same, and right."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from scalor_ppl.render.glimpses import overlap_share, use_backend, visible_pixels
from scalor_ppl.scalor.identities import Selection, SlotIdentities, identified
from scalor_ppl.scalor.selection import take_of_both
from scalor_ppl.scalor.settings import RulesConfig


def none_before(videos: int) -> SlotIdentities:
    empty = torch.empty(videos, 0, dtype=torch.int64)
    return SlotIdentities(
        empty > 0, empty, empty > 0, torch.zeros(videos, dtype=torch.int64), empty
    )


@st.composite
def clips(draw: st.DrawFn) -> list[tuple[Selection, Tensor, Tensor]]:
    """Frames of two videos: who is chosen for the slots, who lives, and where they are."""
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    slots, proposals = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    frames, count = [], proposals
    for _ in range(draw(st.integers(1, 6))):
        rows = torch.stack([torch.randperm(count, generator=random) for _ in range(2)])[:, :slots]
        spare = max(0, slots - count)
        rows = torch.nn.functional.pad(rows, (0, spare)) + torch.tensor([[0], [count]])
        alive = torch.rand(2, slots, generator=random) < 0.7
        alive[:, slots - spare :] = False
        # On few places, so that many share one.
        centre = torch.randint(0, 3, (2, slots, 2), generator=random) / 2 - 0.5
        where = torch.cat((centre, torch.full_like(centre, 0.3)), -1)
        frames.append((Selection(rows.flatten(), count, min(slots, count)), alive, where))
        count = slots + proposals
    return frames


@given(clips(), st.booleans(), st.integers(2, 4))
@settings(max_examples=60)
def test_both_ways_are_the_same(
    frames: list[tuple[Selection, Tensor, Tensor]], doubled: bool, longest: int
) -> None:
    rules = RulesConfig(doubled=doubled, doubled_frames=longest, doubled_radius=0.5)
    before = none_before(2)
    for selection, alive, where in frames:
        found = identified(before, selection, alive, where, rules)
        with use_backend("torch"):
            other = identified(before, selection, alive, where, rules)
        for name, own, theirs in zip(SlotIdentities._fields, found, other, strict=True):
            assert torch.equal(own, theirs), name
        assert torch.equal(found.alive, found.ids >= 0)
        assert (found.next_id >= before.next_id).all()
        before = found


def test_the_younger_of_two_in_one_place_goes() -> None:
    rules = RulesConfig(doubled=True, doubled_frames=2, doubled_radius=0.5)
    where = torch.tensor([[[0.1, 0.1, 0.3, 0.3], [0.1, 0.12, 0.3, 0.3], [0.9, 0.9, 0.3, 0.3]]])
    alive = torch.ones(1, 3, dtype=torch.bool)
    first = identified(none_before(1), Selection(torch.arange(3), 3, 3), alive, where, rules)
    assert first.ids.tolist() == [[0, 1, 2]]
    assert first.doubled.tolist() == [[0, 1, 0]]
    again = identified(
        first, Selection(torch.tensor([2, 1, 0]), 6, 3), alive, where[:, [2, 1, 0]], rules
    )
    assert again.ids.tolist() == [[2, -1, 0]]
    assert again.next_id.tolist() == [3]
    assert not again.discovered.any()


@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 4), st.integers(1, 6))
@settings(max_examples=30)
def test_rows_of_both_are_those_of_both_joined(seed: int, some: int, more: int, slots: int) -> None:
    random = torch.Generator().manual_seed(seed)
    first, second = (torch.rand(2, n, 3, 2, generator=random) for n in (some, more))
    rows = torch.randint(0, some + more, (2, slots), generator=random)
    origin = (rows + torch.tensor([[0], [some + more]])).flatten()
    slope = torch.rand(2, slots, 3, 2, generator=random)
    found = []
    for backend in ("auto", "torch"):
        given_rows = [each.clone().requires_grad_() for each in (first, second)]
        with use_backend(backend):  # type: ignore[arg-type]
            taken = take_of_both(given_rows[0], given_rows[1], origin, slots)
        found.append((taken.detach(), *torch.autograd.grad(taken, given_rows, slope)))
    torch.testing.assert_close(*found)


def test_what_masks_cover_is_counted_alike() -> None:
    torch.manual_seed(0)
    mask, canvas = torch.rand(3, 5, 6, 7), torch.rand(3, 1, 20, 24)
    where = torch.cat((3 * torch.rand(3, 5, 2) - 1.5, torch.rand(3, 5, 2)), -1)
    where[0, 0, 0], where[1, 1, 2], where[2, 2, 3] = float("nan"), 0.0, float("inf")
    found = overlap_share(mask, where, canvas), visible_pixels(mask, where, (20, 24))
    with use_backend("torch"):
        other = overlap_share(mask, where, canvas), visible_pixels(mask, where, (20, 24))
    torch.testing.assert_close(found, other)
