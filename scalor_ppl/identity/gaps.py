"""Tracks that break where an object is hidden, joined with a probability.

Whoever comes into sight is either new or one of those that were lost. Between the two stand how
often objects come into view at all, there, and how often lost ones come back (`rates`); where an
object would be by now, and how it would move (`motion`); and what it looks like (`Spread`). All of
them are learned from the video's own tracks. Pieces compete: nobody comes back twice, and nobody is
two at once (`association`). The probability of a join is that of all associations that have it.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from scalor_ppl.identity.association import likelier_than_not, marginals
from scalor_ppl.identity.history import IdentityHistory
from scalor_ppl.identity.identities import Sight, looks_ahead
from scalor_ppl.identity.motion import HISTORY, LONGEST, OVER, Motion
from scalor_ppl.identity.rates import Rates
from scalor_ppl.identity.spread import Spread
from scalor_ppl.identity.telling import Telling

_EVERY = 4  # frames between two whose looks are compared with what was before
_MOST = 50.0  # log of the weight of a pair, at most


class Join(NamedTuple):
    """A track that goes on after a gap.

    Attributes:
        identity: of the track.
        own: number of the piece that goes on; the identity's where others than `Gaps` gave it.
        gap: frames from when it was last seen, at least 1.
        probability: that both are one object, 0..1.
    """

    identity: int
    own: int
    gap: int
    probability: float


@dataclass
class _Piece:
    """Who came into sight, in the frame at hand or one after it."""

    own: int
    frame: int
    place: np.ndarray
    side: float
    after: np.ndarray
    look: np.ndarray | None
    identity: int | None = None  # whom others say that it is


@dataclass
class Gaps:
    """Joins of the tracks of one video, frame by frame.

    Args:
        size: height and width of the frames, in the unit of places.
        dimensions: D, of the looks.
    """

    size: tuple[int, int]
    dimensions: int
    frame: int = -1
    newest: int = -1  # largest number that was seen
    side: float = 0.0  # mean of all objects, of late
    names: dict[int, int] = field(default_factory=dict)  # identity by the piece's own number
    lives: dict[int, IdentityHistory] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.motion = Motion()
        self.rates = Rates(self.size)
        self.spread = Spread(self.dimensions)
        self.telling = Telling()

    def step(self, sight: Sight, ahead: list[Sight]) -> tuple[np.ndarray, list[Join]]:
        """Go on by a frame.

        Args:
            sight: of the frame; numbers grow in the order in which they are given.
            ahead: of the frames after it, as many as are known.

        Returns:
            [n] int64, the identities of those in sight, no two alike; and the joins in this frame.
        """
        self.frame += 1
        self._forget()
        self.telling.step(sight, ahead)
        known = self._names(sight)
        joins = self._join(sight, ahead, known)
        self.newest = max([self.newest, *sight.ids.tolist()])
        for row, identity in enumerate(known):
            self._learn(identity, sight, ahead, row)
        return np.array(known, np.int64), joins

    def _forget(self) -> None:
        """Those that will not come back."""
        for identity, life in list(self.lives.items()):
            if self.frame - life.seen > LONGEST:
                self.rates.learn_gone(life.zone)
                del self.lives[identity]
        self.names = {own: name for own, name in self.names.items() if name in self.lives}

    def _names(self, sight: Sight) -> list[int]:
        """Identities by what is known; where two have one, only the likelier keeps it."""
        known = [self.names.get(own, own) for own in sight.ids.tolist()]
        holders: dict[int, int] = {}
        for row, (own, identity) in enumerate(zip(sight.ids.tolist(), known, strict=True)):
            other = holders.setdefault(identity, row)
            if other != row:
                # Somebody else's number came back to its own: the join was a mistake.
                wrong = other if own == identity else row
                holders[identity] = row if wrong == other else other
                number = int(sight.ids[wrong])
                self.names.pop(number, None)
                known[wrong] = number
        return known

    def _join(self, sight: Sight, ahead: list[Sight], known: list[int]) -> list[Join]:
        """Decide who is back; `known` is changed."""
        pieces = self._pieces(sight, ahead, known)
        began = [piece for piece in pieces if piece.frame == self.frame and piece.identity is None]
        joins: list[Join] = []
        new = {piece.own: 1.0 for piece in began}
        if pieces and any(piece.frame == self.frame for piece in pieces):
            here = set(known)
            returned = {p.identity for p in pieces if p.identity is not None}
            lost = [i for i in self.lives if i not in here or i in returned]
            weights, squares = self._weights(lost, pieces)
            sure = marginals(weights)
            # Whom others have named already is not to be had; how sure that is, is told.
            free = weights.copy()
            for column, piece in enumerate(pieces):
                if piece.identity is not None:
                    row = lost.index(piece.identity)
                    free[row], free[:, column] = 0, 0
                    joins.append(
                        self._joined(piece, piece.identity, sure[row, column], squares[row, column])
                    )
            probability = marginals(free)
            own = sight.ids.tolist()
            for row, column in likelier_than_not(probability):
                piece = pieces[column]
                if piece.frame > self.frame:
                    continue  # it comes later, and more will be known by then
                joins.append(
                    self._joined(piece, lost[row], probability[row, column], squares[row, column])
                )
                self.names[piece.own] = lost[row]
                known[own.index(piece.own)] = lost[row]
            for column, piece in enumerate(pieces):
                if piece.own in new:
                    new[piece.own] = float(1 - min(1.0, probability[:, column].sum()))
        if len(known):
            zones = [(self.rates.zone(p.place, p.side), new[p.own]) for p in began]
            self.rates.learn_frame(self.frame, self._side(sight), zones)
        return joins

    def _side(self, sight: Sight) -> float:
        """Mean side of the objects, of late."""
        now = float(np.sqrt(sight.sides.prod(1)).mean())
        self.side = now if self.side == 0 else 0.95 * self.side + 0.05 * now
        return self.side

    def _pieces(self, sight: Sight, ahead: list[Sight], known: list[int]) -> list[_Piece]:
        """Who came into sight in this frame; if anybody, who will in those that follow, too."""
        found = []
        for row, (own, identity) in enumerate(zip(sight.ids.tolist(), known, strict=True)):
            life = self.lives.get(identity)
            if life is None and own > self.newest:
                found.append(self._piece(own, row, [sight, *ahead]))
            elif life is not None and life.seen < self.frame - 1:
                piece = self._piece(own, row, [sight, *ahead])
                piece.identity = identity
                found.append(piece)
        if not found:
            return []
        seen = set(sight.ids.tolist())
        for later, other in enumerate(ahead):
            for row, own in enumerate(other.ids.tolist()):
                if own > self.newest and own not in seen:
                    found.append(self._piece(own, row, ahead[later:], later + 1))
            seen.update(other.ids.tolist())
        return found

    def _piece(self, own: int, row: int, sights: list[Sight], later: int = 0) -> _Piece:
        """Whoever is in a row of the first of some frames."""
        first = sights[0]
        side = float(np.sqrt(first.sides[row].prod()))
        after = np.full(2, np.nan)
        if len(sights) > OVER:
            (there,) = np.nonzero(sights[OVER].ids == own)
            if len(there):
                after = (sights[OVER].places[there[0]] - first.places[row]) / OVER
        look = looks_ahead(own, sights)
        return _Piece(own, self.frame + later, first.places[row], side, after, look)

    def _weights(self, lost: list[int], pieces: list[_Piece]) -> tuple[np.ndarray, np.ndarray]:
        """Odds that a piece is a lost one rather than new, [n, m]; and squares of what is left."""
        weights = np.zeros((len(lost), len(pieces)))
        squares = np.zeros_like(weights)
        lives = [self.lives[identity] for identity in lost]
        gaps = np.array([piece.frame for piece in pieces], int)
        gaps = gaps - np.array([life.seen for life in lives], int)[:, None]
        rows, columns = np.nonzero((gaps > 0) & (gaps <= LONGEST))
        if not len(rows):
            return weights, squares
        log, squares[rows, columns] = self._motion(lives, pieces, rows, columns)
        births = [self.rates.births(self.rates.zone(p.place, p.side)) for p in pieces]
        back = [
            self.rates.returning(lives[row].zone, int(gaps[row, column]))
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        ]
        log += np.log(np.array(back) / np.array(births)[columns])
        log += self._looks(lost, pieces)[rows, columns]
        # A density in square sides, and births in units of area.
        log -= 2 * np.log(np.array([life.side for life in lives])[rows])
        weights[rows, columns] = np.exp(np.clip(log, -_MOST, _MOST))
        return weights, squares

    def _motion(
        self,
        lives: list[IdentityHistory],
        pieces: list[_Piece],
        rows: np.ndarray,
        columns: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """What `Motion.evidence` says of P pairs, whichever end of the lost one it is."""
        ends = [life.ends() for life in lives]
        pairs = [
            (pair, row, column, end)
            for pair, (row, column) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True))
            for end in ends[row]
        ]
        of = np.array([pair for pair, *_ in pairs])
        side = np.array([lives[row].side for _, row, *_ in pairs])[:, None]
        begins = np.stack([pieces[column].place for _, _, column, _ in pairs])
        evidence, square = self.motion.evidence(
            np.array([pieces[column].frame - end.frame for _, _, column, end in pairs]),
            (begins - np.stack([end.place for *_, end in pairs])) / side,
            np.stack([end.velocity for *_, end in pairs]),
            np.stack([pieces[column].after for _, _, column, _ in pairs]) / side,
        )
        log, least = np.full(len(rows), -np.inf), np.full(len(rows), np.inf)
        np.logaddexp.at(log, of, evidence)
        np.minimum.at(least, of, square)
        return log - np.log(np.bincount(of)), least

    def _looks(self, lost: list[int], pieces: list[_Piece]) -> np.ndarray:
        """Log odds of looks [n, m]; 0 where they are not known, or tell nothing."""
        odds = np.zeros((len(lost), len(pieces)))
        if not self.telling.useful:
            return odds
        rows = [n for n, identity in enumerate(lost) if self.lives[identity].history.told]
        looks = [piece.look for piece in pieces if piece.look is not None]
        if rows and looks:
            columns = [n for n, piece in enumerate(pieces) if piece.look is not None]
            means = np.stack([self.lives[lost[row]].history.mean for row in rows])
            odds[np.ix_(rows, columns)] = self.spread.log_odds(np.stack(looks), means).T
        return odds

    def _joined(self, piece: _Piece, identity: int, probability: float, square: float) -> Join:
        """Learn from a join."""
        life = self.lives[identity]
        gap = piece.frame - life.seen
        self.motion.learn_join(float(square), float(probability))
        self.rates.learn_back(life.zone, float(probability), gap)
        return Join(identity, piece.own, gap, float(min(1.0, probability)))

    def _learn(self, identity: int, sight: Sight, ahead: list[Sight], row: int) -> None:
        """What is seen of an identity."""
        place, side = sight.places[row], float(np.sqrt(sight.sides[row].prod()))
        life = self.lives.get(identity)
        if life is None:
            life = self.lives[identity] = IdentityHistory(
                np.empty((0, 2)), self.frame, self.frame, side, 0
            )
        before = life.places[1 - HISTORY :] if life.seen >= self.frame - 1 else life.places[:0]
        life.places = np.concatenate((before, place[None]))
        life.side = 0.8 * life.side + 0.2 * side
        life.seen, life.zone = self.frame, self.rates.zone(place, side)
        # Frames side by side tell much the same.
        if (self.frame + identity) % 2 == 0:
            self.motion.learn(life.places, life.side)
        own = int(sight.ids[row])
        if (self.frame + identity) % _EVERY == 0:
            coming = looks_ahead(own, [sight, *ahead])
            if coming is not None:
                self.spread.learn_change(life.history, coming)
        look = sight.alone[own]
        if look is not None:
            life.apart = self.frame
            self.spread.learn(look)
            life.history.add(look)

    # ------------------------------------------------------------------ to go on after a break

    def to_state(self) -> dict[str, Any]:
        """Plain numbers and lists."""
        return {
            "size": list(self.size),
            "dimensions": self.dimensions,
            "frame": self.frame,
            "newest": self.newest,
            "side": self.side,
            "names": dict(self.names),
            "lives": {identity: life.to_state() for identity, life in self.lives.items()},
            "motion": self.motion.to_state(),
            "rates": self.rates.to_state(),
            "spread": self.spread.to_state(),
            "telling": self.telling.to_state(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Gaps":
        """The inverse of `to_state`."""
        height, width = state["size"]
        made = cls((height, width), state["dimensions"])
        made.frame, made.newest, made.side = (state[n] for n in ("frame", "newest", "side"))
        made.names = dict(state["names"])
        lives = state["lives"].items()
        made.lives = {identity: IdentityHistory.from_state(stored) for identity, stored in lives}
        made.motion = Motion.from_state(state["motion"])
        made.rates = Rates.from_state(state["rates"])
        made.spread = Spread.from_state(state["spread"])
        made.telling = Telling.from_state(state["telling"])
        return made
