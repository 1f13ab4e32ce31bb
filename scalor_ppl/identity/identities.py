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
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from scalor_ppl.identity.telling import Telling

AHEAD = 16
"""Frames after the one at hand, whose looks decide with it."""

_MEMORY = 60  # frames that a lost object, or a meeting, is remembered
_ALONE = 1.0  # mean sides to the next object, from which an object is seen without it
_MEETING = 1.2  # likewise, below which two have met
_LEAST = 3  # looks of an object alone, below which nothing is said of it
_WINDOW = 30  # looks that the mean of an identity goes back, about
_TEMPER = 0.5  # of the log-odds: the parts' colours are not independent
_STAY = 6.0  # log-odds that a tracker that goes on is on the object that it was on
_NEW = 1.0  # log-odds that what is found where another was lost is not that one
_REACH = 0.5  # own sides that a lost object may have gone at once
_SPEED = 2.0  # and typical steps in each frame since
_SPREAD = 0.02  # standard deviation of looks before any is known, 0..1
_LONGEST = 3000.0  # looks that the covariances go back, about
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
        mean: [D] of its looks while it was alone.
        count: how many they were.
        met: frame of the last meeting, by identity.
        seen: the last frame.
        place: [2] there.
        sides: [2] there.
    """

    mean: np.ndarray
    place: np.ndarray
    sides: np.ndarray
    seen: int
    count: int = 0
    met: dict[int, int] = field(default_factory=dict)

    @property
    def told(self) -> bool:
        """Whether its looks are known well enough to be compared."""
        return self.count >= _LEAST


class Spread:
    """How looks vary: of one object over time, and over all objects."""

    def __init__(self, dimensions: int) -> None:
        self.within = np.full(dimensions, _SPREAD**2)
        self.mean = np.zeros(dimensions)
        self.square = np.zeros(dimensions)
        self.counts = [1.0, 0.0]  # looks that `within` is of, and those that all is of

    def learn(self, look: np.ndarray, mean: np.ndarray, count: int) -> None:
        """Learn from a look of an object, of which so many had that mean before."""
        if count:
            deviation = np.square(look - mean) * count / (count + 1)
            self.counts[0] = min(self.counts[0] + 1, _LONGEST)
            self.within += (deviation - self.within) / self.counts[0]
        self.counts[1] = min(self.counts[1] + 1, _LONGEST)
        self.mean += (look - self.mean) / self.counts[1]
        self.square += (np.square(look) - self.square) / self.counts[1]

    def log_odds(self, looks: np.ndarray, means: np.ndarray) -> np.ndarray:
        """[n, m]: that looks [n, D] are of the objects with means [m, D], against any other's."""
        total = np.maximum(self.square - np.square(self.mean), 0)
        within = np.maximum(self.within, 1e-8)
        between = np.maximum(total - within, 0.1 * within)
        # Frames side by side tell little more than one of them: means count as single looks.
        same, other = 2 * within, 2 * within + 2 * between
        away = np.square(looks[:, None] - means)
        terms = np.log(other / same) - away * (1 / same - 1 / other)
        return _TEMPER / 2 * terms.sum(-1)

    def to_state(self) -> dict[str, Any]:
        """Plain numbers and lists."""
        return {name: _plain(value) for name, value in vars(self).items()}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Spread":
        """The inverse of `to_state`."""
        made = cls(len(state["mean"]))
        for name, value in state.items():
            setattr(made, name, list(value) if name == "counts" else np.array(value))
        return made


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
        self.spread = Spread(dimensions)
        self.telling = Telling()

    def step(self, sight: Sight, ahead: list[Sight]) -> np.ndarray:
        """Go on by a frame.

        Args:
            sight: of the frame.
            ahead: of the frames after it; `AHEAD` of them, or those that are left.

        Returns:
            [n] int64, the identities of the frame's trackers, no two alike.
        """
        self.frame += 1
        self._forget(sight)
        self._greet(sight)
        self.telling.step(sight, ahead)
        if self.telling.useful:
            self._recognise(sight, ahead)
        for row, tracker in enumerate(sight.ids.tolist()):
            self._learn(self.known[self.carried[tracker]], sight, row)
        return np.array([self.carried[tracker] for tracker in sight.ids.tolist()], np.int64)

    def _forget(self, sight: Sight) -> None:
        """Trackers that are gone, and identities that nobody can be recognised as any more."""
        living = set(sight.ids.tolist())
        self.carried = {t: identity for t, identity in self.carried.items() if t in living}
        carried = set(self.carried.values())
        since = self.frame - _MEMORY
        self.known = {
            identity: known
            for identity, known in self.known.items()
            if identity in carried or (known.told and known.seen >= since)
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
                mean = np.zeros(sight.looks.shape[1])
                self.known[tracker] = Known(mean, sight.places[row], sight.sides[row], self.frame)
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
        means = np.stack([each.mean for each in known])
        odds = self.spread.log_odds(np.stack(looks), means)
        score = np.full(odds.shape, _NEVER)
        for line, others in enumerate(choices):
            for column, identity in enumerate(free):
                if identity == own[line]:
                    stays = odds[line, column] + _STAY
                    score[line, column] = stays if known[column].told else _NEW
                elif identity in others:
                    score[line, column] = odds[line, column] if known[column].told else 0.0
        lines, columns = linear_sum_assignment(score, maximize=True)
        for line, column in zip(lines, columns, strict=True):
            self.carried[trackers[line]] = free[column]

    def _candidates(self, own: int, sight: Sight, row: int, lost: list[int]) -> set[int]:
        """Identities other than its own that a tracker could have."""
        known = self.known[own]
        found = set(known.met)
        if not known.told:
            for identity in lost:
                other = self.known[identity]
                away = (sight.places[row] - other.place) / other.sides
                reach = _REACH + _SPEED * self.speed * (self.frame - other.seen)
                if np.square(away).sum() < reach**2:
                    # It may be the lost one; or the one whose tracker follows the lost one now.
                    found |= {identity, *other.met}
        return found

    def _learn(self, known: Known, sight: Sight, row: int) -> None:
        """What an identity's tracker shows of it."""
        if known.seen == self.frame - 1:
            self.moved = min(self.moved + 1, _LONGEST)
            step = np.linalg.norm((sight.places[row] - known.place) / known.sides)
            self.speed += (float(step) - self.speed) / self.moved
        known.seen, known.place, known.sides = self.frame, sight.places[row], sight.sides[row]
        look = sight.alone[int(sight.ids[row])]
        if look is not None:
            self.spread.learn(look, known.mean, known.count)
            known.count += 1
            known.mean = known.mean + (look - known.mean) / min(known.count, _WINDOW)

    # ------------------------------------------------------------------ to go on after a break

    def to_state(self) -> dict[str, Any]:
        """Plain numbers and lists."""
        return {
            "frame": self.frame,
            "speed": self.speed,
            "moved": self.moved,
            "carried": dict(self.carried),
            "known": {
                identity: {name: _plain(value) for name, value in vars(known).items()}
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
        for identity, stored in state["known"].items():
            arrays = {name: np.array(stored[name]) for name in ("mean", "place", "sides")}
            made.known[identity] = Known(**stored | arrays | {"met": dict(stored["met"])})
        made.spread = Spread.from_state(state["spread"])
        made.telling = Telling.from_state(state["telling"])
        return made


def looks_ahead(tracker: int, sights: list[Sight]) -> np.ndarray | None:
    """[D] mean look of a tracker from a frame on, alone; none where it is seen so too seldom."""
    looks = []
    for sight in sights:
        if tracker not in sight.alone:
            break
        look = sight.alone[tracker]
        if look is not None:
            looks.append(look)
    return np.mean(looks, 0) if len(looks) >= _LEAST else None


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value
