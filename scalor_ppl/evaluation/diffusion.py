"""How far tracked objects get: mean squared displacement over lag times, without common drift.

The plain curve, as it is in the positions: what error of them and blur add is estimated in
:mod:`scalor_ppl.evaluation.diffusion_fit`. Counts are of the frames that have rows, and figures are
corrected for the part of each object's own motion that goes with the drift, see
:mod:`scalor_ppl.evaluation.walks`.
"""

from dataclasses import dataclass

import numpy as np

from scalor_ppl.errors import UserError
from scalor_ppl.evaluation.walks import Walks
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
    steps = Walks(table, drift=drift)
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
    squared, pairs = _squared(steps, np.arange(1, longest + 1) * unit)
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


def _squared(walks: Walks, lags: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean squares over lags [L] in frames, and the number of pairs of each, both [L]."""
    squared, numbers = np.full(len(lags), np.nan), np.zeros(len(lags), np.int64)
    for n, lag in enumerate(lags):
        pairs = walks.pairs(lag)
        numbers[n] = len(pairs.first)
        if numbers[n]:
            moved = np.square(walks.moved(pairs)).sum()
            squared[n] = moved / walks.share(pairs, lag).sum()
    return squared, numbers
