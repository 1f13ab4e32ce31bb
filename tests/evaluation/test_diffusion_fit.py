"""D, exponent and static error from walks whose law is known; intervals that hold what they say."""

from __future__ import annotations

import numpy as np
import pytest
from test_diffusion import rows_at

from scalor_ppl.evaluation.diffusion_fit import DiffusionFit, IntervalEstimate, fit_diffusion
from scalor_ppl.evaluation.diffusion_likelihood import growth
from scalor_ppl.evaluation.motion import measure_motion
from scalor_ppl.evaluation.step_statistics import step_statistics, track_diffusion
from scalor_ppl.evaluation.walks import Walks

FINE = 16  # moments of a frame


def walk(
    frames: int,
    objects: int,
    diffusion: float,
    error: float = 0.0,
    exposure: float = 0.0,
    seed: int = 0,
) -> np.ndarray:
    """[T, N, 2] Brownian places, means over an exposure, with a white error."""
    rng = np.random.default_rng(seed)
    fine = FINE if exposure else 1
    step = np.sqrt(2 * diffusion / fine)
    places = rng.normal(0, step, (frames * fine, objects, 2)).cumsum(0)
    seen = max(1, round(exposure * fine))
    places = places.reshape(frames, fine, objects, 2)[:, :seen].mean(1)
    return places + rng.normal(0, error, places.shape)


def fractional(frames: int, objects: int, alpha: float, seed: int = 0) -> np.ndarray:
    """[T, N, 2] fractional Brownian motion of mean square 2 t^alpha."""
    times = np.arange(1.0, frames + 1)
    covariance = times[:, None] ** alpha + times**alpha - abs(times[:, None] - times) ** alpha
    root = np.linalg.cholesky(covariance / 2)
    return np.einsum(
        "st,tna->sna", root, np.random.default_rng(seed).normal(size=(frames, objects, 2))
    )


def fitted(
    places: np.ndarray, exposure: float = 0.0, spread: np.ndarray | None = None
) -> DiffusionFit:
    """The fit of places [T, N, 2], with stated deviations of the same shape if any."""
    stated = None if spread is None else spread[np.isfinite(places[..., 0])]
    return fit_diffusion(Walks(rows_at(places)), exposure=exposure, spread=stated)


@pytest.mark.parametrize("exposure", [0.25, 1.0])
def test_blur_of_free_diffusion_takes_a_third_of_the_exposure(exposure: float) -> None:
    lags = np.array([1.0, 2, 5, 10])
    assert growth(lags, 1.0, exposure) == pytest.approx(lags - exposure / 3)
    # Any exponent: the mean over both exposures of the mean square, less that within one.
    moments = (np.arange(400) + 0.5) / 400 * exposure
    apart = moments[:, None] - moments
    for alpha in (0.5, 1.6):
        wanted = [(abs(t + apart) ** alpha - abs(apart) ** alpha).mean() for t in lags]
        assert growth(lags, alpha, exposure) == pytest.approx(wanted, rel=2e-3)
    assert growth(lags, 1.3, 1e-4) == pytest.approx(growth(lags, 1.3, 0.0), rel=1e-4)


@pytest.mark.parametrize(("error", "exposure"), [(0.05, 0.0), (0.5, 0.0), (0.3, 1.0), (0.0, 0.5)])
def test_all_three_are_found_together(error: float, exposure: float) -> None:
    found = fitted(walk(100, 300, 0.25, error, exposure), exposure)
    assert found.diffusion.value == pytest.approx(0.25, rel=0.05)
    assert found.alpha.value == pytest.approx(1, abs=0.03)
    assert found.variance.value == pytest.approx(error**2, abs=0.015)
    assert found.free.value == pytest.approx(0.25, rel=0.02)
    assert found.free_variance.value == pytest.approx(error**2, abs=0.006)
    assert len(found.lags) == 10
    assert found.fitted == pytest.approx(
        4 * 0.25 * growth(found.lags, 1.0, exposure) + 4 * error**2, rel=0.03
    )


def test_blur_that_is_not_told_makes_the_static_error_negative() -> None:
    found = fitted(walk(100, 200, 0.25, 0.0, 1.0))
    assert found.free_variance.value == pytest.approx(-0.25 / 3, abs=0.01)
    assert found.variance.high < 0


@pytest.mark.parametrize("alpha", [0.6, 1.5])
def test_other_exponents(alpha: float) -> None:
    found = fitted(fractional(60, 300, alpha))
    assert found.alpha.value == pytest.approx(alpha, abs=0.05)
    assert found.diffusion.value == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize(("alpha", "stated"), [(1.0, False), (0.7, True)])
def test_intervals_hold_the_truth_in_nine_of_ten(alpha: float, stated: bool) -> None:
    error, trials = 0.2, 30
    held, found = dict.fromkeys(("alpha", "diffusion", "variance", "excess"), 0), []
    truth = {"alpha": alpha, "diffusion": 0.5, "variance": error**2, "excess": 0.0}
    for seed in range(trials):
        places = fractional(40, 30, alpha, seed)
        places += np.random.default_rng(1000 + seed).normal(0, error, places.shape)
        fit = fitted(places, spread=np.full(places.shape, error) if stated else None)
        found.append([fit.alpha.value, np.log(fit.diffusion.value / 0.5)])
        for name, value in truth.items():
            estimate: IntervalEstimate = getattr(fit, name)
            held[name] += estimate.low <= value <= estimate.high
    told = ["alpha", "diffusion", "excess" if stated else "variance"]
    assert all(held[name] / trials >= 0.8 for name in told)  # .9 or more, less two errors of 30
    assert 0.86 <= sum(held[name] for name in told) / (3 * trials) < 1
    # Without bias, to within three standard errors of this many.
    deviation = np.std(found, axis=0)
    assert (np.abs(np.mean(found, axis=0) - [alpha, 0]) < 3 * deviation / trials**0.5).all()
    # And tight, above all where the positions state their errors.
    assert deviation[0] < (0.035 if stated else 0.09)
    assert deviation[1] < (0.05 if stated else 0.16)


def test_an_error_that_is_stated_makes_the_rest_certain() -> None:
    rng = np.random.default_rng(0)
    places = walk(60, 45, 0.25)
    spread = rng.uniform(0.02, 0.6, places.shape)
    places += rng.normal(0, 1, places.shape) * spread
    known, blind = fitted(places, spread=spread), fitted(places)
    assert (known.stated, blind.stated) == (True, False)
    for one, other in ((known.diffusion, blind.diffusion), (known.alpha, blind.alpha)):
        assert one.high - one.low < 0.6 * (other.high - other.low)
    assert known.alpha.value == pytest.approx(1, abs=0.05)
    assert known.variance.value == pytest.approx(np.square(spread).mean(), rel=1e-6)
    assert np.isnan(known.variance.low)
    assert known.excess.low < 0 < known.excess.high
    assert np.isnan(blind.excess.value)
    # Errors of half a pixel in a tenth of the places, which nobody states.
    wrong = places + rng.normal(0, 0.5, places.shape)
    assert fitted(wrong, spread=spread).excess.value == pytest.approx(0.25, abs=0.06)


def test_a_position_that_was_not_measured_is_left_out() -> None:
    places = walk(60, 60, 0.25)
    spread = np.full(places.shape, 0.01)
    lost = np.random.default_rng(0).random(places.shape[:2]) < 0.1
    places[lost] += 5.0
    spread[lost] = np.nan
    # Nor does it tell the drift.
    found = measure_motion(rows_at(places), spread=spread.reshape(-1, 2)).fit
    assert found.diffusion.value == pytest.approx(0.25, rel=0.05)
    assert found.alpha.value == pytest.approx(1, abs=0.05)


def test_of_few_long_tracks_stretches_are_told_apart() -> None:
    found = fitted(walk(600, 3, 0.25, 0.1))
    assert found.groups == 3 * 20
    assert found.free.low < 0.25 < found.free.high
    assert np.isnan(fitted(walk(20, 2, 0.25)).alpha.low)


@pytest.mark.parametrize("stride", [2, 5])
def test_gaps_and_strides_change_nothing(stride: int) -> None:
    places = walk(80, 120, 0.25, 0.3)
    sparse = np.full((80 * stride, 120, 2), np.nan)
    sparse[::stride] = places
    found = fit_diffusion(Walks(rows_at(sparse)), unit=stride)
    every = fit_diffusion(Walks(rows_at(places)))
    assert found.lags.tolist() == [stride * n for n in range(1, 11)]
    assert found.free.value == pytest.approx(every.free.value / stride, rel=1e-4)
    assert found.alpha.value == pytest.approx(every.alpha.value, abs=1e-3)
    gone = np.random.default_rng(1).random(places.shape[:2]) < 0.2
    places[gone] = np.nan
    holed = fitted(places)
    assert holed.free.value == pytest.approx(0.25, rel=0.05)
    assert holed.alpha.value == pytest.approx(1, abs=0.05)


def test_each_track_by_itself() -> None:
    walks = Walks(rows_at(walk(60, 2000, 0.25, 0.3)))
    each = track_diffusion(walks, tuple(range(1, 2001)))
    assert each.diffusion.mean() == pytest.approx(0.25, rel=0.03)
    assert each.variance.mean() == pytest.approx(0.09, rel=0.1)
    assert each.diffusion.std() == pytest.approx(np.median(each.deviation), rel=0.06)
    assert (each.steps == 59).all()
    assert (each.labels[3], each.first[3], each.last[3], each.rows[3]) == (4, 1, 60, 60)
    blurred = Walks(rows_at(walk(60, 1000, 0.25, 0.1, 1.0)))
    each = track_diffusion(blurred, tuple(range(1, 1001)), exposure=1.0)
    assert each.variance.mean() == pytest.approx(0.01, abs=0.004)
    assert each.diffusion.std() == pytest.approx(np.median(each.deviation), rel=0.08)


def test_steps_of_a_walk_are_gaussian_and_forget() -> None:
    found = step_statistics(Walks(rows_at(walk(80, 300, 0.25, 0.5))))
    square = 4 * 0.25 + 4 * 0.25
    assert found.non_gaussian == pytest.approx(0, abs=0.03)
    assert found.median == pytest.approx(np.sqrt(square * np.log(2)), rel=0.02)
    assert (found.density * np.diff(found.edges)).sum() == pytest.approx(1)
    assert found.density[:20] == pytest.approx(found.gaussian[:20], abs=0.06)
    assert found.correlation[:2] == pytest.approx([1, -0.25], abs=0.02)  # -2 s^2 of 4 D + 4 s^2
    assert found.correlation[2:] == pytest.approx(0, abs=0.02)
    assert abs(found.correlation[2:] / found.error[2:]).max() < 4
    assert not found.lagging


def test_positions_that_lag_are_told_from_motion_that_goes_on() -> None:
    places = walk(80, 200, 0.25, 0.05)
    smooth = places.copy()
    for t in range(1, len(places)):
        smooth[t] = 0.4 * smooth[t - 1] + 0.6 * places[t]
    found = step_statistics(Walks(rows_at(smooth)))
    assert found.correlation[1] == pytest.approx(0.4, abs=0.03)
    assert found.lagging
    speeds = np.random.default_rng(0).normal(0, 0.5, (200, 2))
    drifting = step_statistics(Walks(rows_at(places + np.arange(80)[:, None, None] * speeds)))
    assert drifting.correlation[1:].min() > 0.2
    assert not drifting.lagging
    open_shutter = Walks(rows_at(walk(80, 200, 0.25, 0.0, 1.0)))
    assert not step_statistics(open_shutter, exposure=1.0).lagging
    assert step_statistics(open_shutter).lagging


def test_nothing_to_measure() -> None:
    for places in (np.full((4, 1, 2), np.nan), np.zeros((1, 3, 2))):
        walks = Walks(rows_at(places))
        found = fit_diffusion(walks)
        assert np.isnan([found.alpha.value, found.free.value]).all()
        assert step_statistics(walks).steps == 0
    still = fitted(np.zeros((30, 5, 2)))
    assert np.isnan(still.alpha.value)
