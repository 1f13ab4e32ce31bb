"""Who is who after objects have covered each other: identities with a memory of their looks.

A tracker follows what is where it expects its object. Where two objects meet, one of the trackers
is lost as a rule, and the other goes on with either of them; when they part, what comes out anew
gets a number of its own. Nothing in the bound of a few frames tells whose number was whose. So each
identity remembers what its object looked like while it stood alone, and whom it has met; when
looks contradict a number, and agree with that of one who was met or lost there, numbers move. Where
looks do not tell the objects of a video apart (`Telling`), they do not.

Looks are vectors, taken as normal about the identity's mean, and means as normal about the mean of
all, both with a diagonal covariance that is learned on the way. That two looks are of one object
and not of two then has a log-odds (the score of probabilistic linear discriminant analysis, Ioffe
2006), and numbers are assigned to trackers so that their sum is largest.

A tracker is nobody until a second frame confirms it (track confirmation, Bar-Shalom and Li 1995,
with the least that can be asked): else the program took back what it had found. Those of the first
frame may have been there before, those of the last may go on.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from scalor_ppl.identity.spread import LEAST, LookHistory, Spread
from scalor_ppl.identity.telling import Telling
from scalor_ppl.tracks.table import EMPTY

AHEAD = 16
"""Frames after the one at hand, whose looks decide with it."""

_MEMORY = 60  # frames that a lost object, or a meeting, is remembered
_ALONE = 1.0  # mean sides to the next object, from which an object is seen without it
_MEETING = 1.2  # likewise, below which two have met
_ON_ONE = 0.5  # mean sides, below which two trackers are on one object
_STAY = 4.0  # log-odds that a tracker that goes on is on the object that it was on
_NEW = 1.0  # log-odds that what is found where another was lost is not that one
_REACH = 0.5  # own sides that a lost object may have gone at once
_SPEED = 2.0  # and typical steps in each frame since
_LONGEST = 3000.0  # steps that their mean goes back, about
_EVERY = 4  # frames between two that are compared with what was before
_NEVER = -1e6


@dataclass(frozen=True)
class Sight:
    """The trackers that are alive in a frame.

    Attributes:
        ids: [n] int64, the trackers' numbers.
        places: [n, 2] centres, in any unit of length.
        sides: [n, 2] widths and heights.
        looks: [n, D].
    """

    ids: np.ndarray
    places: np.ndarray
    sides: np.ndarray
    looks: np.ndarray

    def of(self, chosen: np.ndarray) -> "Sight":
        """Some of the trackers, by bool [n]."""
        if chosen.all():
            return self
        return Sight(*(each[chosen] for each in (self.ids, self.places, self.sides, self.looks)))

    @cached_property
    def apart(self) -> np.ndarray:
        """[n, n] distances of the centres in mean sides; infinite of each to itself."""
        between = (self.sides[:, None] + self.sides) / 2
        away = (self.places[:, None] - self.places) / between
        distance = np.sqrt(np.square(away).sum(-1))
        np.fill_diagonal(distance, np.inf)
        return distance

    @cached_property
    def alone(self) -> dict[int, np.ndarray | None]:
        """By tracker, its look; none while another one is near."""
        near = np.asarray((self.apart < _ALONE).any(1))
        return {
            tracker: None if near[row] else self.looks[row]
            for row, tracker in enumerate(self.ids.tolist())
        }


@dataclass
class Known:
    """What is remembered of an identity.

    Attributes:
        history: what it looked like.
        met: frame of the last meeting, by identity.
        seen: the last frame.
        place: [2] there.
        sides: [2] there.
    """

    place: np.ndarray
    sides: np.ndarray
    seen: int
    history: LookHistory = field(default_factory=LookHistory)
    met: dict[int, int] = field(default_factory=dict)


class Identities:
    """Identities of the trackers of one video, frame by frame.

    An identity is the number of the first tracker that had it; so where nothing is recognised,
    numbers are the trackers' own.

    Args:
        dimensions: D, of the looks.
    """

    def __init__(self, dimensions: int) -> None:
        self.frame = -1
        self.carried: dict[int, int] = {}  # identity by tracker
        self.known: dict[int, Known] = {}  # of the living and the lost
        self.speed = 0.0  # mean step of the objects, in own sides
        self.moved = 0.0  # steps that it is of
        self.doubled: set[int] = set()  # trackers beside which one went that was on the same object
        self.spread = Spread(dimensions)
        self.telling = Telling()

    def step(self, sight: Sight, ahead: list[Sight]) -> np.ndarray:
        """Go on by a frame.

        Args:
            sight: of the frame.
            ahead: of the frames after it; `AHEAD` of them, or those that are left.

        Returns:
            [n] int64, the identities of the frame's trackers, no two alike; `EMPTY` of one that
            neither the frame before has nor the next.
        """
        self.frame += 1
        confirmed = self._confirmed(sight, ahead)
        sight, all_of_them = sight.of(confirmed), sight
        self._forget(sight)
        self._greet(sight)
        self.telling.step(sight, ahead)
        if self.telling.useful:
            self._recognise(sight, ahead)
        for row, tracker in enumerate(sight.ids.tolist()):
            self._learn(tracker, sight, ahead, row)
        found = np.full(len(all_of_them.ids), EMPTY)
        found[confirmed] = [self.carried[tracker] for tracker in sight.ids.tolist()]
        return found

    def _confirmed(self, sight: Sight, ahead: list[Sight]) -> np.ndarray:
        """[n] bool: which trackers were there in the frame before, or are in the next."""
        if self.frame == 0 or not ahead:
            return np.ones(len(sight.ids), dtype=bool)
        known = np.isin(sight.ids, list(self.carried))
        confirmed: np.ndarray = known | np.isin(sight.ids, ahead[0].ids)
        return confirmed

    def _forget(self, sight: Sight) -> None:
        """Trackers that are gone, and identities that nobody can be recognised as any more."""
        living = set(sight.ids.tolist())
        gone = [identity for tracker, identity in self.carried.items() if tracker not in living]
        self.carried = {t: identity for t, identity in self.carried.items() if t in living}
        self.doubled = {tracker for tracker in self.doubled if tracker in living}
        for tracker, identity in self.carried.items():
            if any(_on_one(self.known[identity], self.known[other]) for other in gone):
                self.doubled.add(tracker)
        carried = set(self.carried.values())
        since = self.frame - _MEMORY
        self.known = {
            identity: known
            for identity, known in self.known.items()
            if identity in carried or (known.history.told and known.seen >= since)
        }
        for known in self.known.values():
            known.met = {
                other: frame
                for other, frame in known.met.items()
                if frame >= since and other in self.known
            }

    def _greet(self, sight: Sight) -> None:
        """New trackers, and who is beside whom."""
        for row, tracker in enumerate(sight.ids.tolist()):
            if tracker not in self.carried:
                self.carried[tracker] = tracker
                self.known[tracker] = Known(sight.places[row], sight.sides[row], self.frame)
        for one, other in np.argwhere(sight.apart < _MEETING):
            mine, yours = (self.carried[int(sight.ids[row])] for row in (one, other))
            self.known[mine].met[yours] = self.frame

    def _recognise(self, sight: Sight, ahead: list[Sight]) -> None:
        """Give numbers to trackers whose looks are known, where there is a choice."""
        carried = set(self.carried.values())
        lost = [identity for identity in self.known if identity not in carried]
        asked = {
            tracker: others
            for row, tracker in enumerate(sight.ids.tolist())
            if (others := self._candidates(self.carried[tracker], sight, row, lost))
        }
        looks, choices, trackers = [], [], []
        for tracker, others in asked.items():
            look = looks_ahead(tracker, [sight, *ahead])
            if look is not None:
                looks.append(look)
                choices.append(others)
                trackers.append(tracker)
        if not trackers:
            return
        own = [self.carried[tracker] for tracker in trackers]
        # Nobody's number but those of trackers that are asked, and of the lost, can be given.
        free = own + lost
        known = [self.known[identity] for identity in free]
        nobody = np.zeros(sight.looks.shape[1])  # of whom nothing is known: not compared
        means = np.stack([h.mean if (h := each.history).told else nobody for each in known])
        odds = self.spread.log_odds(np.stack(looks), means)
        score = np.full(odds.shape, _NEVER)
        # Of two trackers on one object either may have gone over to it from its own.
        rights = [0.0 if tracker in self.doubled else _STAY for tracker in trackers]
        self.doubled.difference_update(trackers)
        for line, others in enumerate(choices):
            for column, identity in enumerate(free):
                if identity == own[line]:
                    stays = odds[line, column] + rights[line]
                    score[line, column] = stays if known[column].history.told else _NEW
                elif identity in others:
                    score[line, column] = odds[line, column] if known[column].history.told else 0.0
        lines, columns = linear_sum_assignment(score, maximize=True)
        for line, column in zip(lines, columns, strict=True):
            self.carried[trackers[line]] = free[column]

    def _candidates(self, own: int, sight: Sight, row: int, lost: list[int]) -> set[int]:
        """Identities other than its own that a tracker could have."""
        known = self.known[own]
        gone = set(lost)
        near = {each for each in lost if self._within_reach(self.known[each], sight, row)}
        found = {each for each in known.met if each not in gone or each in near}
        if not known.history.told:
            # It may be a lost one; or the one whose tracker follows the lost one now.
            found = found.union(near, *(self.known[each].met for each in near))
        return found

    def _within_reach(self, other: Known, sight: Sight, row: int) -> bool:
        """Whether a lost object may have come to the place of a tracker."""
        away = (sight.places[row] - other.place) / other.sides
        reach = _REACH + _SPEED * self.speed * (self.frame - other.seen)
        return bool(np.square(away).sum() < reach**2)

    def _learn(self, tracker: int, sight: Sight, ahead: list[Sight], row: int) -> None:
        """What a tracker shows of the identity that it has."""
        known = self.known[self.carried[tracker]]
        if known.seen == self.frame - 1:
            self.moved = min(self.moved + 1, _LONGEST)
            step = np.linalg.norm((sight.places[row] - known.place) / known.sides)
            self.speed += (float(step) - self.speed) / self.moved
        known.seen, known.place, known.sides = self.frame, sight.places[row], sight.sides[row]
        if (self.frame + tracker) % _EVERY == 0:
            coming = looks_ahead(tracker, [sight, *ahead])
            if coming is not None:
                self.spread.learn_change(known.history, coming)
        look = sight.alone[tracker]
        if look is not None:
            self.spread.learn(look)
            known.history.add(look)

    # ------------------------------------------------------------------ to go on after a break

    def to_state(self) -> dict[str, Any]:
        """Plain numbers and lists."""
        return {
            "frame": self.frame,
            "speed": self.speed,
            "moved": self.moved,
            "carried": dict(self.carried),
            "doubled": sorted(self.doubled),
            "known": {
                identity: {name: _plain(value) for name, value in vars(known).items()}
                | {"history": [look.tolist() for look in known.history.looks]}
                for identity, known in self.known.items()
            },
            "spread": self.spread.to_state(),
            "telling": self.telling.to_state(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Identities":
        """The inverse of `to_state`."""
        made = cls(len(state["spread"]["mean"]))
        made.frame, made.speed, made.moved = (state[name] for name in ("frame", "speed", "moved"))
        made.carried = dict(state["carried"])
        made.doubled = set(state["doubled"])
        for identity, stored in state["known"].items():
            arrays = {name: np.array(stored[name]) for name in ("place", "sides")}
            history = LookHistory([np.array(look) for look in stored["history"]])
            rest = {"history": history, "met": dict(stored["met"])}
            made.known[identity] = Known(**stored | arrays | rest)
        made.spread = Spread.from_state(state["spread"])
        made.telling = Telling.from_state(state["telling"])
        return made


def _on_one(one: Known, other: Known) -> bool:
    """Whether two were on one object when they were last seen, in one frame."""
    away = (one.place - other.place) / ((one.sides + other.sides) / 2)
    return one.seen == other.seen and bool(np.square(away).sum() < _ON_ONE**2)


def looks_ahead(tracker: int, sights: list[Sight]) -> np.ndarray | None:
    """[D] mean look of a tracker from a frame on, alone; none where it is seen so too seldom."""
    looks = []
    for sight in sights:
        if tracker not in sight.alone:
            break
        look = sight.alone[tracker]
        if look is not None:
            looks.append(look)
    return np.mean(looks, 0) if len(looks) >= LEAST else None


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value
