"""How far apart boxes are: by centre, or by overlap."""

import numpy as np
from scipy.spatial.distance import cdist

_STEPS = 10  # of similarity 0.05, from the gate (one half) to no distance


def centre_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Euclidean distances between the centres of whole boxes.

    Args:
        first: float [N, 4], left, top, width, height in pixels.
        second: float [M, 4], likewise.

    Returns:
        float64 [N, M], pixels.
    """
    ours = first[:, :2].astype(np.float64) + 0.5 * first[:, 2:]
    theirs = second[:, :2].astype(np.float64) + 0.5 * second[:, 2:]
    return cdist(ours, theirs)


def overlap_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """1 - intersection over union of whole boxes; 1 where neither has an area.

    Args:
        first: float [N, 4], left, top, width, height in pixels; a negative size counts as 0.
        second: float [M, 4], likewise.

    Returns:
        float64 [N, M] in 0..1.
    """
    ours, theirs = first.astype(np.float64), second.astype(np.float64)
    shared = _shared(ours, theirs, 0)
    shared *= _shared(ours, theirs, 1)
    area = np.prod(np.maximum(ours[:, 2:], 0), axis=-1)
    other = np.prod(np.maximum(theirs[:, 2:], 0), axis=-1)
    union = area[:, None] + other[None]
    union -= shared
    return 1 - np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _shared(ours: np.ndarray, theirs: np.ndarray, axis: int) -> np.ndarray:
    """[N, M] length that boxes have in common along an axis, in pixels."""
    near = np.maximum(ours[:, None, axis], theirs[None, :, axis])
    far = np.minimum(
        (ours[:, axis] + ours[:, axis + 2])[:, None], (theirs[:, axis] + theirs[:, axis + 2])[None]
    )
    far -= near
    return np.maximum(far, 0, out=far)


def centre_rounding(boxes: np.ndarray) -> np.ndarray:
    """float64 [N] what rounding may add to a centre distance of each box, in pixels.

    Args:
        boxes: float [N, 4]; its precision counts.
    """
    return 4 * _precision(boxes) * _reach(boxes)


def overlap_rounding(boxes: np.ndarray) -> np.ndarray:
    """float64 [N] what rounding may add to 1 - IoU of each box: a share of its sides.

    Args:
        boxes: float [N, 4]; its precision counts.
    """
    sides = np.maximum(boxes[:, 2:].min(1, initial=np.inf), 1e-3).astype(np.float64)
    # Beyond a hundredth it were another figure, not rounding.
    return np.minimum(4 * _precision(boxes) * (1 + _reach(boxes) / sides), 0.01)


def _precision(boxes: np.ndarray) -> float:
    return float(np.finfo(boxes.dtype if boxes.dtype.kind == "f" else np.float64).eps)


def _reach(boxes: np.ndarray) -> np.ndarray:
    """[N] the largest coordinate of each box."""
    ends = np.abs(boxes[:, :2].astype(np.float64)) + np.abs(boxes[:, 2:])
    return ends.max(1, initial=0.0)


def on_steps(distances: np.ndarray, limit: float, rounding: np.ndarray) -> np.ndarray:
    """Distances that are on the gate, or on a tenth of it, but for rounding: exactly there.

    The gate is inside (`distances <= limit` is a match), and HOTA's similarities 0.05, 0.10 .. 0.95
    are tenths of the gate. Computed in floating point, boxes whose IoU is exactly one half may lie
    on either side of it, depending on where in the frame they are.

    Args:
        distances: float64 [N, M].
        limit: the gate, above 0.
        rounding: [N, M] or what broadcasts to it, how far off the distances may be.
    """
    nearest = limit * (np.rint(distances * (_STEPS / limit)) / _STEPS)
    return np.where(np.abs(distances - nearest) <= rounding, nearest, distances)
