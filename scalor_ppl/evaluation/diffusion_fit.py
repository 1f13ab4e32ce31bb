"""Diffusion coefficient, exponent and static error of tracks, with intervals.

**Model.** A position is seen with a white error of variance s^2 in each of d dimensions, and is the
mean over an exposure of e frames, during which the object goes on. Where the true mean square is
``2 d D t^a``, that of the positions is::

    2 d D [ ((t+e)^(a+2) + (t-e)^(a+2) - 2 t^(a+2)) / e^2 - 2 e^a ] / ((a+1) (a+2)) + 2 d s^2

for lags t of at least e: the expectation of the squared difference of two means over exposures
(Savin and Doyle, Biophys. J. 88, 2005, eq. 5, for a power law). For free diffusion (a = 1) it is
``2 d D (t - e/3) + 2 d s^2``, in the plane ``4 D t + 4 s^2 - 4/3 D e`` (Berglund, Phys. Rev. E 82,
2010; Michalet and Berglund, Phys. Rev. E 85, 2012). Here d is 2.

**Estimate.** Maximum likelihood of whole tracks: :mod:`scalor_ppl.evaluation.diffusion_likelihood`.

**What is known of the static error decides.** D, a and s^2 of one set of tracks are hardly told
apart: s^2 and a both bend the curve at its first lags. Of 45 tracks of 80 frames with little error,
no estimate of the three has a standard deviation below 5 % of D and .03 of a. With s^2 known it is
1.7 % and .015. So where positions state their errors, these are taken; what a fit of all three says
of an error over them is told beside (`DiffusionFit.excess`). The static variance is not kept above
0: where it comes out below, positions lag or steps persist, and that is to be seen.

**Intervals** hold for what the tracks are a sample of, see `LikelihoodMaximum`; tracks are taken
as independent, or where they are few, stretches of them.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

from scalor_ppl.evaluation.diffusion_likelihood import (
    LikelihoodMaximum,
    MotionLaw,
    growth,
    maximise,
)
from scalor_ppl.evaluation.stretches import Stretches, stretches
from scalor_ppl.evaluation.walks import Walks

FITTED = 10
"""Lags that the fit is shown at, at most; longer ones have few and dependent pairs."""
LEAST_LAGS = 4
"""Lags that it takes to tell three parameters."""

_LEVEL = 0.9  # of intervals
_LEAST_GROUPS = 5  # that differ, for an interval
_LEAST_ALPHA, _MOST_DEVIATION = 0.1, 0.5  # of an exponent that is told
_AXES = 2


class IntervalEstimate(NamedTuple):
    """A value with its 90 % interval; NaN where it is not known."""

    value: float
    low: float
    high: float


UNKNOWN = IntervalEstimate(float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True)
class DiffusionFit:
    """What tracks tell of motion, in pixels and frames.

    Attributes:
        lags: int64 [L], frames, the first that have pairs.
        fitted: float64 [L], mean square of the model there, in pixels squared; NaN where it does
            not fit.
        diffusion: D, pixels squared a frame**alpha.
        alpha: exponent of the true mean square: 1 is free diffusion.
        variance: static, s^2 of each coordinate, pixels squared; below 0 no white error is. What
            is stated has no interval.
        free: D of free diffusion, pixels squared a frame: alpha held at 1.
        free_variance: s^2 likewise.
        excess: s^2 over what is stated, of a fit of all three; UNKNOWN where nothing is stated.
        exposure: of a frame, in frames.
        groups: tracks, or stretches of them, that the intervals are of.
        stated: static errors are those that the positions state.
    """

    lags: np.ndarray
    fitted: np.ndarray
    diffusion: IntervalEstimate
    alpha: IntervalEstimate
    variance: IntervalEstimate
    free: IntervalEstimate
    free_variance: IntervalEstimate
    excess: IntervalEstimate
    exposure: float
    groups: int
    stated: bool


def fit_diffusion(
    walks: Walks,
    *,
    unit: int = 1,
    longest: int = 30,
    exposure: float = 0.0,
    spread: np.ndarray | None = None,
) -> DiffusionFit:
    """Fit the model of this module to tracks.

    Args:
        walks: of one video.
        unit: frames from one tracked frame to the next.
        longest: lag, in units.
        exposure: time in which the light of a frame is gathered, in frames, 0..1.
        spread: float64 [R, 2], stated standard deviations of the rows of the table that the walks
            are of, in pixels; NaN of positions that could not be measured, which are left out.

    Returns:
        The fit; its estimates are `UNKNOWN` where tracks are too short, or the displacement is no
        such power of the lag.
    """
    lags = _lags(walks, unit, longest)
    cut = stretches(walks, unit=unit, spread=spread)
    start = _start(cut, exposure)
    power, excess, free = [UNKNOWN] * 3, UNKNOWN, [UNKNOWN] * 2
    fitted = np.full(len(lags), np.nan)
    if start is not None:
        held = start._replace(variance=0.0) if cut.stated else start
        found = maximise(cut, held, (True, False, not cut.stated), exposure)
        if found is not None:
            free = [_diffusion(found, cut), _variance(found, cut)]
        if len(lags) >= LEAST_LAGS:
            found = _told(maximise(cut, held, (True, True, not cut.stated), exposure))
            if found is not None:
                power = [_diffusion(found, cut), _alpha(found, cut), _variance(found, cut)]
                grown = growth(lags, found.law.alpha, exposure)
                fitted = 2 * _AXES * (found.law.diffusion * grown + power[2].value)
            if cut.stated:
                over = _told(maximise(cut, held, (True, True, True), exposure))
                if over is not None:
                    excess = _excess(over, cut)
    return DiffusionFit(
        lags=lags,
        fitted=fitted,
        diffusion=power[0],
        alpha=power[1],
        variance=power[2],
        free=free[0],
        free_variance=free[1],
        excess=excess,
        exposure=exposure,
        groups=cut.number,
        stated=cut.stated,
    )


def _lags(walks: Walks, unit: int, longest: int) -> np.ndarray:
    """The first lags that have pairs, in frames."""
    span = int(walks.frames[-1] - walks.frames[0]) if len(walks.frames) else 0
    lags: list[int] = []
    for lag in range(unit, unit * min(longest, span // unit) + 1, unit):
        if len(walks.pairs(lag).first):
            lags.append(lag)
            if len(lags) == FITTED:
                break
    return np.array(lags, dtype=np.int64)


def _start(cut: Stretches, exposure: float) -> MotionLaw | None:
    """Free diffusion by the covariance of successive steps; None where nothing moves.

    Vestergaard, Blainey and Flyvbjerg, Phys. Rev. E 89, 2014.
    """
    whole = np.diff(cut.times, axis=1) == 1
    whole &= np.arange(1, cut.times.shape[1]) < cut.rows[:, None]
    if not whole.any():
        return None
    square = float(np.square(cut.moved[whole]).mean())
    both = whole[:, 1:] & whole[:, :-1]
    product = float((cut.moved[:, 1:] * cut.moved[:, :-1])[both].mean()) if both.any() else 0.0
    if square <= 0:
        return None
    variance = min(max(-product, 0.0), 0.4 * square)
    moved = max(square / 2 - variance - cut.variance, 0.05 * square)
    return MotionLaw(moved / (cut.unit - exposure / 3), 1.0, variance)


def _told(found: LikelihoodMaximum | None) -> LikelihoodMaximum | None:
    """The maximum where it tells an exponent."""
    if found is None or found.law.alpha < _LEAST_ALPHA:
        return None
    return found if np.sqrt(found.covariance[1, 1]) < _MOST_DEVIATION else None


def _diffusion(found: LikelihoodMaximum, cut: Stretches) -> IntervalEstimate:
    around = _around(0.0, found.covariance[0, 0], cut)
    return IntervalEstimate(*(found.law.diffusion * np.exp(around)).tolist())


def _alpha(found: LikelihoodMaximum, cut: Stretches) -> IntervalEstimate:
    return IntervalEstimate(*_around(found.law.alpha, found.covariance[1, 1], cut).tolist())


def _variance(found: LikelihoodMaximum, cut: Stretches) -> IntervalEstimate:
    if cut.stated:
        return IntervalEstimate(cut.variance, float("nan"), float("nan"))
    return _excess(found, cut)


def _excess(found: LikelihoodMaximum, cut: Stretches) -> IntervalEstimate:
    return IntervalEstimate(*_around(found.law.variance, found.covariance[2, 2], cut).tolist())


def _around(value: float, variance: float, cut: Stretches) -> np.ndarray:
    """[3] a value, and its interval where groups are enough."""
    if cut.number < _LEAST_GROUPS:
        return np.array([value, np.nan, np.nan])
    reach = float(stats.t.ppf((1 + _LEVEL) / 2, cut.number - 1)) * np.sqrt(variance)
    return value + np.array([0.0, -reach, reach])
