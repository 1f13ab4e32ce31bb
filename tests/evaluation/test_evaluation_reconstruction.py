"""The reconstruction's error."""

import numpy as np
import pytest

from scalor_ppl.evaluation import mean_squared_error


def test_units_are_full_brightness() -> None:
    black = np.zeros((2, 4, 5, 3), dtype=np.uint8)
    assert mean_squared_error(black, black) == 0
    assert mean_squared_error(black, black + np.uint8(255)) == pytest.approx(1)
    assert mean_squared_error(black, np.full(black.shape, 0.1)) == pytest.approx(0.01)
    assert mean_squared_error(np.full(black.shape, 51, np.uint8), black) == pytest.approx(0.04)


def test_equals_the_plain_formula() -> None:
    rng = np.random.default_rng(0)
    video = rng.integers(0, 256, (3, 8, 6, 1), dtype=np.uint8)
    made = rng.random((3, 8, 6, 1), dtype=np.float32)
    expected = ((video / 255 - made.astype(np.float64)) ** 2).mean()
    assert mean_squared_error(video, made) == pytest.approx(expected, rel=1e-6)


def test_mistakes_of_the_caller() -> None:
    video = np.zeros((1, 2, 2, 1), dtype=np.uint8)
    with pytest.raises(ValueError, match="differ"):
        mean_squared_error(video, video[:, :1])
    with pytest.raises(ValueError, match="nothing"):
        mean_squared_error(video[:0], video[:0])
    with pytest.raises(ValueError, match="uint8 or float"):
        mean_squared_error(video, video.astype(np.int64))
