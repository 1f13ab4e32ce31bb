"""Events of tracks that touch."""

from __future__ import annotations

import math

from scalor_ppl.identity import Event, Meetings, SeenObject


def seen(**where: tuple[int, float]) -> list[SeenObject]:
    """Objects of side 10 on a line, by tracker: identity and place."""
    return [
        SeenObject(identity, int(tracker[1:]), (place, 50.0), (10.0, 10.0), 0.9)
        for tracker, (identity, place) in where.items()
    ]


def events(*frames: list[SeenObject]) -> list[Event]:
    """All events; the state is stored and loaded in every frame."""
    meetings, found = Meetings(), []
    for frame, objects in enumerate(frames):
        found += meetings.step(frame, objects)
        meetings = Meetings.from_state(meetings.to_state())
    return found


def test_two_meet_and_part() -> None:
    found = events(*(seen(t0=(0, place), t1=(1, 50)) for place in (30, 41, 44, 61, 61.5, 63, 90)))
    assert [(e.kind, e.frame, e.identity, e.other) for e in found] == [
        ("meet", 1, 0, 1),
        ("part", 5, 0, 1),
    ]
    assert math.isclose(found[0].probability, 0.81)


def test_who_is_covered_merges_and_splits() -> None:
    found = events(
        seen(t0=(0, 30), t1=(1, 50), t2=(2, 90)),
        seen(t0=(0, 45), t1=(1, 50), t2=(2, 90)),
        seen(t1=(1, 50), t2=(2, 90)),
        seen(t1=(1, 50), t2=(2, 90), t5=(0, 58)),
        seen(t1=(1, 50), t2=(2, 90), t5=(0, 70)),
    )
    assert [(e.kind, e.frame, e.identity, e.other) for e in found] == [
        ("meet", 1, 0, 1),
        ("merge", 2, 0, 1),
        ("split", 3, 0, 1),
        ("part", 4, 0, 1),
    ]


def test_who_goes_or_comes_alone_has_met_nobody() -> None:
    assert (
        events(seen(t0=(0, 10), t1=(1, 50)), seen(t1=(1, 50)), seen(t1=(1, 50), t2=(2, 90))) == []
    )


def test_a_tracker_with_another_number_is_told() -> None:
    found = events(seen(t0=(0, 10), t1=(1, 50)), seen(t0=(1, 10), t1=(0, 50)))
    assert [(e.kind, e.frame, e.identity, e.other) for e in found] == [
        ("switch", 1, 1, 0),
        ("switch", 1, 0, 1),
    ]
    assert all(math.isnan(e.probability) for e in found)


def test_nobody_there() -> None:
    assert events([], [], seen(t0=(0, 1))) == []
