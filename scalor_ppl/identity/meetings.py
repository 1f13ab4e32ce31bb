"""Who met whom, and when: what happens to tracks where objects touch, as events."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

_MEET = 1.0  # mean sides between centres, below which two objects meet
_PART = 1.2  # and above which they have parted

KINDS = {
    "meet": "the two touch from this frame on",
    "part": "they do so no more",
    "merge": "the first goes out of sight beside the other",
    "split": "the first comes into sight beside the other",
    "join": "a track goes on after a gap; the other is the number that the piece would have had",
    "switch": "what was called by the other number is called by the first from this frame on",
}
"""The kinds of events."""


class Event(NamedTuple):
    """Something that happened to a track.

    Attributes:
        kind: one of `KINDS`.
        frame: number of the frame in the video, from 0.
        identity: whose track.
        other: identity of the other one; -1 where there is none.
        probability: of a join that both pieces are one object; of a switch not known (NaN); of the
            others that both objects are there.
    """

    kind: str
    frame: int
    identity: int
    other: int
    probability: float


class SeenObject(NamedTuple):
    """An object in a frame.

    Attributes:
        identity: of the track.
        tracker: number of the tracker that follows it.
        place: centre, x and y.
        sides: width and height, in the unit of places.
        confidence: that it is there, 0..1.
    """

    identity: int
    tracker: int
    place: tuple[float, float]
    sides: tuple[float, float]
    confidence: float


@dataclass
class Meetings:
    """Events of one video, frame by frame."""

    before: list[SeenObject] | None = None
    near: set[tuple[int, int]] = field(default_factory=set)  # pairs that touch, the smaller first

    def step(self, frame: int, seen: list[SeenObject]) -> list[Event]:
        """Go on by a frame.

        Args:
            frame: its number.
            seen: the objects in it, no two of one identity.
        """
        events: list[Event] = []
        apart = _apart(seen)
        if self.before is not None:
            events += self._switches(frame, seen)
            events += self._merges(frame, seen)
            events += self._splits(frame, seen, apart)
        present = {each.identity for each in seen}
        self.near = {pair for pair in self.near if present.issuperset(pair)}
        for one, other in np.argwhere(np.triu(apart < _PART, 1)):
            pair = _pair(seen[one].identity, seen[other].identity)
            if apart[one, other] < _MEET and pair not in self.near:
                self.near.add(pair)
                if not {seen[one].identity, seen[other].identity} & self._came(seen):
                    events.append(_event("meet", frame, seen[one], seen[other]))
        row = {each.identity: n for n, each in enumerate(seen)}
        for pair in sorted(self.near):
            one, other = row[pair[0]], row[pair[1]]
            if apart[one, other] > _PART:
                self.near.discard(pair)
                events.append(_event("part", frame, seen[one], seen[other]))
        self.before = seen
        return events

    def _came(self, seen: list[SeenObject]) -> set[int]:
        """Who was not there in the frame before; in the first nobody comes."""
        if self.before is None:
            return set()
        return {each.identity for each in seen} - {each.identity for each in self.before}

    def _switches(self, frame: int, seen: list[SeenObject]) -> list[Event]:
        """Trackers that were called otherwise."""
        called = {each.tracker: each.identity for each in self.before or []}
        return [
            Event("switch", frame, each.identity, called[each.tracker], float("nan"))
            for each in seen
            if called.get(each.tracker, each.identity) != each.identity
        ]

    def _merges(self, frame: int, seen: list[SeenObject]) -> list[Event]:
        """Who is there no more, and was beside somebody."""
        before = self.before or []
        present = {each.identity: each for each in seen}
        apart = _apart(before)
        events = []
        for row, gone in enumerate(before):
            if gone.identity in present:
                continue
            for other in np.argsort(apart[row]).tolist():
                if apart[row, other] >= _PART:
                    break
                if before[other].identity in present:
                    events.append(_event("merge", frame, gone, present[before[other].identity]))
                    break
        return events

    def _splits(self, frame: int, seen: list[SeenObject], apart: np.ndarray) -> list[Event]:
        """Who was not there, and is beside somebody who was."""
        came = self._came(seen)
        events = []
        for row, each in enumerate(seen):
            if each.identity not in came:
                continue
            for other in np.argsort(apart[row]).tolist():
                if apart[row, other] >= _PART:
                    break
                if seen[other].identity not in came:
                    events.append(_event("split", frame, each, seen[other]))
                    break
        return events

    def to_state(self) -> dict[str, Any]:
        """Plain numbers and lists."""
        before = None if self.before is None else [list(each) for each in self.before]
        return {"before": before, "near": sorted(list(pair) for pair in self.near)}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Meetings":
        """The inverse of `to_state`."""
        before = state["before"]
        return cls(
            None if before is None else [SeenObject(*each) for each in before],
            {(one, other) for one, other in state["near"]},
        )


def _apart(seen: list[SeenObject]) -> np.ndarray:
    """[n, n] distances of the centres in mean sides; infinite of each to itself."""
    places = np.array([each.place for each in seen], float).reshape(-1, 2)
    sides = np.array([each.sides for each in seen], float).reshape(-1, 2)
    between = np.maximum((sides[:, None] + sides) / 2, 1e-9)
    distance = np.sqrt(np.square((places[:, None] - places) / between).sum(-1))
    np.fill_diagonal(distance, np.inf)
    return distance


def _pair(one: int, other: int) -> tuple[int, int]:
    return min(one, other), max(one, other)


def _event(kind: str, frame: int, one: SeenObject, other: SeenObject) -> Event:
    return Event(kind, frame, one.identity, other.identity, one.confidence * other.confidence)
