"""How far objects get in how many frames, learned from tracks while they last.

Of an object that goes on unseen it is known how it moved before, and of what comes into sight how
it moves afterwards. Second moments of the three (velocity before, way between, velocity after) are
gathered from whole tracks, as if each had been hidden for 1, 2, .. 60 frames. From them the way has
a distribution given the velocities, for objects that keep their course and for such as diffuse: the
region in which to look grows with time as it does in the tracks. Lengths are in the object's own
sides, as near objects move and look larger.
"""

import math
from typing import Any

import numpy as np

LONGEST = 60
"""Frames that an object may be out of sight."""

OVER = 3
"""Frames over which a velocity is taken."""

HISTORY = LONGEST + 2 * OVER + 1
"""Places of an object, one a frame, that are needed to learn of all lags."""

_LAGS = np.array([1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, LONGEST])
_LIMIT = 2e4  # ways that the moments go back, about
_ENOUGH = 40.0  # ways of a lag, below which a shorter one is drawn out
_PRIOR = 6.0  # ways that what is taken at the beginning counts for
_SPEED = 0.1  # of it: sides a frame
_NOISE = 0.05  # and a step's spread about the velocity
_STRETCH = 20.0  # ways that the first guess of `stretch` counts for


class Motion:
    """Moments of velocity before, way, and velocity after, by the frames between."""

    def __init__(self) -> None:
        lag = _LAGS[:, None, None].astype(float)
        speed, noise = _SPEED**2, _NOISE**2
        self.moments = np.zeros((len(_LAGS), 3, 3))
        self.moments[:, 0, 0] = speed
        self.moments[:, :1, 1] = self.moments[:, 1:2, 0] = speed * lag[:, :, 0]
        self.moments[:, 1, 1] = (speed * lag**2 + noise * lag)[:, 0, 0]
        self.moments[:, 1, 2] = self.moments[:, 2, 1] = 0.8 * speed * lag[:, 0, 0]
        self.moments[:, 0, 2] = self.moments[:, 2, 0] = 0.8 * speed
        self.moments[:, 2, 2] = speed
        self.counts = np.full(len(_LAGS), _PRIOR)
        # Sums of second and fourth powers of what is left, and their number: of normal ways.
        self.tail = [100.0, 300.0, 100.0]
        self.joined = [_STRETCH, _STRETCH]  # squares of what is left in joins, and their number

    def learn(self, places: np.ndarray, side: float) -> None:
        """Learn from an object that was seen without a break.

        Args:
            places: ``[t, 2]``, one a frame up to now, at most the last `HISTORY` of them.
            side: of the object, in the unit of the places.
        """
        lags = _LAGS[len(places) - 1 - 2 * OVER >= _LAGS]
        if not len(lags):
            return
        after = places[-1 - OVER]
        begins = len(places) - 1 - OVER - lags
        before, behind = places[begins], places[begins - OVER]
        ways = np.stack(
            [
                (before - behind) / OVER,
                after - before,
                np.broadcast_to((places[-1] - after) / OVER, before.shape),
            ],
            1,
        )
        ways = ways / side  # [L, 3, 2]
        n = len(lags)
        self._learn_tail(ways[:, :2], n)
        self.counts[:n] = np.minimum(self.counts[:n] + 1, _LIMIT)
        products = ways @ ways.swapaxes(1, 2) / 2
        self.moments[:n] += (products - self.moments[:n]) / self.counts[:n, None, None]

    def _learn_tail(self, ways: np.ndarray, n: int) -> None:
        """How heavy the tails are: ways [n, 2, 2] given the velocity before."""
        known = self.counts[:n] > _ENOUGH
        if not known.any():
            return
        moments = self.moments[:n][known]
        slope = moments[:, 0, 1] / moments[:, 0, 0]
        spread = moments[:, 1, 1] - slope * moments[:, 0, 1]
        left = ways[known, 1] - slope[:, None] * ways[known, 0]
        square = np.square(left) / np.maximum(spread, 1e-12)[:, None]
        keep = 1 - 1 / _LIMIT
        for place, add in enumerate((square.sum(), np.square(square).sum(), square.size)):
            self.tail[place] = self.tail[place] * keep + float(add)

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the t distribution with tails as heavy as those of the ways."""
        second, fourth, count = self.tail
        excess = fourth / count / (second / count) ** 2 - 3
        return float(np.clip(4 + 6 / max(excess, 1e-3), 4.2, 100))

    @property
    def stretch(self) -> float:
        """Variance of ways out of sight beside those in sight; at least 1."""
        return max(1.0, self.joined[0] / self.joined[1])

    def at(self, gaps: np.ndarray) -> np.ndarray:
        """Moments [P, 3, 3] for so many frames [P]; lags about them are mixed, or drawn out."""
        last = max(1, int(np.count_nonzero(self.counts >= _ENOUGH))) - 1
        within = np.minimum(gaps, _LAGS[last])
        high = np.searchsorted(_LAGS, within)
        low = np.maximum(high - 1, 0)
        share = (_LAGS[high] - within) / np.maximum(_LAGS[high] - _LAGS[low], 1)
        share = share[:, None, None]
        scale = np.ones((len(gaps), 3))
        scale[:, 1] = gaps / within
        mixed = share * self.moments[low] + (1 - share) * self.moments[high]
        return mixed * scale[:, :, None] * scale[:, None]

    def evidence(
        self, gaps: np.ndarray, ways: np.ndarray, before: np.ndarray, after: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """How well two pieces of a track fit, by their motion, of P pairs.

        Args:
            gaps: ``[P]`` frames from the last place of the one to the first of the other, 1 or
                more.
            ways: ``[P, 2]`` between these, in sides.
            before: ``[P, 2]`` velocity of the first in sides a frame; NaN where it is not known.
            after: ``[P, 2]`` of the second, likewise.

        Returns:
            Log of the density of the way, per square side, times how much likelier the velocity
            after is given the rest than in any track ``[P]``; and the mean square of what the way
            leaves, in standard deviations ``[P]``.
        """
        moments = self.at(gaps)
        known = np.isfinite(before).all(1, keepdims=True)
        slope = np.where(known, moments[:, 1:, 0] / moments[:, :1, 0], 0.0)
        spread = moments[:, 1:, 1:] - slope[:, :, None] * moments[:, None, 1:, 0]
        velocity = np.where(known, before, 0.0)
        way = ways - slope[:, :1] * velocity
        square = np.square(way).mean(1) / spread[:, 0, 0]
        alone = _log_t(np.square(way).sum(1), spread[:, 0, 0] * self.stretch, 2, self.freedom)
        other = after - slope[:, 1:] * velocity
        (one, both), (_, two) = spread.transpose(1, 2, 0) * self.stretch
        area = np.maximum(one * two - both**2, 1e-12)
        crossed = two[:, None] * way**2 - 2 * both[:, None] * way * other + one[:, None] * other**2
        # As _log_t takes it: of a covariance of determinant 1.
        joint = _log_t(crossed.sum(1) / np.sqrt(area), np.sqrt(area), 4, self.freedom)
        any_track = _log_t(np.square(after).sum(1), moments[:, 2, 2], 2, self.freedom)
        return np.where(np.isfinite(after).all(1), joint - any_track, alone), square

    def learn_join(self, square: float, probability: float) -> None:
        """Learn from a join: what `evidence` said was left, and how sure the join is."""
        self.joined[0] += probability * min(square, 25.0)
        self.joined[1] += probability

    def to_state(self) -> dict[str, Any]:
        """Plain numbers and lists."""
        return {
            "moments": self.moments.tolist(),
            "counts": self.counts.tolist(),
            "tail": list(self.tail),
            "joined": list(self.joined),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Motion":
        """The inverse of `to_state`."""
        made = cls()
        made.moments, made.counts = np.array(state["moments"]), np.array(state["counts"])
        made.tail, made.joined = list(state["tail"]), list(state["joined"])
        return made


def _log_t(square: np.ndarray, variance: np.ndarray, size: int, freedom: float) -> np.ndarray:
    """Log density of a t distribution in several dimensions.

    Args:
        square: squared distance from the mean; where axes are correlated, by their covariance
            scaled to determinant 1.
        variance: of each axis; geometric mean of those of the covariance.
        size: dimensions.
        freedom: degrees of freedom, above 2.
    """
    scale = variance * (freedom - 2) / freedom
    return (
        math.lgamma((freedom + size) / 2)
        - math.lgamma(freedom / 2)
        - size / 2 * np.log(freedom * math.pi * scale)
        - (freedom + size) / 2 * np.log1p(square / scale / freedom)
    )
