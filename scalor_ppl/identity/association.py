"""Which of several pieces belong together: probabilities of a one-to-one association."""

import numpy as np
from scipy.optimize import linear_sum_assignment

_ROUNDS = 200
_CLOSE = 1e-6


def marginals(weights: np.ndarray) -> np.ndarray:
    """Probabilities of pairs, where each of n may have one of m partners or none.

    An association has the product of the weights of its pairs, so that 1 is as likely as that both
    stay alone. Sums over all associations are approximated by belief propagation, exactly where
    pairs form no ring, and closely otherwise (Williams & Lau, "Approximate evaluation of marginal
    association probabilities with belief propagation", IEEE Trans. AES 50(4), 2014).

    Args:
        weights: ``[n, m]``, 0 or more and finite.

    Returns:
        ``[n, m]``; what a row leaves of 1 is the probability of no partner.
    """
    inward = np.ones_like(weights)
    for _ in range(_ROUNDS):
        given = weights * inward
        outward = weights / (1 + given.sum(1, keepdims=True) - given)
        before, inward = inward, 1 / (1 + outward.sum(0, keepdims=True) - outward)
        if np.abs(inward - before).max(initial=0) < _CLOSE:
            break
    given = weights * inward
    return given / (1 + given.sum(1, keepdims=True))


def likelier_than_not(probability: np.ndarray, least: float = 0.5) -> list[tuple[int, int]]:
    """The pairs of the association with most true pairs to be expected beyond `least` of each.

    Args:
        probability: ``[n, m]`` of pairs.
        least: pairs below it are left out, 0..1.
    """
    rows, columns = linear_sum_assignment(np.maximum(probability - least, 0), maximize=True)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(row, column) for row, column in pairs if probability[row, column] >= least]
