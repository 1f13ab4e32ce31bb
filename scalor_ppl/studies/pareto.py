"""Pareto k-hat: how heavy the tail of importance weights is."""

import numpy as np

LIMIT = 0.7
"""Above this, means under the weights are not to be trusted (Vehtari et al. 2024, Pareto smoothed
importance sampling)."""
LEAST_DRAWS = 100
"""With fewer the tail has too few weights to fit its shape."""


def pareto_k(log_weights: np.ndarray) -> np.ndarray:
    """k-hat of log-weights ``[..., S]``, float64 ``[...]``; by ArviZ's smoothing, old or new.

    A k of 1/2 is where weights lose their variance, 1 where they lose their mean.
    """
    log_weights = np.asarray(log_weights, dtype=np.float64)
    import arviz  # takes seconds: only where it is wanted

    if hasattr(arviz, "psislw"):  # 0.x
        _, k = arviz.psislw(log_weights)
    else:  # 1.x: in a package of its own, which takes the negative, as of log-likelihoods
        from arviz_stats.base import array_stats

        _, k = array_stats.psislw(-log_weights)
    return np.asarray(k, dtype=np.float64)
