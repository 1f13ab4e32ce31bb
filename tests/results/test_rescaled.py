"""Draws that are brought to a stated distribution."""

from __future__ import annotations

import numpy as np
from scipy import stats

from scalor_ppl.results.rescaled import LEAST, StatedErrors, rescaled
from scalor_ppl.results.samples import ByObject

DRAWS = 200
SHARES = np.arange(1, DRAWS + 1) / (DRAWS + 1)


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


def stated(
    deviation: float, freedom: float = 200.0, about: tuple[float, float] = (20.3, 19.8)
) -> StatedErrors:
    """The same of all objects."""
    return StatedErrors(np.full((1, 3, 2), about), np.full((1, 3, 2), deviation), freedom)


def test_the_central_nine_tenths_are_as_wide_as_was_asked_for() -> None:
    before = objects()
    honest = rescaled(before, stated(0.7), stated(0.4, 3.0, (7.5, 8.5)))
    after = honest.objects
    assert honest.changed.tolist() == [[True, False, False]]
    ends = np.quantile(after.centres[:, 0, 0], (0.05, 0.5, 0.95), axis=0, method="weibull")
    np.testing.assert_allclose(ends[2] - ends[0], 2 * 1.6448536 * 0.7, rtol=1e-3)
    # About what was found, and not about the draws' median, which is about 20.
    np.testing.assert_allclose(ends[1], (20.3, 19.8), rtol=1e-5)
    # With the tails that errors have: of a Student t with 3 degrees of freedom.
    unit = 0.4 * 1.6448536 / stats.t.ppf(0.95, 3)
    sides = np.sort(after.boxes[:, 0, 0, 2], axis=0)
    np.testing.assert_allclose(sides, 7.5 + unit * stats.t.ppf(SHARES, 3), atol=1e-4)
    # Boxes stay about their centres.
    middles = after.boxes[..., :2] + after.boxes[..., 2:] / 2
    np.testing.assert_allclose(middles[:, 0, 0], after.centres[:, 0, 0], atol=1e-4)
    np.testing.assert_allclose(honest.own[0, 0], before.centres[:, 0, 0].std(0), rtol=1e-4)


def test_draws_keep_their_ranks() -> None:
    before = objects()
    before.centres[3:8, 0, 0, 1] = np.nan  # some are missing
    after = rescaled(before, stated(0.7), stated(0.4)).objects
    for axis in range(2):
        there = np.isfinite(before.centres[:, 0, 0, axis])
        own, made = before.centres[there, 0, 0, axis], after.centres[there, 0, 0, axis]
        np.testing.assert_array_equal(own.argsort(), made.argsort())
        assert np.isnan(after.centres[~there, 0, 0, axis]).all()


def test_draws_far_off_do_not_become_absurd() -> None:
    # Nearly all agree, as refined draws do: a factor that makes them 0.5 wide would be 5,000.
    before = objects()
    before.centres[:, 0, 0, 0] = 20 + np.linspace(0, 1e-4, DRAWS)
    before.centres[0, 0, 0, 0] = 24
    centre = stated(0.5, 5.0, (20.0, 20.0))
    after = rescaled(before, centre, stated(0.4)).objects.centres[:, 0, 0, 0]
    largest = 0.5 * 1.6448536 / stats.t.ppf(0.95, 5) * stats.t.ppf(SHARES[-1], 5)
    assert abs(after - 20).max() == abs(after[0] - 20)
    np.testing.assert_allclose(after[0] - 20, largest, atol=1e-3)


def test_where_draws_or_deviations_are_missing_nothing_moves() -> None:
    before = objects()
    unknown = stated(np.nan, about=(np.nan, np.nan))
    honest = rescaled(before, unknown, unknown)
    np.testing.assert_array_equal(honest.objects.centres, before.centres)
    np.testing.assert_allclose(honest.objects.boxes, before.boxes, atol=1e-5)
    assert not honest.changed.any()
    some = rescaled(before, stated(1.0), unknown).objects
    np.testing.assert_array_equal(some.centres[:, :, 1:], before.centres[:, :, 1:])


def test_no_side_becomes_negative() -> None:
    wide = rescaled(objects(), stated(1.0), stated(50.0))
    assert wide.objects.boxes[:, 0, 0, 2:].min() > 0


def test_boxes_that_are_too_large_become_smaller_about_their_centres() -> None:
    exact = rescaled(objects(), stated(0.4), stated(0.4, about=(8.0, 8.0))).objects
    moved = rescaled(objects(), stated(0.4), stated(0.4, about=(7.4, 8.3))).objects
    off = exact.boxes[..., 2:] - moved.boxes[..., 2:]
    np.testing.assert_allclose(off[:, 0, 0], np.tile([0.6, -0.3], (DRAWS, 1)), atol=1e-5)
    assert not off[:, 0, 2].any()  # all draws agree: how sure they are is not known
    np.testing.assert_array_equal(exact.centres, moved.centres)
    middles = moved.boxes[..., :2] + moved.boxes[..., 2:] / 2
    np.testing.assert_allclose(middles[:, 0, 0], moved.centres[:, 0, 0], atol=1e-4)
