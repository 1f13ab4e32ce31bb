"""Errors of centres by how much of an object is in view, against figures put in by hand."""

from __future__ import annotations

import numpy as np
import pytest

from scalor_ppl.data import Truth
from scalor_ppl.data.truth import share_in_view
from scalor_ppl.evaluation.edges import edge_errors
from scalor_ppl.tracks.table import Tracks

SIZE = (40, 40)


def leaving(frames: int = 9) -> Truth:
    """An object of 8 pixels that leaves to the left by a pixel a frame, and one that stands."""
    boxes = np.full((frames, 2, 4), 8.0, np.float32)
    boxes[:, 0, 0] = 1.0 - np.arange(frames)
    boxes[:, 0, 1] = 16.0
    boxes[:, 1, :2] = 28.0
    return Truth(np.array([3, 4]), boxes, share_in_view(boxes, *SIZE), None, 8.0)


def found(truth: Truth, shift: np.ndarray) -> Tracks:
    """Tracks of it, the first object's shifted by ``[T]`` pixels to the right."""
    boxes = truth.boxes.copy()
    boxes[:, 0, 0] += shift
    ids = np.tile(np.array([[7, 5]]), (len(boxes), 1))
    none = np.zeros(ids.shape, bool)
    return Tracks(ids=ids, boxes=boxes, presence=np.ones(ids.shape), discovered=none)


def test_errors_are_those_that_were_put_in() -> None:
    truth = leaving()
    share = truth.visible[:, 0]
    shift = np.where(share < 1, 2 * (1 - share), 0.0)  # it lags by a quarter of each step
    errors = {each.low: each for each in edge_errors([found(truth, shift)], [truth], SIZE)}
    # Steps to shares of 7/8 and 6/8, of 5/8 and 4/8, of 3/8 and 2/8, of 1/8.
    assert [errors[low].objects for low in (0.75, 0.5, 0.25, 0.08)] == [2, 2, 2, 1]
    assert errors[0.75].error == pytest.approx(np.sqrt((0.25**2 + 0.5**2) / 2))
    assert errors[0.75].inwards == pytest.approx(0.375)
    assert errors[0.25].inwards == pytest.approx((1.25 + 1.5) / 2)
    assert errors[0.08].speed == pytest.approx(0.75)
    whole = errors[1.0]
    assert whole.objects == 8 + 1  # the one that stands, and the first step of the other
    assert (whole.error, whole.inwards) == (0.0, None)


def test_what_is_found_by_another_track_has_made_no_step() -> None:
    truth = leaving()
    tracks = found(truth, np.zeros(9))
    tracks.ids[4:, 0] = 8
    apart = {each.low: each.objects for each in edge_errors([tracks], [truth], SIZE)}
    assert apart[0.5] == 1


def test_a_corner_pulls_both_ways() -> None:
    boxes = np.zeros((2, 1, 4), np.float32)
    boxes[:] = (-2.0, -2.0, 8.0, 8.0)
    truth = Truth(np.array([0]), boxes, share_in_view(boxes, *SIZE), None, 8.0)
    tracks = Tracks(
        ids=np.zeros((2, 1), int),
        boxes=boxes + np.array([1, 1, 0, 0], np.float32),
        presence=np.ones((2, 1)),
        discovered=np.zeros((2, 1), bool),
    )
    (error,) = edge_errors([tracks], [truth], SIZE)
    assert error.inwards == pytest.approx(np.sqrt(2))
    assert error.error == pytest.approx(np.sqrt(2))


def test_nothing_found_is_no_error() -> None:
    truth = leaving()
    tracks = found(truth, np.zeros(9))
    tracks.presence[:] = 0
    assert edge_errors([tracks], [truth], SIZE) == []
