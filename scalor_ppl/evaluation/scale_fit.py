"""The scale of errors as a log-linear model, fitted by maximum likelihood of a Student t.

Where errors are not about 0, their offset in x and in y is fitted in turns with the scale: the mean
with the weights of a Student t (Lange, Little and Taylor, J. Am. Stat. Assoc. 84, 1989), so that
precise ones count more and outliers less.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import optimize, stats
from scipy.special import gammaln

from scalor_ppl.errors import UserError
from scalor_ppl.tracks.deviations import FEATURES, ScaleModel

_NINETY = float(stats.norm.ppf(0.95))
_LEAST_FREEDOM, _MOST_FREEDOM = 1.0, 200.0  # a Cauchy, and what cannot be told from a Gaussian
_PRIOR = 1.0  # precision about 0 of all coefficients but the constant: as much as one error says
_ENOUGH = 50
_STEEPEST = 3.0
_TURNS = 4


def fit_scale(
    errors: np.ndarray, features: np.ndarray, names: Sequence[str] = FEATURES
) -> ScaleModel:
    """Fit the scale of errors about 0.

    Args:
        errors: float [N].
        features: float [N, F], as `tracks.deviations.features_of` makes them.
        names: those of `FEATURES` that the scale may depend on.

    Raises:
        UserError: there are too few errors.
    """
    if len(errors) < _ENOUGH:
        raise UserError(
            f"{len(errors)} errors are too few to calibrate with: give at least {_ENOUGH}, with "
            "more --clips"
        )
    columns = [FEATURES.index(name) for name in names]
    design = features[:, columns].astype(np.float64)
    squares = np.square(errors.astype(np.float64))
    penalised = np.array([name != "constant" for name in names])
    pull = _PRIOR * penalised

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        weights, freedom = parameters[:-1], np.exp(parameters[-1])
        log_scale = design @ weights
        ratio = squares * np.exp(-2 * log_scale) / freedom
        constant = gammaln((freedom + 1) / 2) - gammaln(freedom / 2) - np.log(freedom * np.pi) / 2
        density = constant - log_scale - (freedom + 1) / 2 * np.log1p(ratio)
        value = -density.sum() + pull @ np.square(weights) / 2
        pushed = (freedom + 1) * ratio / (1 + ratio) - 1  # d density / d log scale
        return float(value), -(design.T @ pushed) + pull * weights

    def with_slope(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """Loss and gradient; of the freedom by a small difference."""
        value, slope = loss(parameters)
        step = np.zeros_like(parameters)
        step[-1] = 1e-5
        last = (loss(parameters + step)[0] - loss(parameters - step)[0]) / 2e-5
        return value, np.append(slope, last)

    begin = np.zeros(len(names) + 1)
    middle = np.median(np.abs(errors)) / 0.6745
    if "constant" in names:
        begin[list(names).index("constant")] = np.log(max(middle, 1e-9))
    begin[-1] = np.log(5.0)
    bounds = [(-20.0, 20.0)] * len(names) + [(np.log(_LEAST_FREEDOM), np.log(_MOST_FREEDOM))]
    found = optimize.minimize(with_slope, begin, jac=True, method="L-BFGS-B", bounds=bounds)
    weights = dict(zip(names, found.x[:-1].tolist(), strict=True))
    plain = ScaleModel(weights, float(np.exp(found.x[-1])), 1.0)
    held = np.quantile(np.abs(errors) / plain.deviations(features), 0.9)
    return ScaleModel(weights, plain.freedom, float(held / _NINETY))


def fit_offset_and_scale(
    errors: np.ndarray, features: np.ndarray, names: Sequence[str] = FEATURES
) -> ScaleModel:
    """Fit what errors are about in x and in y, and their scale about that.

    Args:
        errors: float [N, 2], of objects wholly in view.
        features: float [N, 2, F].
        names: as of `fit_scale`.

    Raises:
        UserError: there are too few errors.
    """
    rows = features.reshape(-1, features.shape[-1])
    model = fit_scale(errors.ravel(), rows, names)
    share = replace(model, offset=(1.0, 1.0)).offsets(features)
    for _ in range(_TURNS):
        left = errors - model.offsets(features)
        scale = model.deviations(features) / model.stretch
        weight = (model.freedom + 1) / (model.freedom + np.square(left / scale))
        weight = weight / np.square(scale)
        across, down = (weight * share * errors).sum(0) / (weight * np.square(share)).sum(0)
        about = replace(model, offset=(float(across), float(down)))
        left = errors - about.offsets(features)
        model = replace(fit_scale(left.ravel(), rows, names), offset=about.offset)
    return model


def with_outside(model: ScaleModel, errors: np.ndarray, features: np.ndarray) -> ScaleModel:
    """The model with how the scale grows with the share of a box that is out of view.

    It is fitted for itself, since errors of what is partly out of view would decide the tails of
    all others: the least growth, 0 or more, with which the 90 % intervals hold 90 % of them.

    Args:
        model: fitted to objects wholly in view.
        errors: float [N], of objects partly out of view, the model's offsets taken off.
        features: float [N, F].

    Returns:
        The same model where there are too few errors.
    """
    if len(errors) < _ENOUGH:
        return model
    outside = features[:, FEATURES.index("outside")]
    scores = np.abs(errors) / (model.deviations(features) * _NINETY)

    def excess(growth: float) -> float:
        return float(np.quantile(scores * np.exp(-growth * outside), 0.9)) - 1

    growth = 0.0
    if excess(0) > 0:
        growth = optimize.brentq(excess, 0, _STEEPEST) if excess(_STEEPEST) < 0 else _STEEPEST
    weights = {**model.coefficients, "outside": float(growth)}
    return replace(model, coefficients=weights)
