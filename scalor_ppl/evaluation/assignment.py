"""One-to-one matching of pairs that are given, most of which may be missing."""

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

_DENSE = 2**16  # cells of a table that is small: the dense method is faster


def best_pairs(rows: np.ndarray, columns: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """The pairs of the largest total gain in which no row and no column occurs twice.

    Args:
        rows: int [P].
        columns: int [P]; no pair occurs twice.
        gains: float [P], above 0.

    Returns:
        Which of the pairs, int [Q], rows ascending.
    """
    if not len(rows):
        return np.empty(0, dtype=np.int64)
    names, row = np.unique(rows, return_inverse=True)
    others, column = np.unique(columns, return_inverse=True)
    which: np.ndarray | csr_array
    if len(names) * len(others) <= _DENSE:
        table = np.zeros((len(names), len(others)))
        table[row, column] = gains
        chosen = linear_sum_assignment(table, maximize=True)
        which = np.zeros(table.shape, dtype=np.int64)
        which[row, column] = np.arange(1, len(rows) + 1)
    else:
        # Each row may be left alone, for which it has a column of its own. So all rows are paired,
        # and 1 can be added throughout: the method takes a weight of 0 for no pair.
        alone = np.arange(len(names))
        place = np.concatenate((row, alone)), np.concatenate((column, len(others) + alone))
        table = csr_array((np.concatenate((gains + 1, np.ones(len(names)))), place))
        chosen = min_weight_full_bipartite_matching(table, maximize=True)
        which = csr_array((np.concatenate((np.arange(1, len(rows) + 1), 0 * alone)), place))
    picked = np.asarray(which[chosen]).ravel()
    return picked[picked > 0] - 1


def match_within(
    rows: np.ndarray, columns: np.ndarray, distances: np.ndarray, limit: float
) -> np.ndarray:
    """As many pairs within `limit` as there can be, and of these the least total distance.

    A pair is worth more than any sum of distances costs (so does motmetrics): the number of pairs
    comes first.

    Args:
        rows: int [P], of the pairs that may be.
        columns: int [P].
        distances: float [P], 0 or more.
        limit: the largest distance of a pair, inclusive.

    Returns:
        Which of the pairs, int [Q], rows ascending.
    """
    allowed = np.flatnonzero(distances <= limit)
    rows, columns = rows[allowed], columns[allowed]
    most = min(len(np.unique(rows)), len(np.unique(columns)))
    worth = 2.0 * most * (limit + 1.0)
    return allowed[best_pairs(rows, columns, worth - distances[allowed])]
