"""Slots over whole videos of random objects: identities, capacity, life and order."""

from __future__ import annotations

from typing import NamedTuple

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from scalor_ppl.scalor.selection import take
from scalor_ppl.scalor.settings import RulesConfig
from scalor_ppl.scalor.slots import (
    Objects,
    Trackers,
    accept,
    update_trackers,
)

SIZE = (16, 20)
NO_RULES = RulesConfig(rejection=False, duplicate_rejection=False, vanish=False, doubled=False)
RULES = st.builds(
    RulesConfig,
    vanish=st.booleans(),
    vanish_share=st.floats(0, 0.9),
    doubled=st.booleans(),
    doubled_radius=st.floats(0.05, 1),
    doubled_frames=st.integers(2, 4),
)


def random_objects(videos: int, count: int, random: torch.Generator) -> Objects:
    """Objects anywhere in and about the view, each with a name of its own in all it holds."""
    centre = torch.rand(videos, count, 2, generator=random) * 2.6 - 1.3
    extent = 0.1 + 0.5 * torch.rand(videos, count, 2, generator=random)
    name = torch.rand(videos, count, generator=random)
    where = torch.cat((centre, extent), -1)
    return Objects(
        # Hard presences too: half of them are exactly 0 or 1.
        _presence(videos, count, random),
        where,
        name[..., None].expand(-1, -1, 4),
        name,
        torch.stack((name, -name), -1),
        torch.rand(videos, count, 2, 4, 3, generator=random),
        where,
    )


def _presence(videos: int, count: int, random: torch.Generator) -> Tensor:
    soft = torch.rand(videos, count, generator=random)
    hard = (torch.rand(videos, count, generator=random) < 0.6).float()
    return torch.where(torch.rand(videos, count, generator=random) < 0.5, soft, hard)


class Step(NamedTuple):
    """What went into a frame's update, and what came out."""

    before: Trackers | None
    propagated: Objects | None
    proposals: Objects
    after: Trackers


@st.composite
def histories(draw: st.DrawFn, rules: st.SearchStrategy[RulesConfig] = RULES) -> list[Step]:
    """Frames of videos: trackers move, fade and die at random, and proposals come."""
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    videos, capacity = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    cells, chosen = draw(st.integers(1, 6)), draw(rules)
    steps: list[Step] = []
    before: Trackers | None = None
    for _ in range(draw(st.integers(1, 8))):
        proposals = random_objects(videos, cells, random)
        if before is not None and draw(st.booleans()):
            # One is found where another is tracked.
            proposals.where[:, 0] = before.objects.where[:, 0]
        propagated = None
        if before is not None:
            moved = random_objects(videos, capacity, random)
            # Many stand still, and so two in one place stay there together.
            still = torch.rand(videos, capacity, 1, generator=random) < 0.8
            propagated = moved._replace(
                presence=moved.presence.clamp(min=0.6 * still[..., 0]) * before.alive,
                where=torch.where(still, before.objects.where, moved.where),
            )
        after = update_trackers(before, propagated, proposals, capacity, chosen, SIZE)
        steps.append(Step(before, propagated, proposals, after))
        before = after
    return steps


def present(ids: Tensor) -> list[int]:
    """Identities of one video's live slots."""
    return [int(each) for each in ids if each >= 0]


@given(steps=histories())
def test_an_identity_is_given_once_and_for_ever(steps: list[Step]) -> None:
    for video in range(len(steps[0].after.ids)):
        given_before, gone = 0, set[int]()
        last: set[int] = set()
        for step in steps:
            after = step.after
            now = present(after.ids[video])
            assert len(set(now)) == len(now)
            assert gone.isdisjoint(now)
            # Those that are new carry the next numbers, all of them below the next to give.
            new = sorted(set(now) - last)
            next_id = int(after.next_id[video])
            assert all(given_before <= each < next_id for each in new)
            assert next_id - given_before == int(after.discovered[video].sum())
            gone |= last - set(now)
            given_before, last = next_id, set(now)


def join(propagated: Objects | None, proposals: Objects) -> Objects:
    """Propagated objects and proposals side by side: what slots are chosen from."""
    if propagated is None:
        return proposals
    return Objects(*(torch.cat(pair, 1) for pair in zip(propagated, proposals, strict=True)))


@given(steps=histories())
def test_slots_are_consistent(steps: list[Step]) -> None:
    for before, propagated, proposals, after in steps:
        capacity = after.ids.shape[1]
        videos, rows = join(propagated, proposals).presence.shape
        for field in (*after.objects, after.alive, after.ids, after.discovered, after.doubled):
            assert field.shape[:2] == (videos, capacity)
        assert torch.equal(after.alive, after.ids >= 0)
        assert (after.objects.presence[after.alive] > 0.5).all()
        assert (after.ids < after.next_id[:, None]).all()
        assert (after.doubled >= 0).all()
        if before is not None:
            old = {(v, i) for v, line in enumerate(before.ids) for i in present(line)}
            survived = after.alive & ~after.discovered
            for video, slot in survived.nonzero().tolist():
                assert (video, int(after.ids[video, slot])) in old
        # Each filled slot is one candidate, whole; those that repeat one are empty.
        filled = min(capacity, rows)
        origin = after.origin.unflatten(0, (videos, capacity))
        for video, line in enumerate(origin.tolist()):
            assert len(set(line[:filled])) == filled
            assert all(video * rows <= row < (video + 1) * rows for row in line)
        for mine, theirs in zip(after.objects, join(propagated, proposals), strict=True):
            assert torch.equal(mine[:, :filled], take(theirs, after.origin, capacity)[:, :filled])
        assert (after.objects.presence[:, filled:] == 0).all()


@given(steps=histories(st.just(NO_RULES)))
def test_survivors_stay_and_the_strongest_enter(steps: list[Step]) -> None:
    for before, propagated, proposals, after in steps:
        capacity = after.ids.shape[1]
        for video, entering in enumerate(proposals.presence):
            strong = entering[entering > 0.5]
            survivors: dict[int, float] = {}
            if before is not None and propagated is not None:
                lives = before.alive[video] & (propagated.presence[video] > 0.5)
                names = before.ids[video][lives].tolist()
                survivors = dict(zip(names, propagated.depth[video][lives].tolist(), strict=True))
            found = after.discovered[video]
            kept = after.alive[video] & ~found
            # Nobody who survives loses the slot, and an identity stays with its object.
            names, depths = (
                after.ids[video][kept].tolist(),
                after.objects.depth[video][kept].tolist(),
            )
            assert dict(zip(names, depths, strict=True)) == survivors
            # What is free goes to the strongest.
            free = min(capacity - len(survivors), len(strong))
            entered = after.objects.presence[video][found].sort(descending=True).values
            assert torch.equal(entered, strong.sort(descending=True).values[:free])


@given(steps=histories(), data=st.data())
def test_the_order_of_slots_and_proposals_does_not_matter(
    steps: list[Step], data: st.DataObject
) -> None:
    """What lives on, and under which old name, follows the objects and not their rows."""
    before, propagated, proposals, _ = steps[-1]
    capacity = steps[-1].after.ids.shape[1]
    # Ties are given to the first row: here there are none.
    count = join(propagated, proposals).presence.shape[1]
    random = torch.Generator().manual_seed(1)
    ranks = torch.rand(len(proposals.presence), count, generator=random).argsort(1).float()
    presence = 0.05 + 0.9 * ranks / count
    proposals = proposals._replace(presence=presence[:, -proposals.presence.shape[1] :])
    if before is not None and propagated is not None:
        propagated = propagated._replace(presence=presence[:, :capacity] * before.alive)
    shuffled = torch.tensor(data.draw(st.permutations(range(proposals.presence.shape[1]))))
    others = Objects(*(field[:, shuffled] for field in proposals))
    turned, turned_propagated = before, propagated
    if before is not None and propagated is not None:
        order = torch.tensor(data.draw(st.permutations(range(capacity))))
        turned = before._replace(
            alive=before.alive[:, order], ids=before.ids[:, order], doubled=before.doubled[:, order]
        )
        turned_propagated = Objects(*(field[:, order] for field in propagated))
    mine = update_trackers(before, propagated, proposals, capacity, NO_RULES, SIZE)
    theirs = update_trackers(turned, turned_propagated, others, capacity, NO_RULES, SIZE)
    assert torch.equal(mine.next_id, theirs.next_id)
    for video in range(len(mine.ids)):
        assert survivors(mine, video) == survivors(theirs, video)
        assert entrants(mine, video) == entrants(theirs, video)


def survivors(trackers: Trackers, video: int) -> dict[int, float]:
    """Depth, which names an object, by identity, of those known before."""
    kept = trackers.alive[video] & ~trackers.discovered[video]
    ids, depth = trackers.ids[video][kept], trackers.objects.depth[video][kept]
    return dict(zip(ids.tolist(), depth.tolist(), strict=True))


def entrants(trackers: Trackers, video: int) -> list[float]:
    """Depth of those just found. Their new numbers go by slot, and slots by strength."""
    found = trackers.discovered[video]
    return trackers.objects.depth[video][found].tolist()


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Objects, Tensor, Objects]:
    """Proposals of distinct strength, a canvas, and tracked objects."""
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    videos, cells = draw(st.integers(1, 3)), draw(st.integers(1, 8))
    proposals = random_objects(videos, cells, random)
    ranks = torch.rand(videos, cells, generator=random).argsort(1)
    proposals = proposals._replace(presence=(1 + ranks) / (1 + cells))
    # Close together they touch in chains.
    proposals.where[..., :2] *= draw(st.floats(0.1, 1))
    canvas = (torch.rand(videos, 1, *SIZE, generator=random) < draw(st.floats(0, 1))).float()
    return proposals, canvas, random_objects(videos, draw(st.integers(1, 4)), random)


ACCEPTING = st.builds(
    RulesConfig,
    rejection=st.booleans(),
    overlap=st.floats(0.05, 1),
    duplicate_rejection=st.booleans(),
    duplicate_radius=st.floats(0.1, 1),
    near_tracked=st.none() | st.floats(0.1, 1),
)


@given(scene=scenes(), rules=ACCEPTING, data=st.data())
def test_accepting_follows_the_proposal_and_not_its_cell(
    scene: tuple[Objects, Tensor, Objects], rules: RulesConfig, data: st.DataObject
) -> None:
    proposals, canvas, tracked = scene
    order = torch.tensor(data.draw(st.permutations(range(proposals.presence.shape[1]))))
    turn = torch.tensor(data.draw(st.permutations(range(tracked.presence.shape[1]))))
    accepted = accept(proposals, canvas, rules, SIZE, tracked)
    turned = accept(
        Objects(*(field[:, order] for field in proposals)),
        canvas,
        rules,
        SIZE,
        Objects(*(field[:, turn] for field in tracked)),
    )
    assert torch.equal(accepted[:, order], turned)
    # Each video by itself.
    for video in range(len(accepted)):
        only = slice(video, video + 1)
        alone = accept(
            Objects(*(field[only] for field in proposals)),
            canvas[only],
            rules,
            SIZE,
            Objects(*(field[only] for field in tracked)),
        )
        assert torch.equal(alone, accepted[only])


@given(scene=scenes(), rules=ACCEPTING, more=st.floats(0, 1))
def test_each_rule_only_takes_away(
    scene: tuple[Objects, Tensor, Objects], rules: RulesConfig, more: float
) -> None:
    proposals, canvas, tracked = scene

    def accepted(**changes: object) -> Tensor:
        return accept(proposals, canvas, rules.model_copy(update=changes), SIZE, tracked)

    eligible = accepted(duplicate_rejection=False)
    assert accepted(rejection=False, near_tracked=None, duplicate_rejection=False).all()
    assert (accepted() <= eligible).all()
    # A larger tau never rejects what a smaller one lets in, nor a smaller radius.
    looser = accepted(duplicate_rejection=False, overlap=rules.overlap + more)
    assert (eligible <= looser).all()
    if rules.near_tracked is not None:
        nearer = rules.near_tracked * more
        assert (eligible <= accepted(duplicate_rejection=False, near_tracked=nearer)).all()
    # Duplicates lose to something that stays: the strongest eligible one is always in.
    strength = torch.where(eligible, proposals.presence, torch.zeros_like(proposals.presence))
    best = accepted().gather(1, strength.argmax(1, keepdim=True))[:, 0]
    assert torch.equal(best, eligible.any(1))
    # No two that stay are duplicates of each other.
    if rules.duplicate_rejection:
        kept = accepted()
        centre, extent = proposals.where.split(2, -1)
        # In boxes of the stronger; a box reaches to both sides of its centre by its extent.
        away = (centre[:, :, None] - centre[:, None]) / (2 * extent[:, None])
        weaker = proposals.presence[:, :, None] < proposals.presence[:, None]
        inside = away.square().sum(-1) < (rules.duplicate_radius - 1e-4) ** 2
        assert not (inside & weaker & kept[:, :, None] & kept[:, None]).any()
    # No canvas and nothing tracked: only duplicates are left out.
    free = accept(proposals, None, rules.model_copy(update={"duplicate_rejection": False}), SIZE)
    assert free.all()
