"""How far apart boxes are: by centre, or by overlap."""

import numpy as np


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
    return np.linalg.norm(ours[:, None] - theirs[None], axis=-1)


def overlap_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """1 - intersection over union of whole boxes; 1 where neither has an area.

    Args:
        first: float [N, 4], left, top, width, height in pixels; a negative size counts as 0.
        second: float [M, 4], likewise.

    Returns:
        float64 [N, M] in 0..1.
    """
    ours, theirs = first.astype(np.float64), second.astype(np.float64)
    near = np.maximum(ours[:, None, :2], theirs[None, :, :2])
    far = np.minimum(
        ours[:, None, :2] + ours[:, None, 2:], theirs[None, :, :2] + theirs[None, :, 2:]
    )
    shared = np.prod(np.maximum(far - near, 0), axis=-1)
    area = np.prod(np.maximum(ours[:, 2:], 0), axis=-1)
    other = np.prod(np.maximum(theirs[:, 2:], 0), axis=-1)
    union = area[:, None] + other[None] - shared
    return 1 - np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
