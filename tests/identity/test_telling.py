"""Whether looks tell objects apart, and what follows for identities and joins."""

from __future__ import annotations

import json

import numpy as np
import pytest

from scalor_ppl.identity import Gaps, Identities, Sight, Telling

SIDE = 10.0


def sights(
    spread: float, objects: int = 24, frames: int = 60, *, swap: bool = False
) -> list[Sight]:
    """Objects in a row whose grey differs by a spread; light on each drifts by about .03.

    Each two meet at half time. With a swap the first two differ, and then the one's tracker goes on
    with the other.
    """
    rng, apart = np.random.default_rng(0), 30.0
    grey = 0.5 + spread * rng.normal(size=objects)
    if swap:
        grey[:2] = 0.2, 0.8
    light = np.zeros((frames, objects))
    for t in range(1, frames):  # of memory ten frames
        light[t] = 0.9 * light[t - 1] + 0.013 * rng.normal(size=objects)
    seen = (grey + light)[..., None] + 0.005 * rng.normal(size=(frames, objects, 3))
    if swap:
        seen[frames // 2 :, :2] = seen[frames // 2 :, 1::-1]
    closing = np.clip(np.abs(np.arange(frames) - frames // 2) - 5, 0, None)
    way = np.minimum(closing, apart / 2)
    side = np.where(np.arange(objects) % 2, 1.0, -1.0)
    middles = 3 * apart * (np.arange(objects) // 2)
    found = []
    for t in range(frames):
        x = middles + side * (way[t] + 0.2 * SIDE)
        places = np.stack((x, np.full(objects, 50.0)), axis=1)
        sides = np.full((objects, 2), SIDE)
        found.append(Sight(np.arange(objects), places, sides, seen[t]))
    return found


def told(seen: list[Sight]) -> Telling:
    telling = Telling()
    for t, each in enumerate(seen):
        telling.step(each, seen[t + 1 : t + 17])
    return telling


def test_objects_that_differ_are_named_by_their_looks() -> None:
    telling = told(sights(2.0))
    assert telling.useful
    assert telling.objects == 24
    assert telling.named >= 18  # a few have a neighbour in grey
    assert telling.words == f"looks name {telling.named} of 24 objects: identities go by them, too"


def test_objects_that_look_alike_are_not() -> None:
    telling = told(sights(0.01))
    assert not telling.useful
    assert telling.objects == 24
    assert telling.named < 8
    assert telling.words.endswith(f"{telling.named} of 24 objects: identities go by motion alone")


@pytest.mark.parametrize("objects", [0, 1])
def test_nobody_to_be_taken_for(objects: int) -> None:
    telling = told(sights(0.0, objects))
    assert telling.useful
    assert telling.words == ""


def test_a_short_clip_tells_nothing() -> None:
    assert told(sights(0.0)[:10]).words == ""


def test_the_first_frames_are_judged_by_those_that_follow() -> None:
    seen, telling = sights(0.0), Telling()
    telling.step(seen[0], seen[1:17])
    assert not telling.useful


@pytest.mark.parametrize(("spread", "always"), [(2.0, False), (0.01, False), (0.01, True)])
def test_objects_are_exchanged_where_looks_tell(
    spread: float, always: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if always:
        monkeypatch.setattr(Telling, "useful", True)
    seen, identities = sights(spread, swap=True), Identities(3)
    for t, each in enumerate(seen):
        ids = identities.step(each, seen[t + 1 : t + 17])
    exchanged = spread > 1 or always
    assert ids.tolist() == [*((1, 0) if exchanged else (0, 1)), *range(2, 24)]


def test_looks_of_alike_objects_do_not_weigh_in_joins() -> None:
    for spread, weighs in ((0.01, False), (2.0, True)):
        gaps = Gaps((100, 1200), 3)
        for t, each in enumerate(seen := sights(spread)):
            gaps.step(each, seen[t + 1 : t + 17])
        piece = gaps._piece(0, 0, seen[-16:])
        odds = gaps._looks(list(gaps.lives), [piece])
        assert bool(odds.any()) == weighs


def test_a_break_changes_nothing() -> None:
    seen, telling = sights(0.01), Telling()
    for t, each in enumerate(seen):
        if t in (5, 29):
            stored = telling.to_state()
            json.dumps(stored["sums"])  # plain
            telling = Telling.from_state(stored)
        telling.step(each, seen[t + 1 : t + 17])
    whole = told(seen)
    assert (telling.named, telling.sums) == (whole.named, whole.sums)
    assert telling.words == whole.words
