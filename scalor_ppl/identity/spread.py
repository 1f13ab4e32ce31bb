"""How looks vary, of one object over time and over all objects, and what two looks tell.

Compared are what an object is known to look like, a mean over the time before, and what a tracker
shows in the frames to come, a mean over these. Their differences while nothing happens say how much
they may differ for one object: light and shade change all its colours together, while what sets it
apart from another, such as the ratio of its colours, hardly changes. So covariances are full. A
tracker may also show something that stands before its object; that tells of nobody.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

LEAST = 3
"""Looks of an object alone, below which nothing is said of it."""

_WINDOW = 30  # looks that are remembered of an object
_AFTER = 2.0  # variance of differences over a meeting or a gap, beside those over undisturbed times
_FIRST = 0.03  # standard deviation of differences before any is known, of colours in 0..1
_LONGEST = 1000.0  # differences that the covariance goes back, about
_LOOKS = 3000.0  # and looks
_WIDE, _FEW = 0.2, 5.0  # standard deviation of all looks before any is known; as of so many
_FREEDOM = 4.0  # of the t distribution, by which differences between two objects count little
_SHRINK = 5.0  # differences for each dimension, at which half of a correlation is believed
_RIDGE = 0.01  # of the mean variance, which no direction is below
_HIDDEN = 0.05  # chance that what a tracker shows is not its object


@dataclass
class LookHistory:
    """What an object looked like while it was alone.

    Attributes:
        looks: the last ones [D], at most `_WINDOW`.
    """

    looks: list[np.ndarray] = field(default_factory=list)

    @property
    def told(self) -> bool:
        """Whether there are enough of them to be compared."""
        return len(self.looks) >= LEAST

    @property
    def mean(self) -> np.ndarray:
        """[D], of all; there is one at least."""
        return np.mean(self.looks, 0)

    def add(self, look: np.ndarray) -> None:
        """One more, of the frame at hand."""
        self.looks = [*self.looks, look][-_WINDOW:]


class Spread:
    """Covariances of looks [D]: of one object's differences, and of all looks.

    Args:
        dimensions: D.
    """

    def __init__(self, dimensions: int) -> None:
        self.change = np.eye(dimensions) * _FIRST**2
        self.mean = np.zeros(dimensions)
        self.square = np.zeros((dimensions, dimensions))
        self.counts = [float(dimensions), 0.0]  # differences, and looks

    def learn(self, look: np.ndarray) -> None:
        """Learn from a look of any object."""
        self.counts[1] = min(self.counts[1] + 1, _LOOKS)
        self.mean += (look - self.mean) / self.counts[1]
        self.square += (np.outer(look, look) - self.square) / self.counts[1]

    def learn_change(self, history: "LookHistory", ahead: np.ndarray) -> None:
        """Learn from what an object looked like, and its mean look [D] from now on."""
        if not history.told:
            return
        off = ahead - history.mean
        product = np.outer(off, off)
        far = float(np.trace(np.linalg.solve(self.same, product)))
        weight = (_FREEDOM + len(off)) / (_FREEDOM + far)
        self.counts[0] = min(self.counts[0] + weight, _LONGEST)
        self.change += (product - self.change) * weight / self.counts[0]

    @property
    def same(self) -> np.ndarray:
        """[D, D] covariance of an object's differences, safe to be inverted."""
        size = len(self.mean)
        believed = self.counts[0] / (self.counts[0] + _SHRINK * size)
        variances = np.diag(np.diag(self.change))
        ridge = max(_RIDGE * float(np.trace(self.change)) / size, 1e-8)
        return believed * self.change + (1 - believed) * variances + ridge * np.eye(size)

    @property
    def all(self) -> np.ndarray:
        """[D, D] covariance of all looks so far."""
        found: np.ndarray = self.square - np.outer(self.mean, self.mean)
        return found

    def log_odds(self, looks: np.ndarray, means: np.ndarray) -> np.ndarray:
        """[n, m]: that looks [n, D] are of the objects with means [m, D], against any other's.

        At least the logarithm of the chance that something else is seen.
        """
        same = _AFTER * self.same
        away = looks[:, None] - means
        odds = _log_t(away, same) - _log_t(away, self._other(same))
        found: np.ndarray = np.logaddexp(np.log(_HIDDEN), np.log(1 - _HIDDEN) + odds)
        return found

    def _other(self, same: np.ndarray) -> np.ndarray:
        """[D, D] covariance of differences between two objects."""
        share = _FEW / (_FEW + self.counts[1])
        total = share * _WIDE**2 * np.eye(len(self.mean)) + (1 - share) * self.all
        # In units of one object's differences: two objects differ more, in every direction.
        root = np.linalg.cholesky(same)
        scaled = np.linalg.solve(root, np.linalg.solve(root, 2 * total).T)
        values, axes = np.linalg.eigh((scaled + scaled.T) / 2)
        axes = root @ axes
        other: np.ndarray = (axes * np.maximum(values, 1.1)) @ axes.T
        return other

    def to_state(self) -> dict[str, Any]:
        """Plain numbers and lists."""
        arrays = ("change", "mean", "square")
        return {name: getattr(self, name).tolist() for name in arrays} | {
            "counts": list(self.counts)
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Spread":
        """The inverse of `to_state`."""
        made = cls(len(state["mean"]))
        for name in ("change", "mean", "square"):
            setattr(made, name, np.array(state[name]))
        made.counts = list(state["counts"])
        return made


def _log_t(away: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Log density [...] of deviations [..., D] in a t distribution, less what all scales share."""
    size = len(scale)
    scaled = np.linalg.solve(scale, away[..., None])[..., 0]
    square = (away * scaled).sum(-1)
    freedom = (_FREEDOM + size) / 2
    return -freedom * np.log1p(square / _FREEDOM) - 0.5 * np.linalg.slogdet(scale)[1]
