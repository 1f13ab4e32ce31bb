"""How much of the objects a decoder will not paint: what their likelihood must bear."""

import numpy as np
from scipy import ndimage

_SIDE = 12  # samples along each side of a look
_MARGIN = 1.2  # boxes that a look spans
_SHAPES = 8  # that looks are mixtures of, beside their mean
_PER_SHAPE = 4  # looks that a shape takes to be known


def looks(
    change: np.ndarray, centres: np.ndarray, sides: np.ndarray, levelled: np.ndarray
) -> np.ndarray:
    """Objects of one size, as their difference to the background.

    Args:
        change: of a frame to the background, [H, W, C] in levels.
        centres: [N, 2] rows and columns.
        sides: height and width of a box in the middle row, [2].
        levelled: [N] sizes there, the middle row's being 1.

    Returns:
        [M, D] those that lie in the frame as a whole.
    """
    steps = (np.arange(_SIDE) - (_SIDE - 1) / 2) / _SIDE
    # [N, 2, side]: the samples' rows, and their columns.
    places = centres[..., None] + _MARGIN * (levelled[:, None] * sides)[..., None] * steps
    limit = np.array(change.shape[:2])[:, None] - 1
    whole = ((places >= 0) & (places <= limit)).all((1, 2))
    rows, columns = places[whole, 0], places[whole, 1]
    grid = np.broadcast_arrays(rows[:, :, None], columns[:, None])
    channels = [
        ndimage.map_coordinates(change[..., channel], grid, order=1)
        for channel in range(change.shape[-1])
    ]
    return np.stack(channels, -1).reshape(len(rows), _SIDE**2 * len(channels))


def unpainted(seen: np.ndarray) -> float | None:
    """Standard deviation of what a few learned shapes leave of objects they were not learned from.

    Shapes are the mean and the first principal components; those of either half of the looks paint
    the other half.

    Args:
        seen: [N, D] looks in the order of time, as `looks` gives them.

    Returns:
        In the looks' units; none where there are too few to know.
    """
    half = len(seen) // 2
    if half < _SHAPES * _PER_SHAPE:
        return None
    halves = (seen[:half], seen[half:])
    left = []
    for known, unknown in (halves, halves[::-1]):
        mean = known.mean(0)
        _, _, shapes = np.linalg.svd(known - mean, full_matrices=False)
        shapes = shapes[:_SHAPES]
        away = unknown - mean
        left.append(np.square(away - away @ shapes.T @ shapes).mean())
    return float(np.sqrt(np.mean(left)))
