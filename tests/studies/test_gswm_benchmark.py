"""The metric of G-SWM's benchmark, and its floors against those of the published simulator."""

from __future__ import annotations

import numpy as np
import pytest

from scalor_ppl.data.discs import DiscSource
from scalor_ppl.data.gswm_specs import GSWM_SETS
from scalor_ppl.evaluation.summed_error import assigned_distances, summed_error
from scalor_ppl.studies.foreseeing import ForesightQuestion
from scalor_ppl.studies.gswm_benchmark import floors


def test_predictions_stay_with_the_object_they_are_assigned_to_at_first() -> None:
    true = np.array([[(0.0, 0), (10, 0)], [(0, 0), (10, 0)]])
    # The second prediction begins at the first object, and they change places.
    predicted = np.array([[(10.0, 3), (0, 4)], [(0, 0), (10, 0)]])
    assert assigned_distances(predicted, true) == pytest.approx(np.array([[4, 3], [10, 10]]))


def test_assignment_makes_the_sum_of_squares_least() -> None:
    true = np.array([[(0.0, 0), (2, 0)]])
    predicted = np.array([[(2.0, 0), (4.1, 0)]])
    # Distances would as soon be 0 and 4.1: their sum is the same, their squares' is not.
    assert assigned_distances(predicted, true) == pytest.approx(np.array([[2, 2.1]]))


def test_what_is_not_there_at_first_is_not_assigned_and_what_goes_is_lost() -> None:
    true = np.zeros((2, 2, 2))
    predicted = np.array([[(np.nan, np.nan), (3, 4)], [(0, 0), (np.nan, np.nan)]])
    distances = assigned_distances(predicted, true)
    assert distances.shape == (2, 1)
    error = summed_error([distances, np.full((2, 1), 3.0)], objects=4, side=2)
    assert (error.objects, error.matched, error.lost) == (4, 2, 0.5)
    assert error.mean == pytest.approx((2.0, 1.5))
    assert error.summed(2) == pytest.approx(3.5)
    assert np.isnan(error.summed(3))


@pytest.mark.parametrize(
    ("name", "still", "straight", "half", "tenth"),
    [
        ("gswm-occlusion", 2.199, 0.0, 0.150, 0.032),
        ("gswm-interaction", 1.745, 0.809, 0.243, 0.058),
        ("gswm-two-layer", 1.742, 0.769, 0.239, 0.056),
        ("gswm-dense", 1.642, 1.135, 0.438, 0.147),
    ],
)
def test_floors_are_those_of_the_published_simulator(
    name: str, still: float, straight: float, half: float, tenth: float
) -> None:
    """Theirs are of 100 clips, whose standard error is up to a tenth where balls collide."""
    source = DiscSource(GSWM_SETS[name], split="test", seed=2020)
    found = floors(source, ForesightQuestion(clips=400, observe=10, ahead=10))
    sums = [each.summed(10) for each in found.values()]
    assert sums[0] == pytest.approx(still, rel=0.06)
    assert sums[1] == pytest.approx(straight, rel=0.15, abs=1e-9)
    assert sums[2] == pytest.approx(half, rel=0.2)
    # Theirs moves in tenths of a frame, which adds to the smallest errors.
    assert 0.6 * tenth < sums[3] < 1.2 * tenth


def test_floors_of_sets_without_a_simulator() -> None:
    source = DiscSource(GSWM_SETS["gswm-single-ball"], split="test")
    found = floors(source, ForesightQuestion(clips=5, observe=5, ahead=4))
    assert list(found) == ["stands still"]
    # A quarter, two, three and four of the way from the middle to a corner.
    step = np.hypot(25, 25) / 4 / 64
    assert found["stands still"].mean == pytest.approx([step, 2 * step, 3 * step, 4 * step])
