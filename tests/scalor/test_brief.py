"""What a posterior finds and loses in mid-view is not what priors learn from."""

from __future__ import annotations

import torch
from torch import Tensor

from scalor_ppl.scalor.cleaning import LASTING, cleaned, without_brief, without_sudden
from scalor_ppl.scalor.histories import Moment
from scalor_ppl.scalor.slots import Latents, Objects, Trackers

FRAMES = 7
MIDDLE, EDGE = (0.1, 0.0), (0.95, 0.0)


def history_of(*lives: tuple[int, int, tuple[float, float]]) -> list[Moment]:
    """A clip whose object k is there from its first to its last frame, in one place, in slot k."""
    slots = len(lives)
    first, last = (torch.tensor([[life[n] for life in lives]]) for n in (0, 1))
    place = torch.tensor([[life[2] for life in lives]])
    where = torch.cat((place, torch.full_like(place, 0.2)), -1)
    moments = []
    for t in range(FRAMES):
        there = (first <= t) & (t <= last)
        ids = torch.arange(slots)[None].masked_fill(~there, -1)
        objects = Objects(
            there.float(), where, 0 * where, 0 * last, where[..., :0], where[..., :0], where
        )
        trackers = Trackers(objects, there, ids, first == t, ids[:, 0], 0 * ids, ids)
        weight = ((first < t) & (t <= last)).float()
        tracked = objects._replace(presence=weight) if t else None
        proposed = Latents((first == t).float(), where, 0 * last, where[..., :0])
        moments.append(Moment(trackers, tracked, None, proposed, None))
    return moments


def alive(history: list[Moment]) -> Tensor:
    """``[T, K]``."""
    return torch.stack([now.trackers.alive[0] for now in history])


def test_what_is_lost_at_once_in_the_middle_was_never_there() -> None:
    before = history_of(
        (0, FRAMES, MIDDLE),  # stays
        (2, 2, MIDDLE),  # flashes up
        (1, LASTING - 1, MIDDLE),  # a frame longer
        (3, 3, EDGE),  # passes by a corner
        (1, LASTING, MIDDLE),  # is lost later
        (FRAMES - 1, FRAMES - 1, MIDDLE),  # nobody knows yet
    )
    after = without_brief(before)
    kept = torch.tensor([True, False, False, True, True, True])
    torch.testing.assert_close(alive(after), alive(before) & kept)
    for now in after:
        gone = ~kept & (now.trackers.ids[0] >= 0)
        assert not gone.any()
        assert not now.trackers.discovered[0, ~kept].any()
        assert now.trackers.objects.presence[0, ~kept].sum() == 0
    # Nor is it tracked into the next frame.
    assert before[2].tracked is not None
    assert before[2].tracked.presence[0, 2] == 1
    assert after[2].tracked is not None
    assert after[2].tracked.presence[0].tolist() == [1, 0, 0, 0, 1, 0]


def test_a_history_without_such_stays_as_it_is() -> None:
    before = history_of((0, FRAMES, MIDDLE), (2, FRAMES, EDGE))
    for was, now in zip(before, without_brief(before), strict=True):
        for mine, other in zip(now.trackers, was.trackers, strict=True):
            if isinstance(mine, Tensor):
                assert torch.equal(mine, other)  # type: ignore[arg-type]


def test_what_is_found_late_or_lost_in_mid_view_is_not_seen_to_be() -> None:
    last = FRAMES - 1
    before = history_of(
        (0, last, MIDDLE),  # stays
        (2, last, MIDDLE),  # found late
        (0, 3, MIDDLE),  # lost from sight
        (last, last, MIDDLE),  # nobody knows yet
        (1, 4, EDGE),  # comes and goes
    )
    after = without_sudden(before)
    wanted = alive(before)
    wanted[:, [1, 3]] = False
    wanted[3, 2] = False  # nothing is known of what came after this frame
    torch.testing.assert_close(alive(after), wanted)
    assert after[3].tracked is not None
    assert after[3].tracked.presence[0].tolist() == [1, 0, 1, 0, 1]
    assert after[4].tracked is not None
    assert after[4].tracked.presence[0].tolist() == [1, 0, 0, 0, 1]


def test_where_objects_do_appear_in_mid_view_they_stay() -> None:
    """Errors are rare among the frames in which objects are tracked."""
    rare = history_of(*[(0, FRAMES, MIDDLE)] * 30, (2, FRAMES, MIDDLE))
    after, note = cleaned(rare)
    assert alive(after)[:, -1].sum() == 0
    assert note.startswith("once in 123 objects a frame")
    assert "taken for errors" in note
    often = history_of(*[(0, FRAMES, MIDDLE)] * 9, (2, FRAMES, MIDDLE))
    after, note = cleaned(often)
    torch.testing.assert_close(alive(after), alive(often))
    assert "objects do appear there" in note
    assert cleaned(history_of((0, FRAMES, MIDDLE), (2, FRAMES, EDGE)))[1] == ""
