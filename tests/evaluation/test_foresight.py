"""The measure of foresight, on tracks made by hand."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from scalor_ppl.data import Truth
from scalor_ppl.evaluation.foresight import (
    GROUPS,
    MEASURES,
    ClipForesight,
    clip_foresight,
    collided,
    energy_score,
    foresight,
)
from scalor_ppl.tracks.table import EMPTY, Tracks

SIZE = 4.0  # of every object: the gate is 2, and centres nearer than 4.8 have collided
OBSERVED, AHEAD = 3, 4
FRAMES = OBSERVED + AHEAD


def boxes_of(places: np.ndarray) -> np.ndarray:
    sides = np.full_like(places, SIZE)
    return np.concatenate([places - SIZE / 2, sides], -1).astype(np.float32)


def tracks_of(places: np.ndarray, ids: np.ndarray | None = None) -> Tracks:
    """Tracks of centres [T, K, 2], numbered by slot; NaN where there is none."""
    there = np.isfinite(places[..., 0])
    numbers = np.arange(places.shape[1]) if ids is None else ids
    return Tracks(
        np.where(there, numbers, EMPTY),
        boxes_of(np.nan_to_num(places)),
        there.astype(np.float32),
        np.zeros_like(there),
    )


def truth_of(places: np.ndarray, visible: np.ndarray | None = None) -> Truth:
    """Truth of centres [T, N, 2]; NaN where an object does not exist."""
    there = np.isfinite(places[..., 0]).astype(np.float32)
    shown = there if visible is None else visible.astype(np.float32)
    return Truth(np.arange(places.shape[1]), boxes_of(places), shown, None, SIZE)


def straight(*rows: tuple[float, float, float, float], frames: int = FRAMES) -> np.ndarray:
    """Centres [T, N, 2] of objects from x, y, at vx, vy a frame."""
    table = np.array(rows, dtype=np.float64)
    return table[:, :2] + np.arange(frames)[:, None, None] * table[:, 2:]


TWO = straight((10, 10, 3, 4), (50, 50, -1, 0))


def measured(
    draws: list[np.ndarray], truth: Truth, likeliest: np.ndarray | None = None
) -> ClipForesight:
    tracks = [tracks_of(each) for each in draws]
    mode = tracks[0] if likeliest is None else tracks_of(likeliest)
    return clip_foresight(tracks, mode, truth, observe=OBSERVED)


# -------------------------------------------------------------------------------- distances


def test_an_exact_forecast_has_no_error() -> None:
    found = measured([TWO] * 3, truth_of(TWO))
    assert found.objects == 2
    for name in ("point", "draw", "energy", "died"):
        assert np.array_equal(found.values[name], np.zeros((2, AHEAD)))


def test_baselines_on_straight_motion() -> None:
    found = measured([TWO], truth_of(TWO))
    assert found.values["velocity"] == pytest.approx(np.zeros((2, AHEAD)))
    ahead = np.arange(1, AHEAD + 1)
    assert found.values["stays"] == pytest.approx(np.stack([5.0 * ahead, 1.0 * ahead]))


def test_baselines_are_of_what_was_inferred_not_of_what_is_true() -> None:
    off = TWO + np.array([0.3, -0.4])
    found = measured([off], truth_of(TWO))
    for name in ("point", "velocity"):
        assert found.values[name] == pytest.approx(np.full((2, AHEAD), 0.5), abs=1e-5)


@pytest.mark.parametrize(("followed", "missed"), [(1, 5.0), (2, 0.0), (3, 0.0)])
def test_the_velocity_of_an_object_just_found(followed: int, missed: float) -> None:
    late = TWO.copy()
    late[: OBSERVED - followed, 0] = np.nan
    found = measured([late], truth_of(TWO))
    assert found.values["velocity"][0, 0] == pytest.approx(missed)


def test_the_velocity_is_the_mean_of_two_steps() -> None:
    turning = straight((10, 10, 0, 0))
    turning[:3, 0] = (10, 10), (11, 10), (13, 10)
    found = measured([turning], truth_of(turning))
    # Foreseen at 14.5, truly at 10.
    assert found.values["velocity"][0, 0] == pytest.approx(4.5)


def test_draws_about_the_truth() -> None:
    """Two draws that miss by 2 to either side: right on average, and their score is 2 - 4 / 2."""
    left, right = TWO.copy(), TWO.copy()
    left[OBSERVED:, :, 0] -= 2
    right[OBSERVED:, :, 0] += 2
    found = measured([left, right], truth_of(TWO), likeliest=right)
    assert found.values["point"] == pytest.approx(np.zeros((2, AHEAD)), abs=1e-6)
    assert found.values["likeliest"] == pytest.approx(np.full((2, AHEAD), 2.0))
    assert found.values["draw"] == pytest.approx(np.full((2, AHEAD), 2.0))
    assert found.values["energy"] == pytest.approx(np.zeros((2, AHEAD)), abs=1e-6)


def test_trackers_are_found_by_identity_in_any_slot() -> None:
    plain = tracks_of(TWO)
    turned = tracks_of(TWO[:, ::-1], np.array([1, 0]))
    mixed = Tracks(
        *(
            np.concatenate([getattr(plain, f)[:4], getattr(turned, f)[4:]])
            for f in ("ids", "boxes", "presence", "discovered")
        )
    )
    found = clip_foresight([mixed], mixed, truth_of(TWO), observe=OBSERVED)
    assert found.values["point"] == pytest.approx(np.zeros((2, AHEAD)))


# ------------------------------------------------------------------------------ who is asked for


def test_objects_are_matched_one_to_one_within_half_a_size() -> None:
    true = straight((10, 10, 0, 0), (13, 10, 0, 0), (40, 40, 0, 0))
    # The first tracker is within reach of two objects, the second of one, the third of none.
    guessed = straight((11.5, 10, 0, 0), (9, 10, 0, 0), (42.1, 40, 0, 0))
    found = measured([guessed], truth_of(true))
    assert found.objects == 3
    assert found.values["stays"][:, 0] == pytest.approx([1.0, 1.5])


def test_objects_out_of_view_are_not_asked_for_even_if_they_return() -> None:
    visible = np.ones(TWO.shape[:2])
    visible[OBSERVED + 1, 0] = 0.2
    visible[OBSERVED - 1, 1] = 0.2
    found = measured([TWO], truth_of(TWO, visible))
    assert found.objects == 1
    assert np.isfinite(found.values["stays"]).tolist() == [[True, False, False, False]]


def test_an_object_that_does_not_exist_yet_is_not_asked_for() -> None:
    late = TWO.copy()
    late[:OBSERVED, 1] = np.nan
    assert measured([TWO], truth_of(late)).objects == 1


def test_draws_in_which_a_tracker_died_are_left_out_and_counted() -> None:
    off, dead = TWO.copy(), TWO.copy()
    off[OBSERVED:, 0, 0] += 2
    dead[OBSERVED + 1 :, 0] = np.nan
    found = measured([TWO, off, dead], truth_of(TWO))
    third = 1 / 3
    assert found.values["died"] == pytest.approx(np.array([[0, third, third, third], [0, 0, 0, 0]]))
    assert found.values["point"][0] == pytest.approx([2 / 3, 1, 1, 1])
    assert found.values["draw"][0] == pytest.approx([2 / 3, 1, 1, 1])
    assert found.values["energy"][0] == pytest.approx([2 / 3 - 4 / 6, 0, 0, 0], abs=1e-6)


def test_one_draw_has_no_energy_score_and_none_has_no_position() -> None:
    dead = TWO.copy()
    dead[OBSERVED:, 0] = np.nan
    found = measured([dead], truth_of(TWO))
    assert np.isnan(found.values["energy"]).all()
    assert np.isnan(found.values["point"][0]).all()
    assert (found.values["died"][0] == 1).all()
    assert np.isfinite(found.values["stays"]).all()


def test_no_trackers_no_objects() -> None:
    for places in (np.full_like(TWO, np.nan), TWO):
        truth = truth_of(TWO if np.isnan(places).all() else np.full_like(TWO, np.nan))
        found = measured([places] * 2, truth)
        assert all(values.shape == (0, AHEAD) for values in found.values.values())
        assert foresight([found]).figures["all"]["point"].objects == (0,) * AHEAD


def test_what_does_not_fit_together() -> None:
    with pytest.raises(ValueError, match="draws of 7 frames"):
        clip_foresight([], tracks_of(TWO), truth_of(TWO), observe=OBSERVED)
    for draw, mode in ((TWO[:-1], TWO), (TWO, TWO[:-1])):
        with pytest.raises(ValueError, match="draws of 7 frames"):
            clip_foresight([tracks_of(draw)], tracks_of(mode), truth_of(TWO), observe=OBSERVED)
    for observe in (0, FRAMES):
        with pytest.raises(ValueError, match="1 to 6 can be observed"):
            clip_foresight([tracks_of(TWO)], tracks_of(TWO), truth_of(TWO), observe=observe)


# ------------------------------------------------------------------------------- the energy score


@pytest.mark.parametrize("share", [0.5, 0.2])
@pytest.mark.parametrize("y", [(0.0, 0.0), (1.0, 0.0), (3.0, -2.0)])
def test_energy_score_of_a_distribution_on_two_points(share: float, y: tuple) -> None:
    """The mean over all that three draws can be is the closed form: it has no bias."""
    points, chances, truth = np.array([(0.0, 0.0), (3.0, 4.0)]), (share, 1 - share), np.array(y)
    mean = 0.0
    for drawn in itertools.product((0, 1), repeat=3):
        chance = np.prod([chances[n] for n in drawn])
        mean += chance * energy_score(points[list(drawn)], truth)
    to_truth = np.linalg.norm(points - truth, axis=-1)
    expected = chances @ to_truth - share * (1 - share) * 5
    assert mean == pytest.approx(expected)


def test_energy_score_prefers_the_true_spread() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(0, 1, (20_000, 2))
    scores = {
        spread: energy_score(random.normal(0, spread, (8, 20_000, 2)), truth).mean()
        for spread in (0.01, 0.5, 1.0, 2.0, 4.0)
    }
    assert min(scores, key=lambda spread: scores[spread]) == 1.0


# ------------------------------------------------------------------------------------ collisions


def test_objects_have_collided_once_they_have_been_near() -> None:
    places = straight((0, 0, 0, 0), (20, 0, 0, 0), (50, 50, 0, 0), (80, 80, 0, 0))
    places[:2, 1, 0] = 1.0  # near while it is observed: that is past
    places[OBSERVED + 1, 1, 0] = 4.7
    places[:, 3] = np.nan
    assert collided(truth_of(places), OBSERVED).T.tolist() == [
        [False, True, True, True],
        [False, True, True, True],
        [False] * 4,
        [False] * 4,
    ]


def test_figures_are_split_by_frame() -> None:
    places = straight((10, 10, 0, 0), (30, 10, 0, 0), (50, 50, 0, 0))
    places[OBSERVED + 1 :, 1, 0] = 14.0
    off = places + np.array([1.0, 0.0])
    found = foresight([measured([off], truth_of(places))])
    assert [found.figures[group]["point"].objects for group in GROUPS] == [
        (3, 3, 3, 3),
        (0, 2, 2, 2),
        (3, 1, 1, 1),
    ]
    assert found.figures["free"]["point"].mean == pytest.approx((1,) * 4)


# --------------------------------------------------------------------------------- sets of clips


def clip_with(values: list[float], objects: int = 9) -> ClipForesight:
    column = np.array(values)[:, None]
    return ClipForesight(objects, dict.fromkeys(MEASURES, column), np.zeros(column.shape, bool))


def test_figures_of_several_clips() -> None:
    found = foresight([clip_with([1.0, 2.0]), clip_with([9.0]), clip_with([4.0, np.nan, 4.0])])
    assert (found.clips, found.objects, found.matched) == (3, 27, 6)
    figures = found.figures["all"]["point"]
    assert figures.mean == (4.0,)
    assert figures.median == (4.0,)
    assert figures.objects == (5,)
    # Sums over clips of what exceeds the mean: -5, 5, 0.
    assert figures.error == pytest.approx((np.sqrt(3 / 2 * 50) / 5,))


def test_the_error_is_how_means_of_such_sets_scatter() -> None:
    random = np.random.default_rng(0)

    def drawn() -> tuple[float, float]:
        clips = []
        for _ in range(40):
            common = random.normal()  # what objects of a clip share
            clips.append(clip_with(list(common + random.normal(0, 1, random.integers(1, 6)))))
        figures = foresight(clips).figures["all"]["point"]
        return figures.mean[0], figures.error[0]

    means, errors = zip(*(drawn() for _ in range(400)), strict=True)
    assert np.mean(errors) == pytest.approx(np.std(means), rel=0.1)


def test_figures_as_json() -> None:
    document = foresight([clip_with([1.0, 3.0])]).to_dict()
    read = json.loads(json.dumps(document, allow_nan=False))
    assert (read["clips"], read["objects"], read["matched"]) == (1, 9, 2)
    assert set(read["figures"]) == set(GROUPS)
    own = read["figures"]["all"]["energy"]
    assert own == {"mean": [2.0], "error": [None], "median": [2.0], "objects": [2]}
    assert read["figures"]["collided"]["point"]["mean"] == [None]
