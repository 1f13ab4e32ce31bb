"""The likelihood of tracks against the density of a Gaussian, and what no estimate can be below."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from test_diffusion import rows_at
from test_diffusion_fit import walk

from scalor_ppl.evaluation.diffusion_likelihood import (
    MotionLaw,
    fisher_information,
    growth,
    maximise,
)
from scalor_ppl.evaluation.stretches import stretches
from scalor_ppl.evaluation.walks import Walks


def dense(
    moved: np.ndarray, frames: np.ndarray, variances: np.ndarray, law: MotionLaw, exposure: float
) -> float:
    """Log density of the steps of one coordinate, by the covariance of its positions."""
    apart = np.abs(frames[:, None] - frames)
    square = 2 * law.diffusion * growth(np.maximum(apart, 1), law.alpha, exposure) * (apart > 0)
    # Any place of the start gives the same steps; that of the first row is taken as 0.
    places = (square[:, :1] + square[:1] - square) / 2 + np.diag(variances + law.variance)
    turn = np.diff(np.eye(len(frames)), axis=0)
    covariance = turn @ places @ turn.T
    return float(stats.multivariate_normal(np.zeros(len(moved)), covariance).logpdf(moved))


@pytest.mark.parametrize("exposure", [0.0, 1.0])
def test_the_maximum_is_that_of_the_density(exposure: float) -> None:
    """Seven tracks with gaps and errors of their own; the gradient of the density is 0 there."""
    rng = np.random.default_rng(3)
    places = walk(24, 25, 0.4, 0.1, seed=4)
    places[rng.random(places.shape[:2]) < 0.05] = np.nan
    table = rows_at(places)
    spread = rng.uniform(0.05, 0.3, (len(table), 2))
    walks = Walks(table, drift=True)
    cut = stretches(walks, spread=spread)
    found = maximise(cut, MotionLaw(0.3), (True, True, True), exposure)
    assert found is not None

    order = walks.rows

    def value(law: MotionLaw) -> float:
        total = 0.0
        for n in range(25):
            rows = np.flatnonzero(walks.objects == n)
            gaps = np.flatnonzero(np.diff(walks.index[rows]) > 2) + 1
            for run in np.split(rows, gaps):
                if len(run) < 3:
                    continue
                for axis in (0, 1):
                    moved = np.diff(walks.places[run, axis])
                    noise = np.square(spread[order[run], axis])
                    total += dense(moved, walks.index[run], noise, law, exposure)
        return total

    deviations = np.sqrt(np.diag(found.covariance))
    top = np.array([np.log(found.law.diffusion), found.law.alpha, found.law.variance])
    for n in range(3):
        step = np.zeros(3)
        step[n] = 0.05 * deviations[n]
        there, here, back = (
            value(MotionLaw(float(np.exp(p[0])), float(p[1]), float(p[2])))
            for p in (top - step, top, top + step)
        )
        slope, curve = (back - there) / (2 * 0.05), (there + back - 2 * here) / 0.05**2
        assert curve < -0.9  # by 1 a standard error squared or more: the three go together
        assert abs(slope / curve) < 0.02  # of a standard error


def test_the_bound_is_that_of_the_spectrum() -> None:
    """Whittle's information of many steps, of spectrum 2 D + s^2 (2 - 2 cos w)."""
    places = walk(100, 20, 0.25)
    cut = stretches(Walks(rows_at(places), drift=True))
    steps = 20 * 99 * 2
    without = fisher_information(cut, MotionLaw(0.25))
    assert without[0, 0] == pytest.approx(steps / 2, rel=1e-6)
    for variance in (0.25, 2.0):
        noisy = fisher_information(cut, MotionLaw(0.25, variance=variance))
        waves = np.linspace(0, np.pi, 20001)
        white = 2 - 2 * np.cos(waves)
        slopes = np.stack([np.full_like(waves, 0.5), white]) / (0.5 + variance * white)
        wanted = steps / 2 * (slopes[:, None] * slopes).mean(-1)
        assert noisy[np.ix_([0, 2], [0, 2])] == pytest.approx(wanted, rel=0.06)


def test_a_law_that_is_none() -> None:
    cut = stretches(Walks(rows_at(walk(20, 20, 0.25)), drift=True))
    with pytest.raises(ValueError, match="no law of motion"):
        fisher_information(cut, MotionLaw(0.25, variance=-0.3))
    assert maximise(cut, MotionLaw(0.25, variance=-0.3), (True, True, True)) is None


def test_where_tracks_are_cut() -> None:
    places = walk(60, 30, 0.25)
    places[10, 0] = np.nan  # bridged
    places[20:22, 1] = np.nan  # cut
    table = rows_at(places)
    spread = np.full((len(table), 2), 0.1)
    spread[(table.objects == 2) & (table.frames == 30)] = np.nan  # cut, and left out
    cut = stretches(Walks(table), spread=spread)
    assert sorted(cut.rows.tolist()) == sorted([59, 20, 38, 30, 29] + [60] * 27)
    assert cut.number == 30
    assert cut.variance == pytest.approx(0.01)
    bridged = cut.times[cut.rows.tolist().index(59)]
    assert bridged[9:12].tolist() == [9, 11, 12]
    assert sum(len(block.rows) for block in cut.blocks()) == len(cut.rows)
    # Long ones are cut into even parts; of few tracks, the parts are what is independent.
    few = stretches(Walks(rows_at(walk(95, 3, 0.25)), drift=True))
    assert few.rows.tolist() == [23] * 3 + [24] * 9
    assert few.number == 12
