"""Accept-reject on hand-made masks, slots, death, and identities."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from scalor_ppl.render.boxes import boxes_from_where
from scalor_ppl.render.glimpses import use_backend
from scalor_ppl.scalor.selection import take
from scalor_ppl.scalor.settings import RulesConfig
from scalor_ppl.scalor.slots import (
    Objects,
    Trackers,
    accept,
    tight_where,
    update_trackers,
)

SIZE = (16, 16)


def rules(**settings: Any) -> RulesConfig:
    base = {"rejection": False, "duplicate_rejection": False, "vanish": False, "doubled": False}
    return RulesConfig(**(base | settings))


def objects(presence: Tensor, where: Tensor | None = None, mask: float | Tensor = 1.0) -> Objects:
    """Objects whose `what` tells which one each is."""
    videos, slots = presence.shape
    if where is None:
        where = torch.tensor([0.0, 0.0, 0.25, 0.25]).expand(videos, slots, 4)
    name = torch.arange(videos * slots, dtype=torch.float32).reshape(videos, slots)
    glimpse = torch.ones(videos, slots, 4, 4, 4)
    glimpse[:, :, 3] = mask
    return Objects(
        presence=presence,
        where=where,
        raw=name[..., None] + torch.tensor([0.1, 0.2, 0.3, 0.4]),
        depth=name + 0.5,
        what=torch.stack((name, -name), -1),
        glimpse=glimpse,
        box=where,
    )


def at(*boxes: tuple[float, float, float, float]) -> Tensor:
    """One video's boxes."""
    return torch.tensor([boxes])


# ---------------------------------------------------------------- rejection by propagated objects

LEFT = torch.zeros(1, 1, *SIZE)
LEFT[..., :8] = 1
# Covered, half covered, not covered by what fills the left half of the view.
THREE = at((-0.5, 0.0, 0.25, 0.25), (0.0, 0.0, 0.5, 0.5), (0.6, 0.0, 0.25, 0.25))


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        (0.3, [False, False, True]),
        (0.5, [False, False, True]),
        (0.51, [False, True, True]),
        (1.0, [False, True, True]),
    ],
)
def test_rejection_on_hand_made_masks(overlap: float, expected: list[bool]) -> None:
    proposals = objects(torch.full((1, 3), 0.9), THREE)
    accepted = accept(proposals, LEFT, rules(rejection=True, overlap=overlap), SIZE)
    assert accepted.dtype == torch.bool
    assert accepted.tolist() == [expected]


def test_rejection_off_and_nothing_propagated() -> None:
    proposals = objects(torch.full((1, 3), 0.9), THREE)
    assert accept(proposals, LEFT, rules(), SIZE).all()
    assert accept(proposals, None, rules(rejection=True), SIZE).all()
    assert accept(proposals, torch.zeros_like(LEFT), rules(rejection=True), SIZE).all()


def test_rejection_thresholds() -> None:
    # A faint canvas (at most 0.1) covers nothing; a proposal is where its mask exceeds 0.3.
    proposals = objects(torch.full((1, 3), 0.9), THREE)
    on = rules(rejection=True)
    assert accept(proposals, LEFT * 0.099, on, SIZE).all()
    assert accept(proposals, LEFT * 0.11, on, SIZE).tolist() == [[False, False, True]]
    assert accept(objects(proposals.presence, THREE, mask=0.29), LEFT, on, SIZE).all()
    right = torch.zeros(4, 4)
    right[:, 2:] = 1
    # The half-covered box whose mask is only in its free half is not covered at all.
    half = objects(proposals.presence, THREE, mask=right)
    assert accept(half, LEFT, on, SIZE).tolist() == [[False, True, True]]


def test_rejection_does_not_ask_for_presence() -> None:
    proposals = objects(torch.tensor([[0.01, 0.5, 0.99]]), THREE)
    accepted = accept(proposals, LEFT, rules(rejection=True), SIZE)
    assert accepted.tolist() == [[False, False, True]]


def test_videos_are_rejected_by_their_own_canvas() -> None:
    proposals = objects(torch.full((2, 3), 0.9), THREE.expand(2, 3, 4))
    canvas = torch.cat((LEFT, 1 - LEFT))
    accepted = accept(proposals, canvas, rules(rejection=True), SIZE)
    assert accepted.tolist() == [[False, False, True], [True, False, False]]


# ---------------------------------------------------------------- duplicates

DUPLICATES = rules(duplicate_rejection=True, duplicate_radius=0.5)


def accepted_in_a_row(
    presence: list[float], centres: list[float], width: float = 0.25, **settings: Any
) -> list[bool]:
    """Duplicate rejection of boxes side by side; the canvas fills the view beyond x = 0.5."""
    where = at(*((x, 0.0, width, width) for x in centres))
    canvas = torch.zeros(1, 1, *SIZE)
    canvas[..., 12:] = 1
    chosen = RulesConfig(
        **(
            {"rejection": True, "duplicate_radius": 0.5, "vanish": False, "doubled": False}
            | settings
        )
    )
    return accept(objects(torch.tensor([presence]), where), canvas, chosen, SIZE)[0].tolist()


def test_the_stronger_of_two_is_kept() -> None:
    assert accepted_in_a_row([0.6, 0.9], [-0.5, -0.4]) == [False, True]
    assert accepted_in_a_row([0.9, 0.6], [-0.5, -0.4]) == [True, False]


def test_duplicates_off() -> None:
    assert accepted_in_a_row([0.6, 0.9], [-0.5, -0.4], duplicate_rejection=False) == [True, True]


@pytest.mark.parametrize(("apart", "expected"), [(0.24, False), (0.26, True)])
def test_the_ellipse_is_half_the_box_at_radius_one_half(apart: float, expected: bool) -> None:
    # A box of width 0.25 reaches 0.25 to each side of its centre in coordinates of -1 to 1.
    assert accepted_in_a_row([0.9, 0.6], [-0.7, -0.7 + apart]) == [True, expected]


def test_the_ellipse_is_that_of_the_stronger() -> None:
    boxes = at((0.0, 0.0, 0.4, 0.1), (0.3, 0.0, 0.1, 0.4))
    wide_first = objects(torch.tensor([[0.9, 0.6]]), boxes)
    assert accept(wide_first, None, DUPLICATES, SIZE).tolist() == [[True, False]]
    tall_first = objects(torch.tensor([[0.6, 0.9]]), boxes)
    assert accept(tall_first, None, DUPLICATES, SIZE).tolist() == [[True, True]]


def test_the_ellipse_is_measured_in_each_axis() -> None:
    boxes = at((0.0, 0.0, 0.4, 0.1), (0.0, 0.2, 0.4, 0.1), (0.3, 0.09, 0.4, 0.1))
    # The second lies beyond the height, the third inside the box but outside the ellipse.
    three = objects(torch.tensor([[0.9, 0.6, 0.5]]), boxes)
    assert accept(three, None, DUPLICATES, SIZE).tolist() == [[True, True, True]]


def test_on_an_image_that_is_not_square() -> None:
    # The same boxes in image coordinates: the ellipse scales with the image.
    boxes = at((0.0, 0.0, 0.4, 0.1), (0.3, 0.0, 0.1, 0.4))
    pair = objects(torch.tensor([[0.9, 0.6]]), boxes)
    assert accept(pair, None, DUPLICATES, (48, 80)).tolist() == [[True, False]]


def test_a_rejected_proposal_suppresses_nobody() -> None:
    # The strongest lies on a propagated object; what it touches is free to stay.
    assert accepted_in_a_row([0.99, 0.6], [0.75, 0.55], overlap=0.99, width=0.2) == [False, True]


def test_a_chain_of_three() -> None:
    # A beats B, B would beat C; B is out, so C stays. In any order of the cells.
    assert accepted_in_a_row([0.9, 0.8, 0.7], [-0.8, -0.6, -0.4]) == [True, False, True]
    assert accepted_in_a_row([0.7, 0.8, 0.9], [-0.8, -0.6, -0.4]) == [True, False, True]
    assert accepted_in_a_row([0.8, 0.9, 0.7], [-0.6, -0.8, -0.4]) == [False, True, True]


def test_longer_chains() -> None:
    # Of four the greedy order keeps two; of five it may lose one, but no two that touch stay.
    assert accepted_in_a_row([0.9, 0.8, 0.7, 0.6], [-0.9, -0.7, -0.5, -0.3]) == [
        True,
        False,
        True,
        False,
    ]
    five = accepted_in_a_row([0.9, 0.8, 0.7, 0.6, 0.55], [-0.9, -0.7, -0.5, -0.3, -0.1])
    assert five[:4] == [True, False, True, False]


def test_three_around_the_strongest() -> None:
    assert accepted_in_a_row([0.7, 0.9, 0.8], [-0.8, -0.6, -0.4]) == [False, True, False]


def test_ties_go_to_the_first_cell() -> None:
    assert accepted_in_a_row([0.9, 0.9], [-0.5, -0.4]) == [True, False]
    assert accepted_in_a_row([1.0, 1.0, 1.0], [-0.5, -0.5, -0.5]) == [True, False, False]
    assert accepted_in_a_row([0.0, 0.0], [-0.5, -0.4]) == [True, False]


def greedy(presence: list[float], near: list[list[bool]], eligible: list[bool]) -> list[bool]:
    """Suppression as one would write it for one video, a proposal at a time."""
    kept = [False] * len(presence)
    for i in sorted(range(len(presence)), key=lambda i: (-presence[i], i)):
        kept[i] = eligible[i] and not any(kept[j] and near[i][j] for j in range(len(presence)))
    return kept


def test_no_two_that_are_kept_touch_and_the_strongest_always_stays() -> None:
    generator = torch.Generator().manual_seed(1)
    videos, cells = 200, 12
    presence = torch.rand(videos, cells, generator=generator)
    centre = torch.rand(videos, cells, 2, generator=generator) * 1.6 - 0.8
    where = torch.cat((centre, torch.full((videos, cells, 2), 0.25)), -1)
    canvas = (torch.rand(videos, 1, *SIZE, generator=generator) > 0.8).float()
    both = rules(rejection=True, duplicate_rejection=True, duplicate_radius=0.5, overlap=0.4)
    proposals = objects(presence, where)
    accepted = accept(proposals, canvas, both, SIZE)
    eligible = accept(
        proposals, canvas, both.model_copy(update={"duplicate_rejection": False}), SIZE
    )
    near = (centre[:, :, None] - centre[:, None]).square().sum(-1) < 0.25**2
    same = 0
    for video in range(videos):
        expected = greedy(presence[video].tolist(), near[video].tolist(), eligible[video].tolist())
        ours = accepted[video].tolist()
        # Never one that the greedy order would drop (so no two that touch) ...
        assert all(e or not o for o, e in zip(ours, expected, strict=True))
        # ... and never without the strongest.
        strongest = (presence[video] * eligible[video]).argmax().item()
        assert ours[int(strongest)] or not eligible[video].any()
        same += ours == expected
    # Only long chains differ.
    assert same > 0.9 * videos


def test_accept_has_no_gradient() -> None:
    presence = torch.full((1, 3), 0.9, requires_grad=True)
    assert not accept(objects(presence, THREE), LEFT, RulesConfig(), SIZE).requires_grad


# ---------------------------------------------------------------- slots


def update(
    before: Trackers | None,
    propagated: Tensor | None,
    proposals: Tensor,
    capacity: int,
    chosen: RulesConfig | None = None,
) -> Trackers:
    """The next trackers, from presences alone."""
    moved = None
    if before is not None and propagated is not None:
        moved = before.objects._replace(presence=propagated * before.alive)
    return update_trackers(before, moved, objects(proposals), capacity, chosen or rules(), SIZE)


def row(*values: float) -> Tensor:
    return torch.tensor([values])


def test_first_frame() -> None:
    after = update(None, None, row(0.2, 0.9, 0.6, 0.4), 3)
    assert after.alive.sum() == 2
    assert after.discovered.equal(after.alive)
    assert after.next_id.tolist() == [2]
    assert sorted(after.ids[after.alive].tolist()) == [0, 1]
    assert (after.ids[~after.alive] == -1).all()
    assert after.ids.dtype == torch.int64
    # The strongest take the slots, whole: every field comes from the same proposal.
    assert after.objects.presence.tolist() == [pytest.approx([0.9, 0.6, 0.4])]
    assert after.objects.what[0, :, 0].tolist() == [1, 2, 3]
    assert after.objects.depth[0].tolist() == [1.5, 2.5, 3.5]
    assert after.objects.raw[0, :, 0].tolist() == pytest.approx([1.1, 2.1, 3.1])
    assert after.origin.tolist() == [1, 2, 3]


def test_overflow_keeps_the_strongest() -> None:
    after = update(None, None, row(0.7, 0.9, 0.6, 0.8), 2)
    assert sorted(after.objects.presence[0].tolist()) == pytest.approx([0.8, 0.9])
    assert after.next_id.tolist() == [2]


def test_survivors_come_before_discoveries() -> None:
    before = update(None, None, row(0.9, 0.8, 0.7), 3)
    after = update(before, row(0.51, 0.55, 0.6), row(0.99, 0.999), 3)
    assert set(after.ids[0].tolist()) == set(before.ids[0].tolist())
    assert not after.discovered.any()
    assert after.next_id.tolist() == [3]
    # Identity and object travel together.
    for presence, name in zip(after.objects.presence[0], after.ids[0], strict=True):
        old = (before.ids[0] == name).nonzero().item()
        assert presence.item() == pytest.approx([0.51, 0.55, 0.6][int(old)])


def test_a_free_slot_goes_to_the_strongest_discovery() -> None:
    before = update(None, None, row(0.9, 0.8, 0.2), 3)
    after = update(before, row(0.51, 0.55, 0.6), row(0.7, 0.99, 0.8), 3)
    assert after.discovered.sum() == 1
    assert after.objects.presence[after.discovered].tolist() == pytest.approx([0.99])
    assert after.ids[after.discovered].tolist() == [2]
    assert sorted(after.ids[0].tolist()) == [0, 1, 2]
    assert after.next_id.tolist() == [3]


@pytest.mark.parametrize(("presence", "lives"), [(0.5, False), (0.5001, True), (0.0, False)])
def test_death_at_one_half(presence: float, lives: bool) -> None:
    before = update(None, None, row(0.9), 1)
    after = update(before, row(presence), row(0.0), 1)
    assert after.alive.tolist() == [[lives]]
    assert after.ids.tolist() == [[0 if lives else -1]]
    assert after.next_id.tolist() == [1]
    # What dies is still rendered in its last frame as far as it is present.
    assert after.objects.presence.tolist() == [[pytest.approx(presence)]]


def test_the_dead_stay_dead() -> None:
    before = update(None, None, row(0.9, 0.8), 2)
    dying = update(before, row(0.9, 0.1), row(0.0, 0.0), 2)
    after = update(dying, row(1.0, 1.0), row(0.0, 0.0), 2)
    assert after.alive.sum() == 1
    assert after.ids.max() == 0


def test_a_new_object_in_a_dead_slot_gets_a_new_identity() -> None:
    before = update(None, None, row(0.9), 1)
    after = update(before, row(0.1), row(0.8), 1)
    assert after.ids.tolist() == [[1]]
    assert after.discovered.tolist() == [[True]]
    assert after.next_id.tolist() == [2]


def test_fewer_candidates_than_slots() -> None:
    first = update(None, None, row(0.9, 0.3), 5)
    assert first.objects.presence[0].tolist() == pytest.approx([0.9, 0.3, 0, 0, 0])
    assert first.alive.tolist() == [[True, False, False, False, False]]
    assert first.ids.tolist() == [[0, -1, -1, -1, -1]]
    assert first.origin.shape == (5,)
    second = update(first, torch.full((1, 5), 0.9), row(0.8, 0.7), 5)
    assert sorted(second.ids[0].tolist()) == [-1, -1, 0, 1, 2]
    assert second.next_id.tolist() == [3]


def test_spare_slots_stay_empty_although_they_repeat_a_strong_candidate() -> None:
    after = update(None, None, torch.tensor([[1.0], [0.0]]), 4)
    assert after.alive.tolist() == [[True] + [False] * 3, [False] * 4]
    assert after.objects.presence.sum(1).tolist() == [1.0, 0.0]
    assert after.next_id.tolist() == [1, 0]


def test_capacity_one_and_a_grid_of_one_cell() -> None:
    trackers = update(None, None, row(0.9), 1)
    assert trackers.ids.tolist() == [[0]]
    trackers = update(trackers, row(0.8), row(1.0), 1)
    assert trackers.ids.tolist() == [[0]]
    trackers = update(trackers, row(0.2), row(1.0), 1)
    assert trackers.ids.tolist() == [[1]]
    trackers = update(trackers, row(0.2), row(0.1), 1)
    assert trackers.ids.tolist() == [[-1]]
    assert trackers.next_id.tolist() == [2]


def test_hard_presence() -> None:
    before = update(None, None, row(1, 0, 1, 1), 3)
    assert before.alive.all()
    after = update(before, row(1, 0, 1), row(0, 1, 0, 0), 3)
    assert sorted(after.ids[0].tolist()) == [0, 2, 3]
    assert after.alive.all()


def test_gradients_go_to_the_chosen() -> None:
    presence = row(0.2, 0.9, 0.6, 0.4).requires_grad_()
    after = update(None, None, presence, 2)
    after.objects.presence.sum().backward()
    assert presence.grad is not None
    assert presence.grad.tolist() == [[0, 1, 1, 0]]


def test_take_and_origin() -> None:
    before = update(None, None, torch.tensor([[0.9, 0.2, 0.6], [0.1, 0.3, 0.7]]), 2)
    after = update(before, torch.rand(2, 2), torch.rand(2, 3), 2)
    pairs = zip(before.objects, objects(torch.rand(2, 3)), strict=True)
    candidates = Objects(*(torch.cat(pair, 1) for pair in pairs))
    for field in ("where", "raw", "depth", "what", "glimpse"):
        rows = getattr(candidates, field)
        assert rows.shape[:2] == (2, 5)
        assert torch.equal(take(rows, after.origin, 2), getattr(after.objects, field))
    assert (after.origin.reshape(2, 2) // 5 == torch.tensor([[0], [1]])).all()
    state = torch.arange(10.0).reshape(2, 5, 1)
    assert torch.equal(take(state, after.origin, 2).flatten(), after.origin.float())


def test_rows_and_back() -> None:
    some = objects(torch.rand(2, 3))
    rows = some.rows()
    assert rows.shape == (2, 3, 14 + some.what.shape[-1])
    for field, back in zip(some, Objects.of(rows, some.glimpse), strict=True):
        assert torch.equal(field, back)


def test_views_of_objects() -> None:
    some = objects(torch.rand(2, 3))
    assert some.colour.shape == (2, 3, 3, 4, 4)
    assert some.mask.shape == (2, 3, 1, 4, 4)
    code = some.code()
    assert code.shape == (2, 3, 8)
    assert torch.equal(code[..., 0], some.presence)
    assert torch.equal(code[..., 1:5], some.where)
    assert torch.equal(code[..., 5], some.depth)
    assert torch.equal(code[..., 6:], some.what)


def test_tight_boxes_lie_about_the_masks() -> None:
    mask = torch.zeros(1, 3, 4, 4)
    mask[0, 0, 1:3, 2] = 1.0  # rows 1 and 2, column 2: it crosses the level at their rims
    mask[0, 1, :, :] = 1.0
    mask[0, 2, 0, 0] = 0.4  # nowhere above the level
    where = torch.tensor([[[0.5, -0.25, 0.25, 0.5]] * 3])
    some = objects(torch.ones(1, 3), where, mask)
    # In pixels of 16 x 16 the box is 10, 2, 4, 8: a glimpse pixel is 1 wide and 2 high.
    boxes = boxes_from_where(tight_where(some), SIZE)[0]
    torch.testing.assert_close(boxes, torch.tensor([[12.0, 4, 1, 4], [10, 2, 4, 8], [10, 2, 4, 8]]))


def test_tight_boxes_know_parts_of_pixels() -> None:
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., 1:3, 1:3] = 1.0
    mask[..., 1:3, 3] = 0.25  # the level lies two thirds of the way from 1 to 0.25
    where = torch.tensor([[[0.0, 0.0, 1.0, 1.0]]])
    boxes = boxes_from_where(tight_where(objects(torch.ones(1, 1), where, mask)), SIZE)
    left, top, width, height = boxes[0, 0].tolist()
    assert (left, top, height) == pytest.approx((4, 4, 8))
    assert width == pytest.approx((2.5 + 2 / 3) * 4 - 4)


# ---------------------------------------------------------------- objects that leave the view


@pytest.mark.parametrize(
    ("x", "share", "lives"),
    [
        (0.0, 0.9, True),  # wholly in view
        (1.0, 0.49, True),  # half of its columns in view
        (1.0, 0.51, False),
        (1.2, 0.2, True),  # a quarter: its first column lies at 1.2 - 0.75 * 0.4 = 0.9
        (1.2, 0.3, False),
        (1.5, 0.0, True),  # none, but nothing is asked
        (1.5, 0.01, False),
    ],
)
def test_vanishing(x: float, share: float, lives: bool) -> None:
    one = objects(row(0.9), at((x, 0.0, 0.4, 0.4)))
    chosen = rules(vanish=True, vanish_share=share)
    after = update_trackers(None, None, one, 1, chosen, SIZE)
    assert after.alive.item() is lives
    assert after.next_id.item() == int(lives)
    kept = update_trackers(None, None, one, 1, rules(), SIZE)
    assert kept.alive.item()


def test_a_tracker_that_leaves_is_deleted_and_another_takes_its_slot() -> None:
    chosen = rules(vanish=True)
    before = update_trackers(None, None, objects(row(0.9)), 1, chosen, SIZE)
    away = at((1.4, 0.0, 0.25, 0.25))
    gone = before.objects._replace(where=away, box=away)
    out = update_trackers(before, gone, objects(row(0.0)), 1, chosen, SIZE)
    assert out.ids.tolist() == [[-1]]
    back = update_trackers(
        out, gone._replace(presence=row(0.0)), objects(row(0.8)), 1, chosen, SIZE
    )
    assert back.ids.tolist() == [[1]]


def test_vanishing_weighs_the_mask() -> None:
    chosen = rules(vanish=True, vanish_share=0.3)
    for mask, lives in ((0.29, False), (0.31, True)):
        one = objects(row(0.9), mask=mask)
        assert update_trackers(None, None, one, 1, chosen, SIZE).alive.item() is lives


# ---------------------------------------------------------------- identities over many frames


class Reference:
    """Identities of one video in plain Python."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.next_id = 0

    def step(self, survive: dict[int, float], found: list[float]) -> set[int]:
        candidates: list[tuple[bool, float, int | None]]
        candidates = [(p > 0.5, p, name) for name, p in survive.items()]
        candidates += [(False, p, None) for p in found]
        chosen = sorted(candidates, key=lambda c: (-c[0], -c[1]))[: self.capacity]
        kept = {name for _, p, name in chosen if p > 0.5 and name is not None}
        fresh = sum(p > 0.5 and name is None for _, p, name in chosen)
        kept |= set(range(self.next_id, self.next_id + fresh))
        self.next_id += fresh
        return kept


def random_frames(
    frames: int, videos: int, capacity: int, cells: int
) -> list[tuple[Tensor, Tensor]]:
    """Presences of tracked objects (most survive) and of proposals (few)."""
    generator = torch.Generator().manual_seed(11)
    result = []
    for _ in range(frames):
        stays = torch.rand(videos, capacity, generator=generator) < 0.8
        old = torch.rand(videos, capacity, generator=generator) * 0.49 + 0.5 * stays + 0.005
        comes = torch.rand(videos, cells, generator=generator) < 0.15
        new = torch.rand(videos, cells, generator=generator) * 0.49 + 0.5 * comes + 0.005
        result.append((old, new))
    return result


def run(frames: list[tuple[Tensor, Tensor]], capacity: int) -> list[Trackers]:
    trackers: Trackers | None = None
    history = []
    for old, new in frames:
        trackers = update(trackers, None if trackers is None else old, new, capacity)
        history.append(trackers)
    return history


@pytest.mark.parametrize("capacity", [1, 4, 20])
def test_identities_over_200_frames(capacity: int) -> None:
    videos, cells = 3, 9
    frames = random_frames(200, videos, capacity, cells)
    history = run(frames, capacity)
    last_seen: list[dict[int, int]] = [{} for _ in range(videos)]
    for video in range(videos):
        reference = Reference(capacity)
        before: dict[int, int] = {}
        for t, (old, new) in enumerate(frames):
            after = history[t]
            ids = after.ids[video][after.alive[video]].tolist()
            # Unique within the frame; empty slots have none.
            assert len(set(ids)) == len(ids)
            assert (after.ids[video][~after.alive[video]] == -1).all()
            # As in plain Python: who survives keeps its identity, who is new gets the next ones.
            survive = {name: old[video, slot].item() for name, slot in before.items()}
            assert set(ids) == reference.step(survive, new[video].tolist())
            assert after.next_id[video].item() == reference.next_id
            # Never given again once it is gone.
            for name in ids:
                assert last_seen[video].get(name, t - 1) == t - 1
                last_seen[video][name] = t
            found = after.ids[video][after.discovered[video]].tolist()
            assert set(found) == set(ids) - set(before)
            before = {name: s for s, name in enumerate(after.ids[video].tolist()) if name >= 0}
        # The test means something: objects came and went all the time.
        assert reference.next_id > 30


def test_videos_do_not_know_of_each_other() -> None:
    capacity = 4
    frames = random_frames(40, 3, capacity, 9)
    together = run(frames, capacity)
    order = torch.tensor([2, 0, 1])
    shuffled = run([(old[order], new[order]) for old, new in frames], capacity)
    for joint, other in zip(together, shuffled, strict=True):
        for field in ("alive", "ids", "discovered", "next_id"):
            assert torch.equal(getattr(joint, field)[order], getattr(other, field))
        assert torch.equal(joint.objects.presence[order], other.objects.presence)
    for video in range(3):
        alone = run([(old[video, None], new[video, None]) for old, new in frames], capacity)
        for joint, single in zip(together, alone, strict=True):
            assert torch.equal(joint.ids[video], single.ids[0])


# ---------------------------------------------------------------- no value travels to the host


def test_nothing_depends_on_values_on_the_host() -> None:
    # Fake tensors have no values: reading one, or a shape that depends on one, fails.
    with FakeTensorMode(allow_non_fake_inputs=True), use_backend("torch"):
        proposals = objects(torch.rand(2, 4), torch.rand(2, 4, 4))
        with pytest.raises(DataDependentOutputException):
            proposals.presence.sum().item()
        accepted = accept(proposals, torch.rand(2, 1, *SIZE), RulesConfig(), SIZE)
        assert accepted.shape == (2, 4)
        trackers: Trackers | None = None
        for _ in range(3):
            moved = None if trackers is None else trackers.objects
            trackers = update_trackers(trackers, moved, proposals, 3, RulesConfig(), SIZE)
        assert trackers is not None
        assert trackers.ids.shape == (2, 3)


# ---------------------------------------------------------------- two trackers in one place


def in_one_place(offsets: list[float], **settings: Any) -> list[list[int]]:
    """Identities by frame of two trackers with boxes of 8 pixels, so many pixels apart."""
    chosen = rules(doubled=True, **settings)
    nothing = torch.zeros(1, 1)
    found: Trackers | None = None
    named = []
    for offset in offsets:
        where = at((0.0, 0.0, 0.5, 0.5), (offset / 8, 0.0, 0.5, 0.5))
        if found is None:
            first = objects(row(0.9, 0.8), where)
            found = update_trackers(None, None, first, 2, chosen, SIZE)
        else:
            presence = row(0.9, 0.8) * found.alive
            moved = objects(presence, where)
            found = update_trackers(found, moved, objects(nothing), 2, chosen, SIZE)
        named.append(sorted(found.ids[0].tolist()))
    return named


BOTH, OLDER = [0, 1], [-1, 0]


def test_the_younger_of_two_in_one_place_is_deleted_in_time() -> None:
    assert in_one_place([1.0] * 6, doubled_frames=4) == [BOTH] * 3 + [OLDER] * 3
    assert in_one_place([1.0] * 6, doubled_frames=7) == [BOTH] * 6


def test_objects_that_cross_are_left_alone() -> None:
    apart = [6.0, 3.0, 1.0, -1.0, -3.0, -6.0, -1.0, 1.0, 1.0, 3.0]
    assert in_one_place(apart, doubled_frames=4) == [BOTH] * 10


@pytest.mark.parametrize(("apart", "gone"), [(1.9, True), (2.1, False)])
def test_the_place_is_a_share_of_the_box(apart: float, gone: bool) -> None:
    last = in_one_place([apart] * 3, doubled_frames=2)[-1]
    assert last == (OLDER if gone else BOTH)


def test_the_count_goes_with_its_tracker_and_starts_anew() -> None:
    # Slots are given anew in every frame; the count of a tracker stays its own.
    chosen = rules(doubled=True, doubled_frames=3)
    apart = at((0.0, 0.0, 0.5, 0.5), (0.0, 0.0, 0.5, 0.5), (0.9, 0.9, 0.2, 0.2))
    first = update_trackers(None, None, objects(row(0.9, 0.8, 0.7), apart), 3, chosen, SIZE)
    order = torch.tensor([2, 1, 0])  # the strongest comes first: slots change hands
    moved = objects(row(0.6, 0.7, 0.95), apart)
    after = update_trackers(first, moved, objects(torch.zeros(1, 1)), 3, chosen, SIZE)
    assert after.ids[0].tolist() == order.tolist()
    assert after.doubled[0].tolist() == [0, 2, 0]


def test_doubled_trackers_stay_without_the_rule() -> None:
    base = rules()
    found = update(None, None, row(0.9, 0.8), 2, base)
    for _ in range(20):
        found = update(found, row(0.9, 0.8), row(0.0), 2, base)
    assert sorted(found.ids[0].tolist()) == BOTH
    assert not found.doubled.any()
