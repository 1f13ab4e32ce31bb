"""Draws whose spread is brought to stated deviations."""

from __future__ import annotations

import numpy as np

from scalor_ppl.results.rescaled import LEAST, rescaled
from scalor_ppl.results.samples import ByObject

DRAWS = 200


def objects() -> ByObject:
    """Three objects in one frame: in all draws, in too few, and the same in all draws."""
    rng = np.random.default_rng(0)
    shape = (DRAWS, 1, 3)
    centres = (20 + rng.normal(0, 0.1, (*shape, 2))).astype(np.float32)
    centres[LEAST - 1 :, :, 1] = np.nan
    centres[:, :, 2] = 5
    sides = 8 + rng.normal(0, 0.2, (*shape, 2))
    sides[:, :, 2] = 4
    boxes = np.concatenate((centres - sides / 2, sides), -1).astype(np.float32)
    there = np.isfinite(centres[..., 0]).astype(np.float32)
    return ByObject(there, boxes, centres, there, there[..., None], np.zeros(shape[:2], int))


def test_the_central_nine_tenths_are_as_wide_as_was_asked_for() -> None:
    before = objects()
    honest = rescaled(before, np.full((1, 3, 2), 0.7), np.full((1, 3, 2), 0.4))
    after = honest.objects
    assert honest.changed.tolist() == [[True, False, False]]
    low, middle, high = np.quantile(after.centres[:, 0, 0], (0.05, 0.5, 0.95), axis=0)
    np.testing.assert_allclose(high - low, 2 * 1.6448536 * 0.7, rtol=1e-4)
    np.testing.assert_allclose(middle, np.median(before.centres[:, 0, 0], axis=0), rtol=1e-6)
    low, high = np.quantile(after.boxes[:, 0, 0, 2:], (0.05, 0.95), axis=0)
    np.testing.assert_allclose(high - low, 2 * 1.6448536 * 0.4, rtol=1e-4)
    # Boxes stay about their centres.
    middles = after.boxes[..., :2] + after.boxes[..., 2:] / 2
    np.testing.assert_allclose(middles[:, 0, 0], after.centres[:, 0, 0], atol=1e-4)
    np.testing.assert_allclose(honest.own[0, 0], before.centres[:, 0, 0].std(0), rtol=1e-4)


def test_where_draws_or_deviations_are_missing_nothing_moves() -> None:
    before = objects()
    unknown = np.full((1, 3, 2), np.nan)
    honest = rescaled(before, unknown, unknown)
    np.testing.assert_array_equal(honest.objects.centres, before.centres)
    np.testing.assert_allclose(honest.objects.boxes, before.boxes, atol=1e-5)
    assert not honest.changed.any()
    some = rescaled(before, np.full((1, 3, 2), 1.0), unknown).objects
    np.testing.assert_array_equal(some.centres[:, :, 1:], before.centres[:, :, 1:])


def test_no_side_becomes_negative() -> None:
    wide = rescaled(objects(), np.full((1, 3, 2), 1.0), np.full((1, 3, 2), 50.0))
    assert wide.objects.boxes[:, 0, 0, 2:].min() > 0
