"""How far tracked objects get: mean squared displacement over lag times, without common drift.

Only frames that have rows are known. Others were not tracked (a start, a stride, frames that got
lost), or nothing was found in them: the file does not say. So drift is measured from each frame
that has rows to the next one, and counts are of these frames.

**Drift** is the mean displacement of the objects that are in both frames. To take it out takes a
part of each object's own motion with it: of n objects that move independently, 1/n of the mean
square, for an object that is among them; one that was not seen meanwhile gains as much. The figures
are corrected for it. It takes two objects to tell drift from motion: displacements over steps that
have fewer are left out; where no step has two, drift stays.
"""

from dataclasses import dataclass

import numpy as np

from scalor_ppl.errors import UserError
from scalor_ppl.tracks.box_table import BoxTable

_FITTED = 10  # lags that the slope is of, at most; longer ones have few and dependent pairs
_MOST_LAGS = 100_000


@dataclass(frozen=True)
class Displacement:
    """Mean squared displacement of the objects of a video.

    Attributes:
        lags: [L] int, from 1, in multiples of `unit`.
        squared: [L] mean squared distance over each lag, in pixels squared; NaN without pairs.
        pairs: [L] int, pairs of frames of one object that the mean is of.
        frames: [F] int, numbers of the frames that are counted, as in the file.
        counts: [F] int, objects in each of them.
        unit: frames that a lag of 1 is: 1, or the stride that was given.
        stride: frames from one tracked frame to the next, as the file shows; 0 of a single frame.
        drift_left: drift was to be taken out, but stayed: never were two objects in both frames.
        steps_left_out: share of the steps between frames over which drift is not known.
    """

    lags: np.ndarray
    squared: np.ndarray
    pairs: np.ndarray
    frames: np.ndarray
    counts: np.ndarray
    unit: int
    stride: int
    drift_left: bool
    steps_left_out: float

    @property
    def slope(self) -> float:
        """Exponent of the growth: of log ``squared`` over log lag, least squares, the first ten
        lags that have pairs.

        1 is free diffusion, 2 straight motion. An error of the positions, which adds a constant,
        lowers it. NaN with fewer than two lags.
        """
        known = np.flatnonzero(self.squared > 0)[:_FITTED]
        if len(known) < 2:
            return float("nan")
        return float(np.polyfit(np.log(self.lags[known]), np.log(self.squared[known]), 1)[0])


def displacement(
    table: BoxTable, lags: int, *, drift: bool = False, stride: int | None = None
) -> Displacement:
    """Measure the displacement of tracked objects.

    Args:
        table: tracks of one video.
        lags: the longest lag, in frames.
        drift: keep the motion that all objects have in common; by default it is taken out.
        stride: every so many frames one was tracked, from the first to the last that have rows, and
            those of them that have none have no objects. Lags count tracked frames then. By default
            what is known is what has rows, and lags count frames.

    Returns:
        The displacement over lags 1 to ``lags``, at most those that the frames span.

    Raises:
        UserError: the lags are more than 100 000, or shorter than the steps between frames; frames
            with rows are not multiples of the stride apart.
    """
    steps = _Steps(table, drift=drift)
    frames, counts, unit = steps.frames, steps.counts, 1
    if stride is not None:
        unit = stride
        if steps.stride % stride:
            raise UserError(
                f"its frames are {steps.stride} apart, which is no multiple of --stride {stride}"
            )
        frames, counts = _filled(frames, counts, stride)
    if 0 < lags * unit < steps.least:
        raise UserError(
            f"its frames are {steps.least} apart or more, and the longest lag is {lags}: give "
            f"--lags {30 * steps.stride}, or --stride {steps.stride} to count tracked frames"
        )
    span = int(steps.frames[-1] - steps.frames[0]) if len(steps.frames) else 0
    longest = min(lags, span // unit)
    if longest > _MOST_LAGS:
        raise UserError(f"{longest} lags are too many: give --lags or a --stride")
    squared, pairs = steps.squared(np.arange(1, longest + 1) * unit)
    return Displacement(
        lags=np.arange(1, longest + 1),
        squared=squared,
        pairs=pairs,
        frames=frames + table.counted_from,
        counts=counts,
        unit=unit,
        stride=steps.stride,
        drift_left=steps.drift_left,
        steps_left_out=steps.left_out,
    )


def _filled(frames: np.ndarray, counts: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames and counts with those between, in which nothing was found.

    Raises:
        UserError: they are so many that the stride cannot be meant.
    """
    if not len(frames):
        return frames, counts
    number = int(frames[-1] - frames[0]) // stride + 1
    if number > 2**20 + 100 * len(frames):
        raise UserError(f"with --stride {stride} it has {number} frames, nearly all without rows")
    every = frames[0] + stride * np.arange(number)
    found = np.zeros(number, dtype=np.int64)
    found[(frames - frames[0]) // stride] = counts
    return every, found


class _Steps:
    """Places of objects by object and frame, and the steps from frame to frame.

    Attributes:
        frames: int64 [F], those that have rows.
        counts: int64 [F], objects in each.
        stride: what all steps between them are multiples of; 0 of one frame.
        least: the shortest of these steps; 0 of one frame.
        drift_left: see `Displacement`.
        left_out: likewise, its `steps_left_out`.
    """

    def __init__(self, table: BoxTable, *, drift: bool) -> None:
        self.frames, index, self.counts = np.unique(
            table.frames, return_inverse=True, return_counts=True
        )
        gaps = np.diff(self.frames)
        self.stride = int(np.gcd.reduce(gaps)) if len(gaps) else 0
        self.least = int(gaps.min()) if len(gaps) else 0
        self.drift_left, self.left_out = False, 0.0
        order = np.lexsort((table.frames, table.objects))
        self._objects, self._index = table.objects[order], index[order]
        self._places = table.boxes[order, :2] + table.boxes[order, 2:] / 2
        # How much of an object's own mean square is left in it, summed from its first frame on.
        self._left = (table.frames[order] - self.frames[:1]).astype(np.float64)
        self._unknown = np.zeros(len(order), dtype=np.int64)  # steps so far of unknown drift
        if not drift and len(gaps):
            self._take_out_drift(gaps)

    def _take_out_drift(self, gaps: np.ndarray) -> None:
        """Take out the mean step of the objects in both frames.

        Args:
            gaps: int64 [F - 1], how long each step is.
        """
        index = self._index
        own = (np.diff(self._objects) == 0) & (np.diff(index) == 1)
        step = index[:-1][own]
        moved = np.diff(self._places, axis=0)[own]
        number = np.bincount(step, minlength=len(gaps))
        enough = number >= 2
        common = np.stack([np.bincount(step, way, minlength=len(gaps)) for way in moved.T], 1)
        common = np.where(enough[:, None], common / np.maximum(number, 1)[:, None], 0)
        if not enough.any():
            self.drift_left = True
            return
        self.left_out = float(1 - enough.mean())
        self._unknown = np.concatenate(([0], (~enough).cumsum()))[index]
        self._places -= np.concatenate((np.zeros((1, 2)), common.cumsum(0)))[index]
        # Whoever is not in the mean has the mean's own motion on top; whoever is, loses its part.
        share = np.where(enough, gaps / np.maximum(number, 1), 0.0)
        self._left += np.concatenate(([0.0], share.cumsum()))[index]
        loss = np.zeros(len(index))
        loss[1:][own] = 2 * share[step]
        self._left -= loss.cumsum()

    def squared(self, lags: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean squares over lags [L], and the number of pairs of each, both [L]."""
        squared, pairs = np.full(len(lags), np.nan), np.zeros(len(lags), np.int64)
        if not len(self._index):
            return squared, pairs
        keys = self._objects * len(self.frames) + self._index  # rises from row to row
        for n, lag in enumerate(lags):
            target = np.minimum(
                np.searchsorted(self.frames, self.frames + lag), len(self.frames) - 1
            )
            first = np.flatnonzero((self.frames[target] == self.frames + lag)[self._index])
            wanted = keys[first] + (target - np.arange(len(target)))[self._index[first]]
            last = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            there = (keys[last] == wanted) & (self._unknown[last] == self._unknown[first])
            first, last = first[there], last[there]
            pairs[n] = len(first)
            if len(first):
                moved = np.square(self._places[last] - self._places[first]).sum()
                squared[n] = moved / (self._left[last] - self._left[first]).sum() * lag
        return squared, pairs
