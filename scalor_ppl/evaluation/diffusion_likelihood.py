"""Exact Gaussian likelihood of tracks: fractional Brownian motion, blur, errors of positions.

Where the mean square of each coordinate of positions is M(t) = 2 D g(t) after a time t > 0 (see
`growth`), and M(0) = 0, that of steps is the covariance::

    cov(x_b - x_a, x_d - x_c) = [ M(d - a) + M(c - b) - M(c - a) - M(d - b) ] / 2

of fractional Brownian motion (Mandelbrot and Van Ness, SIAM Rev. 10, 1968) seen over an exposure.
A white error of variance v_a of each position adds v_a + v_b to the variance of the step from a to
b, and - v_b to the covariance with the step that follows. The likelihood of Gaussian steps of this
covariance uses all that second moments can tell (Berglund, Phys. Rev. E 82, 2010, for free
diffusion): no unbiased estimate is tighter than the inverse of its information.

The maximum is found by Fisher scoring. Its covariance is the larger of two, entry by entry of the
diagonal: the inverse information, which holds where the model does, and the sandwich, from how far
tracks differ (White, Econometrica 50, 1982), which holds where objects move at different rates.
"""

from typing import NamedTuple

import numpy as np

from scalor_ppl.evaluation.stretches import Stretches

PARAMETERS = 3
"""log D, alpha, and the variance of an error that is not stated."""

_ALPHAS = (0.05, 2.0)
_STEPS, _HALVINGS = 40, 12
_NEAR = 1e-3  # standard errors of the last step


class MotionLaw(NamedTuple):
    """How objects move, and are seen.

    Attributes:
        diffusion: D, in pixels squared a frame**alpha.
        alpha: exponent of the growth, up to 2.
        variance: of the error of each coordinate, over what is stated, in pixels squared. A
            negative one stands for what takes from the variance of steps and gives to the
            covariance of successive ones.
    """

    diffusion: float
    alpha: float = 1.0
    variance: float = 0.0


class LikelihoodMaximum(NamedTuple):
    """Where a likelihood is largest.

    Attributes:
        law: there.
        covariance: float64 [3, 3] of log D, alpha and variance; 0 of what was held.
    """

    law: MotionLaw
    covariance: np.ndarray


class _Terms(NamedTuple):
    """Log likelihood, its gradient by groups [G, 3], and its expected information [3, 3]."""

    value: float
    scores: np.ndarray
    information: np.ndarray


def growth(lags: np.ndarray, alpha: np.ndarray | float, exposure: float) -> np.ndarray:
    """What t^alpha becomes where positions are means over an exposure.

    Args:
        lags: t, in frames, at least the exposure.
        alpha: exponent, above 0; what broadcasts to the lags.
        exposure: in frames, 0 for none.

    Returns:
        Of the shape of both.
    """
    lags = np.asarray(lags, dtype=np.float64)
    if exposure == 0:
        return lags**alpha
    power = np.asarray(alpha) + 2
    around = (lags + exposure) ** power + np.abs(lags - exposure) ** power - 2 * lags**power
    return (around / exposure**2 - 2 * exposure ** (power - 2)) / ((power - 1) * power)


def fisher_information(cut: Stretches, law: MotionLaw, exposure: float = 0.0) -> np.ndarray:
    """Expected information on log D, alpha and variance, [3, 3], in stretches under a law.

    No unbiased estimate of what is unknown has a covariance below the inverse of the block that is
    its: the Cramer-Rao bound.

    Raises:
        ValueError: no motion has such a law.
    """
    found = _terms(cut, law, exposure)
    if found is None:
        raise ValueError(f"{law} is no law of motion")
    return found.information


def maximise(
    cut: Stretches, start: MotionLaw, free: tuple[bool, bool, bool], exposure: float = 0.0
) -> LikelihoodMaximum | None:
    """The law that makes stretches most likely.

    Args:
        cut: the stretches.
        start: where to begin; what is not free is held there.
        free: log D, alpha, variance.
        exposure: of a frame, in frames.

    Returns:
        The maximum; None where there is none within the exponents of motion.
    """
    law, open_ = start, np.array(free)
    found = _terms(cut, law, exposure) if len(cut.rows) else None
    if found is None:
        return None
    for _ in range(_STEPS):
        known = found.information[np.ix_(open_, open_)]
        try:
            inverse = np.linalg.inv(known)
        except np.linalg.LinAlgError:
            return None
        step = np.zeros(PARAMETERS)
        step[open_] = inverse @ found.scores.sum(0)[open_]
        law, after, taken = _climbed(cut, law, step, found, exposure)
        if after is None:
            return None
        found = after
        if (np.abs(taken[open_]) <= _NEAR * np.sqrt(np.abs(np.diag(inverse)))).all():
            return LikelihoodMaximum(law, _covariance(found, open_, cut.number))
    return None


def _climbed(
    cut: Stretches, law: MotionLaw, step: np.ndarray, before: _Terms, exposure: float
) -> tuple[MotionLaw, _Terms | None, np.ndarray]:
    """Go the step, or the part of it that leads up; the law, its terms, and the way gone."""
    step[0] = np.clip(step[0], -2, 2)
    for halved in range(_HALVINGS):
        part = step / 2**halved
        alpha = float(np.clip(law.alpha + part[1], *_ALPHAS))
        there = MotionLaw(law.diffusion * np.exp(part[0]), alpha, law.variance + part[2])
        found = _terms(cut, there, exposure)
        if found is not None and found.value >= before.value - 1e-9 * abs(before.value):
            return there, found, np.array([part[0], alpha - law.alpha, part[2]])
    # Nothing is higher to within rounding: this is the top.
    return law, before, np.zeros(PARAMETERS)


def _covariance(found: _Terms, open_: np.ndarray, groups: int) -> np.ndarray:
    """[3, 3] of the estimates."""
    inverse = np.linalg.inv(found.information[np.ix_(open_, open_)])
    scores = found.scores[:, open_]
    spread = inverse @ (scores.T @ scores) @ inverse * groups / max(groups - open_.sum(), 1)
    wider = np.sqrt(np.maximum(np.diag(spread) / np.diag(inverse), 1.0))
    covariance = np.zeros((PARAMETERS, PARAMETERS))
    covariance[np.ix_(open_, open_)] = inverse * wider[:, None] * wider
    return covariance


def _terms(cut: Stretches, law: MotionLaw, exposure: float) -> _Terms | None:
    """All of the likelihood under a law; None where its covariance is none."""
    span = int(cut.times.max(initial=0)) + 1
    squares = _squares(np.arange(span) * cut.unit, law, exposure)
    value, information = 0.0, np.zeros((PARAMETERS, PARAMETERS))
    scores = np.zeros((cut.number, PARAMETERS))
    for block in cut.blocks():
        try:
            values, gradients, known = _block(block, law, squares)
        except np.linalg.LinAlgError:
            return None
        value += float(block.share @ values)
        np.add.at(scores, block.groups, gradients * block.share[:, None])
        information += np.einsum("s,sij->ij", block.share, known)
    return _Terms(value, scores, information) if np.isfinite(value) else None


def _squares(times: np.ndarray, law: MotionLaw, exposure: float) -> np.ndarray:
    """[2, T] mean square of a coordinate after times, and its derivative by alpha; 0 at time 0."""
    at = np.maximum(times, 1)
    nudge = 1e-4
    grown = [growth(at, law.alpha + shift, exposure) for shift in (0, nudge, -nudge)]
    curves = np.stack([grown[0], (grown[1] - grown[2]) / (2 * nudge)])
    return np.where(times > 0, 2 * law.diffusion * curves, 0.0)


def _block(
    block: Stretches, law: MotionLaw, squares: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log likelihoods [S], gradients [S, 3] and informations [S, 3, 3] of a few stretches.

    Raises:
        LinAlgError: a covariance is not positive.
    """
    # Stretches of the same frames have one covariance, unless errors are stated.
    seen = np.column_stack((block.times, block.rows))
    if block.stated:
        some = which = np.arange(len(seen))
    else:
        _, some, which = np.unique(seen, axis=0, return_index=True, return_inverse=True)
    times = block.times[some]
    step = np.arange(block.moved.shape[1])
    there = step < block.rows[some, None] - 1
    both = there[:, :, None] & there[:, None, :]
    apart = np.abs(times[:, :, None] - times[:, None, :])
    white = 2 * np.eye(len(step)) - np.eye(len(step), k=1) - np.eye(len(step), k=-1)
    each = [*(_of_steps(curve[apart]) for curve in squares), np.broadcast_to(white, both.shape)]
    derivatives = np.stack([np.where(both, part, 0.0) for part in each])  # log D, alpha, variance
    common = derivatives[0] + law.variance * derivatives[2]
    common[:, step, step] += ~there  # what is not there is independent
    values, gradients = np.zeros(len(seen)), np.zeros((len(seen), PARAMETERS))
    known = np.zeros((len(seen), PARAMETERS, PARAMETERS))
    for axis in [slice(0, 1), slice(1, 2)] if block.stated else [slice(0, 2)]:
        covariance, moved = common, block.moved[..., axis]
        if block.stated:
            covariance = common + np.where(both, _stated(block.variances[..., axis.start]), 0.0)
        number = moved.shape[-1]
        root = np.linalg.cholesky(covariance)
        inverse = np.linalg.inv(covariance)
        turned = inverse @ derivatives  # [3, U, n, n]
        traces = np.trace(turned, axis1=2, axis2=3).T
        squared = np.einsum("puij,quji->upq", turned, turned, optimize=True)
        solved = inverse[which] @ moved
        pulled = np.einsum("sia,psij,sja->sp", solved, derivatives[:, which], solved, optimize=True)
        values -= 0.5 * (moved * solved).sum((1, 2))
        values -= number * np.log(root[:, step, step]).sum(1)[which]
        gradients += 0.5 * (pulled - number * traces[which])
        known += 0.5 * number * squared[which]
    return values, gradients, known


def _of_steps(squares: np.ndarray) -> np.ndarray:
    """[S, n, n] covariance of steps, of mean squares between rows [S, n + 1, n + 1]."""
    earlier, later = slice(None, -1), slice(1, None)
    across = squares[:, later, earlier] + squares[:, earlier, later]
    return (across - squares[:, later, later] - squares[:, earlier, earlier]) / 2


def _stated(variances: np.ndarray) -> np.ndarray:
    """[S, n, n] what errors of rows [S, n + 1] add to the covariance of steps."""
    step = np.arange(variances.shape[1] - 1)
    added = np.zeros((len(variances), len(step), len(step)))
    added[:, step, step] = variances[:, 1:] + variances[:, :-1]
    added[:, step[1:], step[:-1]] = added[:, step[:-1], step[1:]] = -variances[:, 1:-1]
    return added
