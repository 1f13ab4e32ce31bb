"""Sums over frames of pairs of an object and an identity, in memory of the pairs that occur."""

import numpy as np

from scalor_ppl.evaluation.assignment import best_pairs

_BUFFER = 2**20  # values that are held before equal pairs are added up


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

    def place(self, objects: np.ndarray, identities: np.ndarray) -> np.ndarray:
        """int64 [n] which of the P each of n pairs is; they all were added."""
        return np.searchsorted(self._pairs, objects.astype(np.int64) * self._shape[1] + identities)

    def heaviest(self) -> float:
        """The largest sum of values, above 0, of pairs in which nothing occurs twice."""
        return float(self.values[best_pairs(self.objects, self.identities, self.values)].sum())
