"""The position error of G-SWM's benchmark: mean distance, summed over the first predicted frames.

Lin et al. 2020, "Improving Generative Imagination in Object-Centric World Models", section 4.1.
Predictions are assigned to objects once, in the first predicted frame, so that the sum of squared
distances is least, and stay with them. Distances are in sides of the frame. Each frame's is the
mean over the objects of a clip, then over clips.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

SPANS = (10, 20)
"""Over how many of the first predicted frames distances are summed; the benchmark's is 10."""


@dataclass(frozen=True)
class SummedError:
    """How far off predicted positions are in a set of clips.

    Attributes:
        objects: how many there are in the first predicted frame.
        matched: how many of them a prediction was assigned to.
        lost: share of these whose prediction is gone in the last frame; it has no distance then.
        mean: for each predicted frame, in sides of the frame.
    """

    objects: int
    matched: int
    lost: float
    mean: tuple[float, ...]

    def summed(self, frames: int) -> float:
        """The sum over the first `frames` predicted frames; NaN where there are fewer."""
        return float(np.sum(self.mean[:frames])) if len(self.mean) >= frames else float("nan")


def assigned_distances(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Distances of objects to the predictions assigned to them in the first frame.

    Args:
        predicted: [H, M, 2] positions; NaN where there is none.
        true: [H, N, 2] positions.

    Returns:
        [H, n] for the n at most min(N, M) objects with a prediction, in the unit of the positions.
    """
    there = np.isfinite(predicted[0, :, 0])
    apart = np.square(true[0][:, None] - predicted[0][there]).sum(-1)
    rows, columns = linear_sum_assignment(apart)
    return np.linalg.norm(true[:, rows] - predicted[:, there][:, columns], axis=-1)


def summed_error(clips: Sequence[np.ndarray], *, objects: int, side: float) -> SummedError:
    """The figures of a set of clips.

    Args:
        clips: distances [H, n] in pixels, of each; NaN where a prediction is gone.
        objects: how many there are in all.
        side: of the frame, in pixels.
    """
    said = [np.isfinite(each) for each in clips]
    counts = np.array([each.sum(1) for each in said])
    sums = np.array([np.nansum(each, 1) for each in clips])
    ratios = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    known = np.isfinite(ratios).sum(0)
    mean = np.nansum(ratios, 0) / np.where(known > 0, known, np.nan) / side
    matched = sum(each.shape[1] for each in clips)
    lost = 1 - counts[:, -1].sum() / matched if matched else float("nan")
    return SummedError(objects, matched, float(lost), tuple(map(float, mean)))
