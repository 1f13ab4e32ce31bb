"""How objects move: patches linked from frame to frame."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import KDTree

_LARGEST_GATE = 4.0  # object sizes; a longer way in one frame is not told from another object
_SIMILAR = 1.8  # ratio of areas up to which two patches can be the same object
_DIRECTED = 0.8  # straightness
_FEWEST = 5  # links that a statement about motion takes


@dataclass(frozen=True)
class Motion:
    """Ways of objects.

    Attributes:
        median: of the displacement from one frame to the next, in pixels.
        high: 95th percentile of the same.
        drift: median of the net displacement over `lag` frames, in pixels.
        lag: in frames.
    """

    median: float
    high: float
    drift: float
    lag: int

    @property
    def straightness(self) -> float:
        """Exponent of the displacement's growth with time.

        About 1 for steady ways, 0.5 for diffusion, 0 for objects that only tremble.
        """
        if min(self.drift, self.median) <= 0:
            return 0.0
        return float(np.log(self.drift / self.median) / np.log(self.lag))

    @property
    def directed(self) -> bool:
        """Objects go somewhere: where they went tells where they will go."""
        return self.straightness >= _DIRECTED

    def in_units(self, length: float) -> "Motion":
        """The same with lengths `length` times as large."""
        return replace(
            self, median=self.median * length, high=self.high * length, drift=self.drift * length
        )


Patches = tuple[np.ndarray, np.ndarray]
"""Of one frame: centres [N, 2] in pixels, areas [N]."""


def measure_motion(runs: list[list[Patches]], size: float) -> Motion | None:
    """Link single objects within runs of consecutive frames.

    Args:
        runs: of equal length, at least 2 frames each.
        size: of an object, in pixels; links are gated at this distance, or half of the distance to
            the nearest neighbour where that is more, up to four sizes.

    Returns:
        None where too few objects can be followed.
    """
    lag = len(runs[0]) - 1
    gate = _gate(runs, size)
    steps: list[np.ndarray] = []
    drifts: list[np.ndarray] = []
    for run in runs:
        origin = np.arange(len(run[0][0]))  # of each patch still followed, in the first frame
        current = origin
        for before, after in pairwise(run):
            old, new = _links(before, after, gate)
            steps.append(_lengths(after[0][new] - before[0][old]))
            following = dict(zip(old.tolist(), new.tolist(), strict=True))
            alive = np.array([n in following for n in current.tolist()], dtype=bool)
            origin = origin[alive]
            current = np.array([following[n] for n in current[alive].tolist()], dtype=np.intp)
        drifts.append(_lengths(run[-1][0][current] - run[0][0][origin]))
    step, drift = np.concatenate(steps), np.concatenate(drifts)
    if min(len(step), len(drift)) < _FEWEST:
        return None
    median, high = np.percentile(step, [50, 95])
    return Motion(float(median), float(high), float(np.median(drift)), lag)


def _gate(runs: list[list[Patches]], size: float) -> float:
    """Longest way of a link, in pixels."""
    distances = [
        KDTree(centres).query(centres, k=2)[0][:, 1]
        for run in runs
        for centres, _ in run
        if len(centres) > 1
    ]
    apart = float(np.median(np.concatenate(distances))) if distances else np.inf
    return float(np.clip(apart / 2, size, _LARGEST_GATE * size))


def _links(before: Patches, after: Patches, gate: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the patches that belong together, the closest pairs in total."""
    far = np.linalg.norm(before[0][:, None] - after[0], axis=-1)
    ratio = np.abs(np.log(before[1][:, None] / after[1]))
    allowed = (far <= gate) & (ratio <= np.log(_SIMILAR))
    # A price of ten gates: worse than any allowed link, and finite, as the solver wants it.
    old, new = linear_sum_assignment(np.where(allowed, far, 10 * gate))
    kept = allowed[old, new]
    return old[kept], new[kept]


def _lengths(ways: np.ndarray) -> np.ndarray:
    return np.linalg.norm(ways, axis=-1)
