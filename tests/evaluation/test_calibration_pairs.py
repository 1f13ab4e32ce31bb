"""Which tracks are compared with which objects."""

from __future__ import annotations

import numpy as np

from scalor_ppl.data import Truth
from scalor_ppl.evaluation.calibration_pairs import stated_and_true, together
from scalor_ppl.tracks.table import Tracks


def truth() -> Truth:
    """One object in view, one half out of it, one sliver; the gate is 8 pixels."""
    boxes = np.array([[[10, 10, 4, 4], [-2, 30, 4, 4], [38.5, 20, 4, 4]]], np.float32)
    visible = np.array([[1, 0.5, 0.1]], np.float32)
    return Truth(np.arange(3), boxes, visible, None, 4.0)


def tracks() -> Tracks:
    """One on each object, one false, one that is doubted, one empty slot."""
    boxes = np.array(
        [[[11, 9, 6, 4], [-1, 30, 4, 4], [38, 20, 4, 4], [20, 30, 4, 4], [10, 14, 4, 4], [0] * 4]],
        np.float32,
    )
    ids = np.array([[0, 1, 2, 3, 4, -1]])
    presence = np.array([[0.9, 0.8, 0.7, 0.6, 0.3, 0]], np.float32)
    spread = np.full((1, 6, 2), 0.5)
    return Tracks(ids, boxes, presence, np.zeros((1, 6), bool), spread=spread)


def test_pairs_errors_and_hits() -> None:
    found = stated_and_true(tracks(), truth(), (40, 40))
    assert found.whole.tolist() == [True, False]
    np.testing.assert_allclose(found.centre, [[2, -1], [1, 0]])
    np.testing.assert_allclose(found.size, [[2, 0], [0, 0]])
    np.testing.assert_allclose(found.stated, 0.5)
    assert found.features.shape == (2, 2, 7)
    assert found.objects == 2
    # That on the sliver is left out; false and doubled ones are wrong.
    np.testing.assert_allclose(found.confidence, [0.9, 0.8, 0.6, 0.3], rtol=1e-6)
    assert found.hits.tolist() == [True, True, False, False]


def test_several_clips_are_one_after_the_other() -> None:
    one = stated_and_true(tracks(), truth(), (40, 40))
    both = together([one, one])
    assert both.objects == 4
    assert both.centre.shape == (4, 2)
    assert both.hits.shape == (8,)
