"""Objects that cross and hide, with the truth about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalor_ppl.identity import Sight
from scalor_ppl.identity.gaps import Gaps, Join


@dataclass(frozen=True)
class Hiding:
    """A simulated video.

    Attributes:
        sights: of each frame; whoever comes out again has a number of its own.
        object_of: true object by number.
    """

    sights: list[Sight]
    object_of: dict[int, int]


def simulate(
    seed: int,
    *,
    frames: int = 400,
    objects: int = 14,
    size: float = 200.0,
    side: float = 12.0,
    persistence: float = 0.95,
    speed: float = 1.5,
    noise: float = 0.3,
    hidden: float = 0.02,
    longest: int = 25,
    gone: float = 0.15,
    alike: bool = True,
) -> Hiding:
    """Objects whose velocity is an Ornstein-Uhlenbeck process, in a view that they leave.

    Each is hidden now and then, for up to ``longest`` frames, and never comes out of it as often as
    ``gone`` says; as many come in anew as were lost, half of them at the edge.

    Args:
        seed: of everything.
        frames: T.
        objects: in view, about.
        size: of the view in pixels.
        side: of the objects.
        persistence: of the velocity from frame to frame.
        speed: its standard deviation, pixels a frame.
        noise: standard deviation of a place as it is seen.
        hidden: chance a frame to hide.
        longest: frames.
        gone: share of the hidden that do not come out.
        alike: all look the same; else each has its own looks.
    """
    rng = np.random.default_rng(seed)
    places: list[np.ndarray] = []
    speeds: list[np.ndarray] = []
    looks: list[np.ndarray] = []
    until: list[int] = []  # frame from which an object is seen again; -1: it is gone
    numbers: list[int] = []
    object_of: dict[int, int] = {}

    def enter(edge: bool) -> None:
        place = rng.uniform(0, size, 2)
        velocity = rng.normal(0, speed, 2)
        if edge:
            axis, far = int(rng.integers(2)), bool(rng.integers(2))
            place[axis] = size if far else 0
            velocity[axis] = abs(velocity[axis]) * (-1 if far else 1)
        places.append(place)
        speeds.append(velocity)
        until.append(0)
        looks.append(rng.normal(0.5, 0 if alike else 0.15, 6))
        number(len(places) - 1)

    def number(n: int) -> None:
        fresh = len(object_of)
        object_of[fresh] = n
        if n == len(numbers):
            numbers.append(fresh)
        else:
            numbers[n] = fresh

    for _ in range(objects):
        enter(edge=False)
    sights = []
    for t in range(frames):
        rows = []
        for n in range(len(places)):
            if until[n] < 0:
                continue
            speeds[n] = persistence * speeds[n] + rng.normal(0, speed, 2) * np.sqrt(
                1 - persistence**2
            )
            places[n] = places[n] + speeds[n]
            if ((places[n] < -side / 2) | (places[n] > size + side / 2)).any():
                until[n] = -1
                enter(edge=True)
            elif until[n] > t:
                continue
            elif until[n] == t and t:
                number(n)
            elif rng.uniform() < hidden:
                until[n] = -1 if rng.uniform() < gone else t + int(rng.integers(1, longest + 1))
                if until[n] < 0:
                    enter(edge=bool(rng.integers(2)))
                continue
            if until[n] >= 0:
                rows.append(n)
        rows.sort(key=lambda n: numbers[n])
        sights.append(
            Sight(
                np.array([numbers[n] for n in rows], np.int64),
                np.array([places[n] for n in rows]).reshape(-1, 2)
                + rng.normal(0, noise, (len(rows), 2)),
                np.full((len(rows), 2), side),
                np.array([looks[n] for n in rows]).reshape(-1, 6)
                + rng.normal(0, 0.02, (len(rows), 6)),
            )
        )
    return Hiding(sights, object_of)


def joined(hiding: Hiding, ahead: int = 16) -> tuple[list[np.ndarray], list[tuple[int, Join]]]:
    """Identities of every frame, and the joins with their frames."""
    sights = hiding.sights
    gaps = Gaps((200, 200), sights[0].looks.shape[1])
    identities: list[np.ndarray] = []
    joins: list[tuple[int, Join]] = []
    for t, sight in enumerate(sights):
        known, found = gaps.step(sight, sights[t + 1 : t + 1 + ahead])
        identities.append(known)
        joins += [(t, join) for join in found]
    return identities, joins


def judged(hiding: Hiding) -> tuple[np.ndarray, np.ndarray, int]:
    """Probabilities of the joins, whether they are true, and how many there were to be made."""
    identities, joins = joined(hiding)
    last: dict[int, int] = {}  # true object of an identity, when it was last seen
    said, true = [], []
    by_frame: dict[int, list[Join]] = {}
    for t, join in joins:
        by_frame.setdefault(t, []).append(join)
    for t, (sight, known) in enumerate(zip(hiding.sights, identities, strict=True)):
        for join in by_frame.get(t, []):
            said.append(join.probability)
            true.append(last[join.identity] == hiding.object_of[join.own])
        for own, identity in zip(sight.ids.tolist(), known.tolist(), strict=True):
            last[identity] = hiding.object_of[own]
    there = len(hiding.object_of) - len(set(hiding.object_of.values()))
    return np.array(said), np.array(true), there
