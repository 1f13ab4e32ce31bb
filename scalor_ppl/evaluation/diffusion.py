"""How far tracked objects get: mean squared displacement over lag times, without common drift."""

from dataclasses import dataclass

import numpy as np

from scalor_ppl.tracks.table import Tracks

_FITTED = 10  # lags that the slope is of, at most; longer ones have few and dependent pairs


@dataclass(frozen=True)
class Displacement:
    """Mean squared displacement of the objects of a video.

    Attributes:
        lags: [L] int, in frames, from 1.
        squared: [L] mean squared distance over each lag, in pixels squared; NaN without pairs.
        pairs: [L] int, pairs of frames of one object that the mean is of.
        counts: [T] int, objects in each frame.
    """

    lags: np.ndarray
    squared: np.ndarray
    pairs: np.ndarray
    counts: np.ndarray

    @property
    def slope(self) -> float:
        """Exponent of the growth: of log ``squared`` over log lag, least squares, lags 1 to 10.

        1 is free diffusion, 2 straight motion. An error of the positions, which adds a constant,
        lowers it. NaN with fewer than two lags.
        """
        known = np.isfinite(self.squared[:_FITTED]) & (self.squared[:_FITTED] > 0)
        if known.sum() < 2:
            return float("nan")
        lags, squared = self.lags[:_FITTED][known], self.squared[:_FITTED][known]
        return float(np.polyfit(np.log(lags), np.log(squared), 1)[0])


def displacement(tracks: Tracks, lags: int, *, drift: bool = False) -> Displacement:
    """Measure the displacement of tracked objects.

    Args:
        tracks: of one video.
        lags: the longest lag, in frames.
        drift: keep the motion that all objects have in common; by default the mean step of each
            frame is taken out first.

    Returns:
        The displacement over lags 1 to ``lags``, at most T - 1.
    """
    frames, slots = np.nonzero(tracks.present())
    boxes = tracks.boxes[frames, slots].astype(np.float64)
    ids, column = np.unique(tracks.ids[frames, slots], return_inverse=True)
    places = np.full((tracks.frames, len(ids), 2), np.nan)
    places[frames, column] = boxes[:, :2] + boxes[:, 2:] / 2
    if not drift:
        steps = np.diff(places, axis=0)
        known = np.isfinite(steps[..., 0])
        common = np.where(known[..., None], steps, 0).sum(1) / np.maximum(known.sum(1), 1)[:, None]
        places[1:] -= common.cumsum(0)[:, None]
    numbers = np.arange(1, min(lags, tracks.frames - 1) + 1)
    squared, pairs = np.full(len(numbers), np.nan), np.zeros(len(numbers), np.int64)
    for n, lag in enumerate(numbers):
        square = np.square(places[lag:] - places[:-lag]).sum(-1)
        square = square[np.isfinite(square)]
        pairs[n] = len(square)
        if len(square):
            squared[n] = square.mean()
    return Displacement(numbers, squared, pairs, tracks.present().sum(1))
