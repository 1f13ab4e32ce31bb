"""Whether stated uncertainties are true: intervals hold what they promise, confidences are met.

All of it rests on the *probability integral transform* (PIT): the share of the stated distribution
that lies below the truth. Where distributions are honest, it is uniform, and the central interval
of level L holds the truth in a share L of the cases (Dawid 1984; Gneiting et al. 2007). Where the
distribution is discrete, or known by draws alone, the transform is an interval over which its mass
is spread (Czado et al. 2009).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Levels of the central intervals that are reported."""

BINS = 10
_POINTS = 201  # at which distributions are compared
_ROBUST = 1.482602218505602  # of a Gaussian: standard deviation over median distance from 0


class Transform(NamedTuple):
    """N probability integral transforms.

    Attributes:
        low: float64 [N] in 0..1.
        high: float64 [N], `low` or above: the mass of each is spread over what lies between.
    """

    low: np.ndarray
    high: np.ndarray

    def below(self, points: np.ndarray) -> np.ndarray:
        """Float64 [P]: mean share of the mass at or below points [P] in 0..1."""
        width = self.high - self.low
        spread = (points[:, None] - self.low) / np.where(width > 0, width, 1.0)
        step = (points[:, None] >= self.low).astype(np.float64)
        share: np.ndarray = np.where(width > 0, spread.clip(0, 1), step).mean(1)
        return share

    def histogram(self, bins: int = BINS) -> np.ndarray:
        """Float64 [bins]: share of the mass in equal parts of 0..1; 1 / bins each if uniform."""
        edges = np.linspace(0, 1, bins + 1)
        shares = np.diff(self.below(edges))
        shares[0] += self.below(edges[:1])[0]  # what lies at 0 exactly
        return shares

    def central(self, level: float) -> float:
        """Share of the mass in the middle part of 0..1 that is `level` wide."""
        low, high = self.below(np.array([0.5 - level / 2, 0.5 + level / 2]))
        return float(high - low)

    def distance(self) -> float:
        """Largest distance of the distribution from the uniform one (Kolmogorov), to 0.005."""
        points = np.linspace(0, 1, _POINTS)
        return float(np.abs(self.below(points) - points).max())


@dataclass(frozen=True)
class Intervals:
    """How honest stated distributions of N numbers are.

    Attributes:
        count: N.
        coverage: share of the truths within the central intervals, by level.
        shared: the same where the mass of a value at the end of an interval counts in part, so that
            the interval has just its level: what can be asked of whole numbers, whose intervals
            hold more than their name says.
        z_std: root mean square of error over stated standard deviation; 1 where they are honest.
        z_robust: the same from the median of its absolute value, whatever few outliers do.
        rms: root mean square error.
        stated: root mean square of the stated standard deviations.
        histogram: shares of the PIT in equal parts of 0..1.
        distance: of the PIT from uniform, 0..1.
        transform: the PIT itself.
    """

    count: int
    coverage: dict[float, float]
    shared: dict[float, float]
    z_std: float
    z_robust: float
    rms: float
    stated: float
    histogram: np.ndarray
    distance: float
    transform: Transform

    def to_dict(self) -> dict[str, object]:
        """Fit for JSON; null where nothing was compared."""
        if not self.count:
            return {"count": 0}
        return {
            "count": self.count,
            "coverage": {f"{level:g}": share for level, share in self.coverage.items()},
            "coverage_ends_shared": {f"{level:g}": share for level, share in self.shared.items()},
            "z_std": self.z_std,
            "z_robust": self.z_robust,
            "rms": self.rms,
            "stated": self.stated,
            "pit_histogram": self.histogram.tolist(),
            "pit_distance": self.distance,
        }


def gaussian_intervals(errors: np.ndarray, deviations: np.ndarray) -> Intervals:
    """Judge standard deviations, read as those of Gaussians.

    Args:
        errors: float [N], estimate less truth.
        deviations: float [N], above 0, in the same unit.

    Raises:
        ValueError: shapes disagree, or a deviation is not above 0.
    """
    if errors.shape != deviations.shape or errors.ndim != 1:
        raise ValueError(f"errors {errors.shape} and deviations {deviations.shape}: give [N] both")
    if not (deviations > 0).all():
        raise ValueError("a standard deviation is above 0")
    scores = -errors / deviations
    pit = stats.norm.cdf(scores)
    held = {level: _share(np.abs(scores) <= stats.norm.ppf(0.5 + level / 2)) for level in LEVELS}
    return _judged(errors, deviations, held, Transform(pit, pit))


def drawn_intervals(draws: np.ndarray, truth: np.ndarray) -> Intervals:
    """Judge draws from stated distributions.

    The PIT of S draws, r of them below the truth, lies between r / (S + 1) and (r + 1) / (S + 1);
    draws that equal it widen that, as counts do. Intervals lie between quantiles, ends included.

    Args:
        draws: float [S, N]; NaN where a draw has no value.
        truth: float [N].

    Raises:
        ValueError: shapes disagree, or one of the N has fewer than two draws.
    """
    if draws.ndim != 2 or draws.shape[1:] != truth.shape:
        raise ValueError(f"draws {draws.shape} and truth {truth.shape}: give [S, N] and [N]")
    number = np.isfinite(draws).sum(0)
    if (number < 2).any():
        raise ValueError("give at least two draws of each number")
    low = (draws < truth).sum(0) / (number + 1)
    high = ((draws <= truth).sum(0) + 1) / (number + 1)
    held = {}
    for level in LEVELS:
        if not len(truth):
            held[level] = math.nan
            continue
        ends = _quantiles(draws, (0.5 - level / 2, 0.5 + level / 2))
        held[level] = _share((ends[0] <= truth) & (truth <= ends[1]))
    if not len(truth):
        return _judged(truth, truth, held, Transform(low, high))
    deviations = np.nanstd(draws, axis=0, ddof=1)
    return _judged(np.nanmean(draws, axis=0) - truth, deviations, held, Transform(low, high))


def _quantiles(draws: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    """[shares, N] of draws [S, N], so that a new draw lies below in just that share of cases.

    NumPy's default, which places the ends of S draws at 0 and 1, would be too narrow for few.
    """
    found: np.ndarray = np.nanquantile(draws, shares, axis=0, method="weibull")
    return found


def _judged(
    errors: np.ndarray, deviations: np.ndarray, held: dict[float, float], transform: Transform
) -> Intervals:
    if not len(errors):
        nan = math.nan
        shared = dict.fromkeys(LEVELS, nan)
        return Intervals(0, held, shared, nan, nan, nan, nan, np.full(BINS, nan), nan, transform)
    known = deviations > 0  # draws may all agree
    scores = np.abs(errors[known] / deviations[known])
    return Intervals(
        count=len(errors),
        coverage=held,
        shared={level: transform.central(level) for level in LEVELS},
        z_std=_rms(scores) if known.any() else math.nan,
        z_robust=float(_ROBUST * np.median(scores)) if known.any() else math.nan,
        rms=_rms(errors),
        stated=_rms(deviations),
        histogram=transform.histogram(),
        distance=transform.distance(),
        transform=transform,
    )


def _share(held: np.ndarray) -> float:
    return float(held.mean()) if len(held) else math.nan


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.square(values).mean()))


@dataclass(frozen=True)
class Reliability:
    """Confidences against what came true, in equal parts of 0..1.

    Attributes:
        edges: float64 [bins + 1].
        counts: int64 [bins].
        stated: float64 [bins] mean confidence; NaN where there is none.
        found: float64 [bins] share that came true, likewise.
        error: expected calibration error: mean over all of the distance of the two in their bin.
        brier: mean squared distance of confidence and what came true; 0 is perfect.
    """

    edges: np.ndarray
    counts: np.ndarray
    stated: np.ndarray
    found: np.ndarray
    error: float
    brier: float

    def to_dict(self) -> dict[str, object]:
        """Fit for JSON; empty bins are left out, null where there is nothing."""
        rows = [
            {"from": low, "to": high, "count": int(n), "confidence": float(s), "true": float(f)}
            for low, high, n, s, f in zip(
                self.edges, self.edges[1:], self.counts, self.stated, self.found, strict=False
            )
            if n
        ]
        nothing = not self.counts.sum()
        return {
            "bins": rows,
            "expected_calibration_error": None if nothing else self.error,
            "brier": None if nothing else self.brier,
        }


def reliability(confidence: np.ndarray, hits: np.ndarray, bins: int = BINS) -> Reliability:
    """Compare confidences with what came true.

    Args:
        confidence: float [N] in 0..1.
        hits: bool [N].
        bins: equal parts of 0..1; an upper edge belongs to the next part, 1 to the last.

    Raises:
        ValueError: shapes disagree, or a confidence lies outside 0..1.
    """
    if confidence.shape != hits.shape:
        raise ValueError(f"{confidence.shape} confidences, {hits.shape} hits")
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise ValueError("a confidence lies in 0..1")
    confidence = confidence.astype(np.float64)
    edges = np.linspace(0, 1, bins + 1)
    which = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    counts = np.bincount(which, minlength=bins)
    some = np.where(counts > 0, counts, np.nan)
    stated = np.bincount(which, confidence, bins) / some
    found = np.bincount(which, hits.astype(np.float64), bins) / some
    if not len(confidence):
        return Reliability(edges, counts, stated, found, math.nan, math.nan)
    error = float(np.nansum(counts * np.abs(stated - found)) / len(confidence))
    return Reliability(
        edges, counts, stated, found, error, float(np.square(confidence - hits).mean())
    )
