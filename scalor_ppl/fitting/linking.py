"""How objects move: patches linked from frame to frame."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import KDTree

_LARGEST_GATE = 4.0  # object sizes; a longer way in one frame is not told from another object
_SIMILAR = 1.8  # ratio of areas up to which two patches can be the same object
_DIRECTED = 0.8  # straightness
_FEWEST = 5  # links that a statement about motion takes
_TREMBLE = (0.25, 0.01)  # pixels, and object sizes: within the larger, an object rests


@dataclass(frozen=True)
class ObjectMotion:
    """Ways of objects, while they move.

    Attributes:
        median: of the displacement from one frame to the next, in pixels.
        high: 95th percentile of the same.
        drift: median of the net displacement over `lag` frames, in pixels.
        lag: in frames.
        resting: share of the time that objects stay where they are, 0..1; not in what is above.
    """

    median: float
    high: float
    drift: float
    lag: int
    resting: float = 0.0

    @property
    def straightness(self) -> float:
        """Exponent of the displacement's growth with time.

        About 1 for steady ways, 0.5 for diffusion, 0 for objects that only tremble.
        """
        if min(self.drift, self.median) <= 0 or self.lag == 1:
            return 0.0
        return float(np.log(self.drift / self.median) / np.log(self.lag))

    @property
    def directed(self) -> bool:
        """Objects go somewhere: where they went tells where they will go."""
        return self.straightness >= _DIRECTED

    def in_units(self, length: float) -> "ObjectMotion":
        """The same with lengths `length` times as large."""
        return replace(
            self, median=self.median * length, high=self.high * length, drift=self.drift * length
        )


Patches = tuple[np.ndarray, np.ndarray]
"""Of one frame: centres [N, 2] in pixels, areas [N]."""


def measure_motion(runs: list[list[Patches]], size: float) -> ObjectMotion | None:
    """Link single objects within runs of consecutive frames.

    An object that rests throughout a run tells nothing of how fast objects are.

    Args:
        runs: of equal length, at least 2 frames each.
        size: of an object, in pixels; links are gated at this distance, or half of the distance to
            the nearest neighbour where that is more, up to four sizes.

    Returns:
        None where too few objects can be followed, or too few of these move.
    """
    lag = len(runs[0]) - 1
    gate = _gate(runs, size)
    ways = [way for run in runs for way in _ways(run, gate)]
    moved = [len(way) > 1 and _reach(way) > _tremble(size) for way in ways]
    moving = [way for way, goes in zip(ways, moved, strict=True) if goes]
    step = _joined([_lengths(np.diff(way, axis=0)) for way in moving])
    drift = _joined([_lengths(way[-1:] - way[:1]) for way in moving if len(way) == lag + 1])
    if min(len(step), len(drift)) < _FEWEST:
        return None
    median, high = np.percentile(step, [50, 95])
    links = sum(len(way) - 1 for way in ways)
    resting = 1 - len(step) / links
    return ObjectMotion(float(median), float(high), float(np.median(drift)), lag, float(resting))


def measure_slow_motion(frames: list[Patches], spacing: int, size: float) -> ObjectMotion | None:
    """Link single objects of evenly spaced frames: what creeps, or moves too seldom for runs.

    Args:
        frames: in order.
        spacing: frames of the video from one to the next.
        size: of an object, in pixels.

    Returns:
        Steps as if objects went evenly in between; none where too few can be followed, or none of
        these moves.
    """
    gate = _gate([frames], size)
    ways = _joined(
        [
            _lengths(after[0][new] - before[0][old])
            for before, after in pairwise(frames)
            for old, new in [_links(before, after, gate)]
        ]
    )
    moving = ways[ways > _tremble(size)]
    if len(ways) < _FEWEST or not len(moving):
        return None
    median, high = np.percentile(moving, [50, 95])
    resting = 1 - len(moving) / len(ways)
    return ObjectMotion(
        float(median) / spacing, float(high) / spacing, float(median), spacing, float(resting)
    )


def _ways(run: list[Patches], gate: float) -> list[np.ndarray]:
    """Where each object was that is followed from the first frame on: [frames, 2]."""
    ways = [[centre] for centre in run[0][0]]
    holders = dict(enumerate(ways))
    for before, after in pairwise(run):
        old, new = _links(before, after, gate)
        following = dict(zip(old.tolist(), new.tolist(), strict=True))
        holders = {following[at]: way for at, way in holders.items() if at in following}
        for at, way in holders.items():
            way.append(after[0][at])
    return [np.array(way) for way in ways]


def _reach(way: np.ndarray) -> float:
    """Farthest that an object comes from where it was first."""
    return float(_lengths(way - way[0]).max())


def _tremble(size: float) -> float:
    return max(_TREMBLE[0], _TREMBLE[1] * size)


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


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros(0)
