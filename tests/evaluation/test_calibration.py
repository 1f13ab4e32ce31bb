"""Stated uncertainties against errors whose distribution is known exactly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from scalor_ppl.errors import UserError
from scalor_ppl.evaluation.calibration import (
    LEVELS,
    drawn_intervals,
    gaussian_intervals,
    reliability,
)
from scalor_ppl.evaluation.scale_fit import fit_offset_and_scale, fit_scale, with_outside
from scalor_ppl.tracks.deviations import FEATURES

NUMBER = 4000
UNIFORM = (np.arange(NUMBER) + 0.5) / NUMBER


def features(deviation: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """Rows with all else at 0."""
    made = np.zeros((len(deviation), len(FEATURES)))
    made[:, 0] = 1
    made[:, FEATURES.index("deviation")] = np.log(deviation)
    made[:, FEATURES.index("covered")] = covered
    return made


def test_gaussian_errors_of_the_stated_deviation_are_honest() -> None:
    deviations = np.linspace(0.1, 3, NUMBER)
    errors = np.random.default_rng(0).permutation(stats.norm.ppf(UNIFORM)) * deviations
    honest = gaussian_intervals(errors, deviations)
    for level in LEVELS:
        assert honest.coverage[level] == pytest.approx(level, abs=1 / NUMBER)
    assert honest.z_std == pytest.approx(1, abs=2e-3)
    assert honest.z_robust == pytest.approx(1, abs=2e-3)
    np.testing.assert_allclose(honest.histogram, 0.1, atol=1e-3)
    assert honest.distance < 0.005
    assert honest.rms == pytest.approx(honest.stated, rel=0.05)


def test_deviations_of_half_the_size_hold_what_follows_from_it() -> None:
    small = gaussian_intervals(stats.norm.ppf(UNIFORM), np.full(NUMBER, 0.5))
    for level in LEVELS:
        within = 2 * stats.norm.cdf(0.5 * stats.norm.ppf(0.5 + level / 2)) - 1
        assert small.coverage[level] == pytest.approx(within, abs=1e-3)
    assert small.z_std == pytest.approx(2, abs=5e-3)
    assert small.histogram[0] == pytest.approx(stats.norm.cdf(stats.norm.ppf(0.1) / 2), abs=1e-3)
    assert small.distance > 0.1


def test_heavy_tails_show_in_the_outer_intervals_and_in_one_of_the_spreads() -> None:
    errors = stats.t.ppf(UNIFORM, 3)
    heavy = gaussian_intervals(errors, np.full(NUMBER, stats.t.std(3)))
    assert heavy.coverage[0.5] > 0.6
    assert heavy.coverage[0.95] == pytest.approx(
        2 * stats.t.cdf(1.95996 * stats.t.std(3), 3) - 1, abs=1e-3
    )
    assert heavy.z_robust < 0.7 < heavy.z_std


def test_the_sign_of_an_error_decides_the_side_of_the_transform() -> None:
    above = gaussian_intervals(np.full(4, 2.0), np.ones(4))  # estimates above the truth
    assert above.histogram[0] == 1
    assert drawn_intervals(
        np.full((3, 4), 2.0) + np.eye(3, 4), np.zeros(4)
    ).transform.high.max() == (0.25)


def test_draws_of_the_true_distribution_are_honest() -> None:
    numbers = np.random.default_rng(1).normal(size=(41, 3000)) * np.linspace(0.1, 2, 3000)
    fair = drawn_intervals(numbers[1:], numbers[0])
    for level in LEVELS:
        assert fair.coverage[level] == pytest.approx(level, abs=0.03)
    assert fair.distance < 0.03
    assert fair.histogram.sum() == pytest.approx(1)


def test_counts_that_always_agree_are_right_however_discrete() -> None:
    certain = drawn_intervals(np.full((20, 5), 3.0), np.full(5, 3.0))
    assert set(certain.coverage.values()) == {1.0}
    np.testing.assert_allclose(certain.histogram, 0.1, atol=1e-12)
    assert np.isnan(certain.z_std)
    wrong = drawn_intervals(np.full((20, 5), 3.0), np.full(5, 4.0))
    assert set(wrong.coverage.values()) == {0.0}


def test_of_whole_numbers_the_ends_of_an_interval_count_in_part() -> None:
    # Nine times in ten the number is the same: its 90 % interval cannot be narrower than that one.
    random = np.random.default_rng(4)
    numbers = 3.0 + (random.random((201, 4000)) < 0.1)
    honest = drawn_intervals(numbers[1:], numbers[0])
    assert honest.coverage[0.5] == pytest.approx(0.9, abs=0.02)
    assert honest.coverage[0.95] == 1
    for level in LEVELS:
        assert honest.shared[level] == pytest.approx(level, abs=0.02)
    sure = drawn_intervals(np.full((200, 4000), 3.0), numbers[0])
    assert sure.shared[0.9] == pytest.approx(0.9 * 0.9, abs=0.02)
    assert sure.to_dict()["coverage_ends_shared"] == {f"{k:g}": v for k, v in sure.shared.items()}


def test_draws_that_are_missing_do_not_count() -> None:
    draws = np.array([[1.0, 1.0], [2.0, 3.0], [np.nan, 5.0]])
    result = drawn_intervals(draws, np.array([1.5, 4.0]))
    np.testing.assert_allclose(result.transform.low, [1 / 3, 2 / 4])
    with pytest.raises(ValueError, match="two draws"):
        drawn_intervals(draws[1:], np.array([1.5, 4.0]))


def test_reliability_of_seven_in_ten() -> None:
    confidence = np.repeat([0.7, 0.95], 10)
    hits = np.array([True] * 7 + [False] * 3 + [True] * 5 + [False] * 5)
    result = reliability(confidence, hits)
    assert result.counts.tolist() == [0] * 7 + [10, 0, 10]
    assert result.found[[7, 9]].tolist() == pytest.approx([0.7, 0.5])
    assert result.error == pytest.approx(0.225)
    assert result.brier == pytest.approx(np.square(confidence - hits).mean())
    assert reliability(np.array([1.0, 0.0]), np.array([True, False])).error == 0
    with pytest.raises(ValueError, match=r"0\.\.1"):
        reliability(np.array([1.2]), np.array([True]))


def test_nothing_to_judge() -> None:
    assert gaussian_intervals(np.empty(0), np.empty(0)).to_dict() == {"count": 0}
    assert drawn_intervals(np.empty((5, 0)), np.empty(0)).to_dict() == {"count": 0}
    assert reliability(np.empty(0), np.empty(0, bool)).to_dict()["brier"] is None


def test_the_fit_finds_the_scale_that_errors_were_drawn_with() -> None:
    rng = np.random.default_rng(2)
    guide = np.exp(rng.normal(-1, 0.5, 10_000))
    covered = rng.uniform(0, 1, 10_000) * (rng.uniform(size=10_000) < 0.4)
    scale = 2 * guide**0.8 * np.exp(1.5 * covered)
    errors = rng.standard_t(4, 10_000) * scale
    rows = features(guide, covered)
    model = fit_scale(errors, rows)
    assert model.coefficients["constant"] == pytest.approx(np.log(2), abs=0.08)
    assert model.coefficients["deviation"] == pytest.approx(0.8, abs=0.05)
    assert model.coefficients["covered"] == pytest.approx(1.5, abs=0.15)
    assert model.coefficients["outside"] == 0  # nothing was
    assert model.freedom == pytest.approx(4, rel=0.15)
    stretch = stats.t.ppf(0.95, 4) / stats.norm.ppf(0.95)
    assert model.stretch == pytest.approx(stretch, rel=0.05)

    fresh = rng.standard_t(4, 10_000) * scale
    judged = gaussian_intervals(fresh, model.deviations(rows))
    assert judged.coverage[0.9] == pytest.approx(0.9, abs=0.015)
    far = covered > 0.5
    apart = gaussian_intervals(fresh[far], model.deviations(rows)[far])
    assert apart.coverage[0.9] == pytest.approx(0.9, abs=0.03)


def test_an_offset_is_found_beside_the_scale_whatever_outliers_do() -> None:
    rng = np.random.default_rng(5)
    covered = rng.uniform(0, 1, 4000)
    scale = 0.5 * np.exp(1.2 * covered)
    errors = np.array([0.3, -0.7]) + rng.standard_t(2.5, (4000, 2)) * scale[:, None]
    rows = np.stack([features(np.ones(4000), covered)] * 2, 1)
    model = fit_offset_and_scale(errors, rows, ("constant", "covered"))
    assert model.offset == pytest.approx((0.3, -0.7), abs=0.03)
    assert model.coefficients["covered"] == pytest.approx(1.2, abs=0.1)
    judged = gaussian_intervals((errors - model.offset).ravel(), model.deviations(rows).ravel())
    assert judged.coverage[0.9] == pytest.approx(0.9, abs=0.002)
    wrong = fit_scale(errors.ravel(), rows.reshape(-1, len(FEATURES)), ("constant", "covered"))
    assert gaussian_intervals(errors[:, 1], wrong.deviations(rows)[:, 1]).distance > 0.2
    assert judged.distance < 0.08  # tails alone
    outside = with_outside(model, np.ones(100), rows[:100, 0])
    assert outside.offset == model.offset


def test_what_is_partly_out_of_view_is_fitted_for_itself() -> None:
    rng = np.random.default_rng(3)
    inside = features(np.full(5000, 0.5), np.zeros(5000))
    model = fit_scale(rng.normal(0, 0.5, 5000), inside, ("constant",))
    outside = inside.copy()
    outside[:, FEATURES.index("outside")] = 0.5
    wide = with_outside(model, rng.normal(0, 0.5 * np.exp(1.0), 5000), outside)
    assert wide.coefficients["outside"] == pytest.approx(2, abs=0.15)
    np.testing.assert_array_equal(wide.deviations(inside), model.deviations(inside))
    assert with_outside(model, rng.normal(0, 0.1, 5000), outside).coefficients["outside"] == 0
    assert with_outside(model, np.ones(3), outside[:3]) == model


def test_too_few_errors_are_refused() -> None:
    with pytest.raises(UserError, match="more --clips"):
        fit_scale(np.ones(5), np.ones((5, len(FEATURES))))
