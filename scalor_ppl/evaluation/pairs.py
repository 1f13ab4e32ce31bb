"""Sums over frames of pairs of an object and an identity, in memory of the pairs that occur."""

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

_BUFFER = 2**20  # values that are held before equal pairs are added up
_DENSE = 2**16  # pairs, occurring or not, that make a small table


class PairSums:
    """Adds up a value for each pair of N objects and M identities; most pairs never occur.

    Args:
        objects: N.
        identities: M.
    """

    def __init__(self, objects: int, identities: int) -> None:
        self._shape = objects, identities
        self._pairs: list[np.ndarray] = []
        self._values: list[np.ndarray] = []
        self._held = 0

    def add(self, objects: np.ndarray, identities: np.ndarray, values: np.ndarray | float) -> None:
        """Add to pairs, int [P] each; a pair may occur several times."""
        pairs = objects.astype(np.int64) * self._shape[1] + identities
        self._pairs.append(pairs)
        self._values.append(np.broadcast_to(np.asarray(values, dtype=np.float64), pairs.shape))
        self._held += len(pairs)
        if self._held > _BUFFER:
            self._merge()

    def _merge(self) -> None:
        pairs, place = np.unique(np.concatenate(self._pairs), return_inverse=True)
        sums = np.bincount(place, np.concatenate(self._values), minlength=len(pairs))
        self._pairs, self._values = [pairs], [sums]
        self._held = -len(pairs)  # what cannot be added up any more does not fill the buffer

    def result(self) -> "SummedPairs":
        """What was added up so far."""
        if self._pairs:
            self._merge()
            return SummedPairs(self._shape, self._pairs[0], self._values[0])
        return SummedPairs(self._shape, np.empty(0, np.int64), np.empty(0))


class SummedPairs:
    """A value for each of P pairs.

    Attributes:
        objects: int64 [P].
        identities: int64 [P].
        values: float64 [P].
    """

    def __init__(self, shape: tuple[int, int], pairs: np.ndarray, values: np.ndarray) -> None:
        self._shape = shape
        self._pairs = pairs
        self.values = values
        self.objects, self.identities = np.divmod(pairs, max(shape[1], 1))

    def block(self, objects: np.ndarray, identities: np.ndarray) -> np.ndarray:
        """float64 [n, m] the values of all pairs of these, 0 where a pair did not occur."""
        if not len(self._pairs):
            return np.zeros((len(objects), len(identities)))
        wanted = objects.astype(np.int64)[:, None] * self._shape[1] + identities
        place = np.minimum(np.searchsorted(self._pairs, wanted), len(self._pairs) - 1)
        return np.where(self._pairs[place] == wanted, self.values[place], 0.0)

    def heaviest(self) -> float:
        """The largest sum of values over a choice of pairs in which nothing occurs twice.

        The values are 0 or more, so objects may be left alone.
        """
        if not len(self._pairs):
            return 0.0
        rows, inverse = np.unique(self.objects, return_inverse=True)
        columns, column = np.unique(self.identities, return_inverse=True)
        if len(rows) * len(columns) <= _DENSE:  # as good, and fast
            whole = np.zeros((len(rows), len(columns)))
            whole[inverse, column] = self.values
            return float(whole[linear_sum_assignment(whole, maximize=True)].sum())
        # Each object may be left alone, for which it has a column of its own. All objects have a
        # column then, so that 1 can be added throughout: the method takes a weight of 0 for none.
        alone = np.arange(len(rows))
        weights = csr_array(
            (
                np.concatenate((self.values + 1, np.ones(len(rows)))),
                (
                    np.concatenate((inverse, alone)),
                    np.concatenate((column, len(columns) + alone)),
                ),
            )
        )
        chosen = min_weight_full_bipartite_matching(weights, maximize=True)
        return float(np.sum(weights[chosen]) - len(rows))
