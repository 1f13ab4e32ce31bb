"""One-to-one matching within a gate."""

import numpy as np
from scipy.optimize import linear_sum_assignment


def match_within(distances: np.ndarray, limit: float) -> tuple[np.ndarray, np.ndarray]:
    """As many pairs within `limit` as there can be, and of these the least total distance.

    The Hungarian method, with pairs beyond the gate at a price that no sum of allowed pairs
    reaches (so does motmetrics): the number of pairs comes first.

    Args:
        distances: float [N, M], 0 or more.
        limit: the largest distance of a pair, inclusive.

    Returns:
        Rows and columns of the pairs, int [P] each, rows ascending.
    """
    allowed = distances <= limit
    if not allowed.any():
        nothing = np.empty(0, dtype=np.int64)
        return nothing, nothing
    price = 2.0 * min(distances.shape) * (limit + 1.0)
    rows, columns = linear_sum_assignment(np.where(allowed, distances, price))
    kept = allowed[rows, columns]
    return rows[kept], columns[kept]
