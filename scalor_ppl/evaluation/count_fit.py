"""Which tracks are on objects that count: a logistic regression on clips whose truth is known."""

import numpy as np
from scipy import optimize
from scipy.special import expit

from scalor_ppl.tracks.counting import COUNT_FEATURES, CountModel

# Precision about 0 of all coefficients but the constant. It is weak, as those of objects wholly in
# view are large: with 1, tracks that were all right were doubted in one case of 200.
_PRIOR = 0.1


def fit_count(features: np.ndarray, hits: np.ndarray, missed: float) -> CountModel:
    """Fit by maximum likelihood, with a weak pull to 0.

    Args:
        features: float64 [N, F] of living tracks, see `tracks.counting.count_features`.
        hits: bool [N], whether each is on an object that counts.
        missed: objects a frame that no track is on.

    Raises:
        ValueError: shapes disagree.
    """
    if features.shape != (len(hits), len(COUNT_FEATURES)):
        raise ValueError(f"{features.shape} features of {hits.shape} tracks")
    true = hits.astype(np.float64)
    pull = _PRIOR * np.array([name != "constant" for name in COUNT_FEATURES])

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        odds = features @ weights
        value = (np.logaddexp(0, odds) - true * odds).sum() + pull @ np.square(weights) / 2
        slope = features.T @ (expit(odds) - true) + pull * weights
        return float(value), slope

    found = optimize.minimize(loss, np.zeros(len(pull)), jac=True, method="L-BFGS-B")
    weights = dict(zip(COUNT_FEATURES, found.x.tolist(), strict=True))
    return CountModel(weights, float(missed))
