"""How much of objects a few learned shapes leave."""

import numpy as np
import pytest

from scalor_ppl.fitting.painting import looks, unpainted


def mixtures(count: int, shapes: int, noise: float, seed: int = 0) -> np.ndarray:
    """Looks of 60 pixels that mix so many shapes, and noise beside."""
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(count, shapes)) @ random.normal(size=(shapes, 60))
    return 5 + mixed + noise * random.normal(size=(count, 60))


def test_what_few_shapes_paint_leaves_the_noise() -> None:
    assert unpainted(mixtures(4000, 3, 0.2)) == pytest.approx(0.2, rel=0.1)
    assert unpainted(mixtures(400, 8, 0.0)) == pytest.approx(0.0, abs=1e-6)


def test_more_shapes_than_are_learned_are_left() -> None:
    left = unpainted(mixtures(400, 30, 0.0))
    assert left is not None
    assert 2 < left < 30**0.5


def test_too_few_looks_tell_nothing() -> None:
    assert unpainted(mixtures(63, 2, 0.1)) is None
    assert unpainted(mixtures(64, 2, 0.1)) is not None


def test_a_look_spans_a_box_and_a_fifth_about_its_object() -> None:
    rows, columns = np.mgrid[:40, :60]
    ramp = np.stack((rows, columns), -1).astype(np.float32)
    seen = looks(ramp, np.array([[20.0, 30.0]]), np.array([10.0, 5.0]), np.array([2.0]))
    across = seen.reshape(1, 12, 12, 2)
    assert across.mean((1, 2)) == pytest.approx(np.array([[20, 30]]))
    # Samples lie in the middle of their twelfths.
    assert np.ptp(across[0, :, 0, 0]) == pytest.approx(1.2 * 20 * 11 / 12, rel=1e-5)
    assert np.ptp(across[0, 0, :, 1]) == pytest.approx(1.2 * 10 * 11 / 12, rel=1e-5)


def test_looks_that_leave_the_frame_are_left_out() -> None:
    change = np.zeros((40, 60, 3), np.float32)
    centres = np.array([[20.0, 30.0], [3.0, 30.0], [20.0, 58.0]])
    assert looks(change, centres, np.array([10.0, 10.0]), np.ones(3)).shape == (1, 432)
    assert looks(change, centres[1:], np.array([10.0, 10.0]), np.ones(2)).shape == (0, 432)
