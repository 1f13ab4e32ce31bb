"""The Cramer-Rao bound of a spot's position, against limits that are known and against fits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares

from scalor_ppl.data.particle_specs import PARTICLE_SETS
from scalor_ppl.data.spots import light, sensed
from scalor_ppl.evaluation.cramer_rao import Unknown, position_bound, spot_gradients

NOISES = {name: PARTICLE_SETS[name] for name in ("particles-ld", "particles-ld-noisy")}


def bound(
    width: float, peak: float, background: float, read: float, gain: float, *unknown: Unknown
) -> np.ndarray:
    return position_bound(
        np.array([[0.3, 0.6]]),
        np.array([width]),
        np.array([peak]),
        background=background,
        read_noise=read,
        gain=gain,
        unknown=unknown,
    )[0]


def test_limits_for_small_pixels() -> None:
    # Gaussian noise: v / (A^2 pi / 2), whatever the width; rounding adds 1 / 12.
    for width in (3.0, 6.0):
        wanted = np.sqrt((5.0**2 + 1 / 12) * 2 / np.pi) / 80
        assert bound(width, 80, 0, 5.0, 0.0) == pytest.approx([wanted] * 2, rel=0.01)
    # Photons alone, no background: width / sqrt(number of photons).
    photons = 4e4
    peak = photons / (2 * np.pi * 9)
    assert bound(3.0, peak, 0, 0.0, 1.0) == pytest.approx([3 / np.sqrt(photons)] * 2, rel=0.02)


def test_what_is_not_known_costs_little_where_a_spot_is_symmetric() -> None:
    known = bound(2.0, 80, 25, 2.0, 0.1)
    every = bound(2.0, 80, 25, 2.0, 0.1, "peak", "width", "background")
    assert (every >= known).all()
    assert every == pytest.approx(known, rel=0.005)
    assert bound(0.4, 80, 25, 2.0, 0.1, "width")[0] > bound(0.4, 80, 25, 2.0, 0.1)[0]


def test_derivatives_are_those_of_what_is_painted() -> None:
    theta = np.array([10.3, 10.6, 80.0, 1.7, 25.0])
    level, gradient = spot_gradients(theta[None, :2], theta[3:4], theta[2:3], theta[4])
    half = int(np.ceil(5 * theta[3]))

    def painted(at: np.ndarray) -> np.ndarray:
        whole = at[4] + light(at[None, :2], at[3:4], at[2:3], 24, 24)
        return whole[10 - half : 11 + half, 10 - half : 11 + half].ravel()

    assert level[0] == pytest.approx(painted(theta), abs=1e-9)
    for n in range(5):
        step = np.zeros(5)
        step[n] = 1e-5
        numeric = (painted(theta + step) - painted(theta - step)) / 2e-5
        assert gradient[0, :, n] == pytest.approx(numeric, abs=1e-5)


@pytest.mark.parametrize("name", NOISES)
def test_a_fit_of_greatest_likelihood_comes_up_to_it(name: str) -> None:
    spec, rng = NOISES[name], np.random.default_rng(0)
    side, draws = 21, 150
    errors = np.empty((draws, 2))
    for n in range(draws):
        truth = np.array([*(10.5 + rng.uniform(-0.5, 0.5, 2)), spec.peak, spec.width, 25.0])
        level = truth[4] + light(truth[None, :2], truth[3:4], truth[2:3], side, side)
        seen = sensed(level, spec.read_noise, spec.gain, rng)
        deviation = np.sqrt(spec.variance(level))

        def residual(at: np.ndarray, seen: np.ndarray = seen, by: np.ndarray = deviation):  # type: ignore[no-untyped-def]
            drawn = at[4] + light(at[None, :2], at[3:4], at[2:3], side, side)
            return ((drawn - seen) / by).ravel()

        errors[n] = least_squares(residual, truth).x[:2] - truth[:2]
    wanted = position_bound(
        np.array([[10.7, 10.6]]),
        np.array([spec.width]),
        np.array([spec.peak]),
        background=spec.background,
        read_noise=spec.read_noise,
        gain=spec.gain,
    )[0]
    # Of 300 coordinates the root mean square has an error of 4 %.
    assert np.sqrt(np.square(errors).mean()) == pytest.approx(wanted.mean(), rel=0.12)
    assert abs(errors.mean(0)) == pytest.approx(0, abs=4 * wanted.mean() / np.sqrt(draws))
    expected = {"particles-ld": 0.031, "particles-ld-noisy": 0.10}[name]
    assert wanted.mean() == pytest.approx(expected, rel=0.1)
