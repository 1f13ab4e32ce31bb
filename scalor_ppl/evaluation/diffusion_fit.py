"""Diffusion coefficient, exponent and static error together, from displacements over lag times.

**Model.** A position is seen with a white error of variance s^2 in each of d dimensions, and is the
mean over an exposure of e frames, during which the object goes on. Where the true mean square is
``2 d D t^a``, that of the positions is::

    2 d D [ ((t+e)^(a+2) + (t-e)^(a+2) - 2 t^(a+2)) / e^2 - 2 e^a ] / ((a+1) (a+2)) + 2 d s^2

for lags t of at least e: the expectation of the squared difference of two means over exposures
(Savin and Doyle, Biophys. J. 88, 2005, eq. 5, for a power law). For free diffusion (a = 1) it is
``2 d D (t - e/3) + 2 d s^2``, in the plane ``4 D t + 4 s^2 - 4/3 D e`` (Berglund, Phys. Rev. E 82,
2010; Michalet and Berglund, Phys. Rev. E 85, 2012). Here d is 2.

**Estimate.** Least squares over the first ten lags that have pairs, each weighted with what it
tells (its relative variance grows as its lag: Qian et al., Biophys. J. 60, 1991). For each exponent
the rest of the model is linear. The static variance is not kept above 0: where it comes out below,
positions lag or steps persist, and that is to be seen.

**Intervals** are of the bootstrap: whole tracks are drawn again, or where there are few, stretches
of them. They hold for what the tracks are a sample of; three parameters of one curve are not
independent, and the exponent takes precision from D. Where motion is known to be free, `free` has a
tighter D: of the covariance of successive steps (Vestergaard et al., Phys. Rev. E 89, 2014).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from scalor_ppl.evaluation.walks import Walks

FITTED = 10
"""Lags that are fitted, at most; longer ones have few and dependent pairs."""
LEAST_LAGS = 4
"""Lags that it takes to tell three parameters."""
MANY = 20
"""Tracks from which whole ones are drawn again."""

_LEVEL = 0.9  # of intervals
_RESAMPLES = 400
_LEAST_GROUPS = 5  # to draw from, for an interval
_EXPONENTS = np.linspace(0.1, 2.3, 221)
_AXES = 2


class IntervalEstimate(NamedTuple):
    """A value with its 90 % interval; NaN where it is not known."""

    value: float
    low: float
    high: float


UNKNOWN = IntervalEstimate(float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True)
class DiffusionFit:
    """What displacements over lags tell of motion, in pixels and frames.

    Attributes:
        lags: int64 [L], frames, those that were fitted.
        fitted: float64 [L], the model there, in pixels squared; NaN where it does not fit.
        diffusion: D, pixels squared a frame**alpha.
        alpha: exponent of the true mean square: 1 is free diffusion.
        variance: static, s^2 of each coordinate, pixels squared; below 0 no white error is.
        free: D of free diffusion, pixels squared a frame, from the covariance of successive steps.
        free_variance: s^2 likewise.
        exposure: of a frame, in frames.
        groups: tracks, or stretches of them, that the intervals are of.
    """

    lags: np.ndarray
    fitted: np.ndarray
    diffusion: IntervalEstimate
    alpha: IntervalEstimate
    variance: IntervalEstimate
    free: IntervalEstimate
    free_variance: IntervalEstimate
    exposure: float
    groups: int


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


def fit_diffusion(
    walks: Walks, *, unit: int = 1, longest: int = 30, exposure: float = 0.0, seed: int = 0
) -> DiffusionFit:
    """Fit the model of this module to tracks.

    Args:
        walks: of one video.
        unit: frames from one tracked frame to the next.
        longest: lag, in units.
        exposure: time in which the light of a frame is gathered, in frames, 0..1.
        seed: of the bootstrap.

    Returns:
        The fit; its estimates are `UNKNOWN` where there are too few lags or the curve is no such
        power of the lag.
    """
    lags, sums = _lag_sums(walks, unit, longest)
    groups = sums.groups
    rng = np.random.default_rng(seed)
    power = [UNKNOWN] * 3
    fitted = np.full(len(lags), np.nan)
    squared = sums.squared(np.ones((1, groups)))
    if len(lags) >= LEAST_LAGS and (squared > 0).all():
        weights = sums.pairs.sum(0) / (lags * np.square(squared[0]))
        values = _solved(squared, weights, lags, exposure)[0]
        alpha, diffusion, variance = values
        fitted = 4 * diffusion * growth(lags, alpha, exposure) + 4 * variance
        again = _solved(sums.squared(_draws(rng, groups)), weights, lags, exposure)
        power = [_estimate(values[n], again[:, n], groups) for n in range(3)]
    free = [UNKNOWN] * 2
    steps = _step_sums(walks, unit)
    if steps is not None:
        parts, steps_groups = steps
        values = _free(parts.sum(0, keepdims=True), unit, exposure)[0]
        again = _free(_draws(rng, steps_groups) @ parts, unit, exposure)
        free = [_estimate(values[n], again[:, n], steps_groups) for n in range(2)]
    return DiffusionFit(
        lags=lags,
        fitted=fitted,
        alpha=power[0],
        diffusion=power[1],
        variance=power[2],
        free=free[0],
        free_variance=free[1],
        exposure=exposure,
        groups=groups,
    )


def _draws(rng: np.random.Generator, groups: int) -> np.ndarray:
    """[B, G] how often each group is drawn, as many as there are."""
    return rng.multinomial(groups, np.full(groups, 1 / groups), _RESAMPLES)


class _Sums(NamedTuple):
    """Sums over the pairs of each of G groups, by lag: all [G, L]."""

    moved: np.ndarray
    left: np.ndarray
    pairs: np.ndarray

    @property
    def groups(self) -> int:
        return len(self.pairs)

    def squared(self, draws: np.ndarray) -> np.ndarray:
        """[B, L] mean squares of groups drawn so many times [B, G]; NaN of those without pairs."""
        left = draws @ self.left
        return np.divide(draws @ self.moved, left, out=np.full_like(left, np.nan), where=left > 0)


def _lag_sums(walks: Walks, unit: int, longest: int) -> tuple[np.ndarray, _Sums]:
    """The first lags that have pairs, in frames, and sums over them."""
    span = int(walks.frames[-1] - walks.frames[0]) if len(walks.frames) else 0
    lags, found = [], []
    for lag in range(unit, unit * min(longest, span // unit) + 1, unit):
        pairs = walks.pairs(lag)
        if len(pairs.first):
            lags.append(lag)
            found.append(pairs)
            if len(lags) == FITTED:
                break
    group, count = _groups(walks, lags[-1] if lags else 1)
    sums = np.zeros((3, count, len(lags)))
    for n, (lag, pairs) in enumerate(zip(lags, found, strict=True)):
        which = group[pairs.first]
        squares = np.square(walks.moved(pairs)).sum(1)
        for part, weights in zip(sums, (squares, walks.share(pairs, lag), None), strict=True):
            part[:, n] = np.bincount(which, weights, minlength=count)
    there = sums[2].sum(1) > 0
    return np.array(lags, dtype=np.int64), _Sums(*sums[:, there])


def _groups(walks: Walks, longest: int) -> tuple[np.ndarray, int]:
    """Which group each row is of: its track, or a stretch of it where there are few; how many."""
    if not len(walks.objects):
        return walks.objects, 0
    group = np.unique(walks.objects, return_inverse=True)[1]
    count = int(group[-1]) + 1
    if count < MANY:
        frames = walks.frames[walks.index]
        stretch = (frames - frames.min()) // (3 * longest)
        group = np.unique(group * (stretch.max() + 1) + stretch, return_inverse=True)[1]
        count = int(group.max()) + 1
    return group, count


def _solved(
    squared: np.ndarray, weights: np.ndarray, lags: np.ndarray, exposure: float
) -> np.ndarray:
    """[B, 3] alpha, D and static variance for curves [B, L]; NaN where no exponent fits best."""
    exponents = _EXPONENTS
    basis = 2 * _AXES * growth(lags, exponents[:, None], exposure)  # [A, L]
    known = np.isfinite(squared)
    each = np.where(known, weights, 0.0)  # [B, L]
    y = np.where(known, squared, 0.0)
    ones = 2.0 * _AXES
    aa = each @ np.square(basis).T  # [B, A]
    ac = ones * each @ basis.T
    cc = ones**2 * each.sum(1, keepdims=True)
    ay = (each * y) @ basis.T
    cy = ones * (each * y).sum(1, keepdims=True)
    determinant = aa * cc - ac**2
    with np.errstate(all="ignore"):
        slope = (ay * cc - cy * ac) / determinant
        offset = (cy * aa - ay * ac) / determinant
        error = (each * y**2).sum(1, keepdims=True) - slope * ay - offset * cy
    error = np.where(np.isfinite(error) & (slope > 0), error, np.inf)
    best = error.argmin(1)
    rows = np.arange(len(squared))
    inside = (best > 0) & (best < len(exponents) - 1) & np.isfinite(error[rows, best])
    middle = np.clip(best, 1, len(exponents) - 2)
    # The vertex of a parabola through the best exponent and its neighbours.
    before, at, after = (error[rows, middle + n] for n in (-1, 0, 1))
    with np.errstate(all="ignore"):
        shift = np.clip(np.nan_to_num((before - after) / (2 * (before - 2 * at + after))), -1, 1)
    values = np.stack(
        [np.interp(middle + shift, np.arange(len(exponents)), exponents)]
        + [
            part[rows, middle] + shift * (part[rows, middle + 1] - part[rows, middle - 1]) / 2
            for part in (slope, offset)
        ],
        axis=1,
    )
    return np.where(inside[:, None], values, np.nan)


def _step_sums(walks: Walks, unit: int) -> tuple[np.ndarray, int] | None:
    """Sums by group [G, 4]: squared steps and how many, products of successive ones and how many.

    None where there are no successive steps.
    """
    steps = walks.steps(unit)
    here, there = steps.apart(1)
    if not len(here):
        return None
    group, count = _groups(walks, FITTED * unit)
    which = group[steps.rows]
    squares = np.square(steps.moved).sum(1)
    products = (steps.moved[here] * steps.moved[there]).sum(1)
    parts = [(which, squares), (which, None), (which[here], products), (which[here], None)]
    sums = np.stack([np.bincount(n, each, minlength=count) for n, each in parts], axis=1)
    sums = sums[sums[:, 1] > 0].astype(np.float64)
    return sums, len(sums)


def _free(sums: np.ndarray, unit: int, exposure: float) -> np.ndarray:
    """[B, 2] D and static variance of free diffusion, from sums [B, 4] of `_step_sums`."""
    with np.errstate(all="ignore"):
        squares, product = sums[:, 0] / sums[:, 1] / _AXES, sums[:, 2] / sums[:, 3] / _AXES
    blur = exposure / (6 * unit)
    diffusion = (squares / 2 + product) / unit
    return np.stack([diffusion, blur * squares + (2 * blur - 1) * product], axis=1)


def _estimate(value: float, drawn: np.ndarray, groups: int) -> IntervalEstimate:
    """A value with the interval of the bootstrap; none of few groups, or where few draws fit."""
    if not np.isfinite(value):
        return UNKNOWN
    fitting = drawn[np.isfinite(drawn)]
    if groups < _LEAST_GROUPS or len(fitting) < _LEVEL * len(drawn):
        return IntervalEstimate(float(value), float("nan"), float("nan"))
    low, high = np.quantile(fitting, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return IntervalEstimate(float(value), float(low), float(high))
