"""CLEAR-MOT on cases small enough to count by hand."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from scalor_ppl.data.records import Truth
from scalor_ppl.errors import UserError
from scalor_ppl.evaluation import RULES, Scores, evaluate_by_rules, evaluate_tracks
from scalor_ppl.tracks.table import Tracks

SIZE = 10.0


def truth_at(
    centres: list[list[tuple[float, float] | None]], visible: float | None = None
) -> Truth:
    """Objects by their centres: centres[t][n], None where the object does not exist."""
    length, number = len(centres), len(centres[0])
    boxes = np.full((length, number, 4), np.nan, dtype=np.float32)
    share = np.zeros((length, number), dtype=np.float32)
    for t, frame in enumerate(centres):
        for n, centre in enumerate(frame):
            if centre is not None:
                boxes[t, n] = (centre[0] - SIZE / 2, centre[1] - SIZE / 2, SIZE, SIZE)
                share[t, n] = 1 if visible is None else visible
    return Truth(np.arange(number), boxes, share, None, SIZE)


def tracks_at(centres: list[dict[int, tuple[float, float]]]) -> Tracks:
    """Predictions by id and centre: centres[t] = {id: centre}."""
    length, slots = len(centres), max((len(frame) for frame in centres), default=0)
    ids = np.full((length, slots), -1, dtype=np.int64)
    boxes = np.full((length, slots, 4), np.nan, dtype=np.float32)
    presence = np.zeros((length, slots), dtype=np.float32)
    discovered = np.zeros((length, slots), dtype=bool)
    seen: set[int] = set()
    for t, frame in enumerate(centres):
        for k, (identity, (x, y)) in enumerate(frame.items()):
            ids[t, k], presence[t, k] = identity, 0.9
            boxes[t, k] = (x - SIZE / 2, y - SIZE / 2, SIZE, SIZE)
            discovered[t, k] = identity not in seen
            seen.add(identity)
    return Tracks(ids, boxes, presence, discovered)


A, B, FAR = (20.0, 20.0), (50.0, 20.0), (200.0, 200.0)


def score(found: list[dict[int, tuple[float, float]]], true: Truth, **settings: object) -> Scores:
    return evaluate_tracks([tracks_at(found)], [true], **settings)  # type: ignore[arg-type]


def test_perfect() -> None:
    scores = score([{7: A, 9: B}] * 3, truth_at([[A, B]] * 3))
    assert (scores.mota, scores.precision, scores.recall) == (1, 1, 1)
    assert scores.idf1 == scores.hota == scores.deta == scores.assa == 1
    assert (scores.motp, scores.count_mae) == (0, 0)
    assert (scores.id_switches, scores.fragmentations, scores.misses) == (0, 0, 0)
    assert (scores.clips, scores.frames, scores.objects, scores.predictions) == (1, 3, 6, 6)
    assert (scores.propagation_rate, scores.discoveries_per_video) == (1, 2)


def test_one_miss() -> None:
    scores = score([{7: A, 9: B}, {7: A}, {7: A, 9: B}], truth_at([[A, B]] * 3))
    assert scores.mota == pytest.approx(5 / 6)
    assert (scores.recall, scores.precision) == (pytest.approx(5 / 6), 1)
    assert (scores.misses, scores.fragmentations, scores.id_switches) == (1, 1, 0)
    assert scores.count_mae == pytest.approx((0 + 1 / 2 + 0) / 3)
    assert scores.count_accuracy == pytest.approx(2 / 3)


def test_a_miss_at_the_end_is_no_fragmentation() -> None:
    scores = score([{}, {7: A}, {}], truth_at([[A]] * 3))
    assert (scores.misses, scores.fragmentations) == (2, 0)


def test_one_false_positive() -> None:
    scores = score([{7: A}, {7: A, 8: FAR}], truth_at([[A]] * 2))
    assert scores.mota == pytest.approx(1 / 2)
    assert (scores.recall, scores.precision) == (1, pytest.approx(2 / 3))
    assert (scores.false_positives, scores.count_mae) == (1, pytest.approx(0.5))


def test_id_switch() -> None:
    scores = score([{7: A}, {7: A}, {8: A}, {8: A}], truth_at([[A]] * 4))
    assert (scores.id_switches, scores.mota) == (1, pytest.approx(3 / 4))
    assert scores.idf1 == pytest.approx(2 * 2 / 8)
    assert scores.propagation_rate == pytest.approx(2 / 3)
    assert scores.discoveries_per_video == 2


def test_an_object_that_comes_back_under_another_id_is_a_switch_but_no_fragmentation() -> None:
    truth = truth_at([[A], [None], [A]])
    scores = score([{7: A}, {}, {8: A}], truth)
    assert (scores.id_switches, scores.fragmentations, scores.misses) == (1, 0, 0)
    assert score([{7: A}, {}, {7: A}], truth).mota == 1


def test_crossing_swaps_two_identities() -> None:
    ways = [[(20.0 + 10 * t, 20.0), (80.0 - 10 * t, 20.0)] for t in range(7)]
    right = [{1: a, 2: b} for a, b in ways]
    assert score(right, truth_at(ways), distance=4).mota == 1  # type: ignore[arg-type]
    bounced = right[:4] + [{2: a, 1: b} for a, b in ways[4:]]
    scores = score(bounced, truth_at(ways), distance=4)  # type: ignore[arg-type]
    assert (scores.id_switches, scores.misses, scores.false_positives) == (2, 0, 0)
    assert scores.mota == pytest.approx(1 - 2 / 14)


def test_correspondence_is_kept_while_within_the_gate() -> None:
    # In the second frame the other prediction is nearer, but the first still lies within the gate.
    scores = score([{1: A}, {2: (21, 20), 1: (30, 20)}], truth_at([[A]] * 2))
    assert (scores.id_switches, scores.false_positives) == (0, 1)
    assert scores.motp == pytest.approx(10 / 2)


def test_the_gate_is_twice_the_object_size_and_inclusive() -> None:
    truth = truth_at([[A]])
    assert score([{1: (40, 20)}], truth).recall == 1
    assert score([{1: (40.1, 20)}], truth).recall == 0
    assert score([{1: (40, 20)}], truth, sizes=1).recall == 0
    assert score([{1: (40.1, 20)}], truth, distance=21).recall == 1


def test_as_many_matches_as_possible_come_before_short_ones() -> None:
    # The nearest pair alone would leave the other object and prediction out of reach.
    truth = truth_at([[(0, 0), (15, 0)]])
    scores = score([{1: (14, 0), 2: (34, 0)}], truth)
    assert (scores.recall, scores.motp) == (1, pytest.approx((14 + 19) / 2))


def test_box_overlap() -> None:
    truth = truth_at([[A, B]])
    shifted = score([{1: (23, 20), 2: (50.0 + 4, 20)}], truth, match="iou")
    assert (shifted.matches, shifted.misses, shifted.false_positives) == (1, 1, 1)
    assert shifted.motp == pytest.approx(1 - 7 / 13)


def test_sliver_is_set_aside_and_plain_counts_it() -> None:
    truth = truth_at([[A, FAR]] * 2)
    truth.visible[:, 1] = 0.2
    seen, unseen = [{1: A, 2: FAR}] * 2, [{1: A}] * 2
    for found, aside in ((seen, 2), (unseen, 0)):
        standard = score(found, truth)
        assert (standard.mota, standard.precision, standard.objects) == (1, 1, 2)
        assert (standard.set_aside, standard.count_mae, standard.idf1) == (aside, 0, 1)
        assert standard.hota == 1
    plain = RULES["plain"]
    settings = {"min_visible": plain.min_visible, "set_aside": plain.set_aside}
    assert score(seen, truth, **settings).mota == 1
    assert score(unseen, truth, **settings).mota == pytest.approx(1 / 2)
    truth.visible[:, 1] = 0.05  # too little even for the plain rule, which excuses nothing
    assert score(seen, truth, **settings).mota == 0
    assert score(seen, truth).mota == 1
    assert score(seen, truth, set_aside=0.08).mota == 0


def test_one_sliver_excuses_one_prediction_and_an_object_out_of_view_none() -> None:
    truth = truth_at([[A, FAR]])
    truth.visible[:, 1] = 0.1
    two = score([{1: A, 2: FAR, 3: (205, 200)}], truth)
    assert (two.set_aside, two.false_positives) == (1, 1)
    truth.visible[:, 1] = 0
    assert score([{1: A, 2: FAR}], truth).false_positives == 1


def test_setting_aside_leaves_matches_and_switches_alone() -> None:
    # Prediction 1 belongs to the counted object, though it is also nearest to the sliver.
    truth = truth_at([[A, (28, 20)]] * 2)
    truth.visible[:, 1] = 0.1
    scores = score([{1: (26, 20)}] * 2, truth)
    assert (scores.matches, scores.misses, scores.set_aside) == (2, 0, 0)
    crowd = np.random.default_rng(0).uniform(0, 60, (20, 12, 2)).tolist()
    true = truth_at([[(x, y) for x, y in frame[:6]] for frame in crowd])
    true.visible[:] = np.random.default_rng(1).choice([0.1, 1.0], true.visible.shape)
    found = [{k: (x, y) for k, (x, y) in enumerate(frame[6:])} for frame in crowd]
    with_slivers, without = score(found, true), score(found, true, set_aside=None)
    assert with_slivers.set_aside > 0
    assert with_slivers.matches == without.matches
    assert with_slivers.id_switches == without.id_switches
    assert with_slivers.motp == without.motp
    assert with_slivers.false_positives == without.false_positives - with_slivers.set_aside


def test_presence_threshold_and_empty_slots() -> None:
    found = tracks_at([{1: A, 2: FAR}])
    found.presence[0, 1] = 0.4
    truth = truth_at([[A]])
    assert evaluate_tracks([found], [truth]).mota == 1
    assert evaluate_tracks([found], [truth], presence_threshold=0.3).mota == 0
    found.presence[0, 1], found.ids[0, 1] = 1, -1
    assert evaluate_tracks([found], [truth]).mota == 1


def test_clips_are_added_up_before_ratios_are_taken() -> None:
    found = [tracks_at([{1: A}] * 8), tracks_at([{}, {}])]
    scores = evaluate_tracks(found, [truth_at([[A]] * 8), truth_at([[A]] * 2)])
    assert (scores.mota, scores.clips, scores.frames) == (pytest.approx(0.8), 2, 10)
    assert scores.discoveries_per_video == 0.5


def test_nothing_there_and_nothing_found() -> None:
    empty = truth_at([[None]] * 2)
    scores = score([{}, {}], empty)
    assert all(math.isnan(value) for value in (scores.mota, scores.recall, scores.idf1))
    text = json.dumps(scores.to_dict(), allow_nan=False)
    assert json.loads(text)["mota"] is None
    assert json.loads(text)["objects"] == 0

    only_found = score([{1: A}, {1: A}], empty)
    assert (only_found.precision, only_found.false_positives, only_found.idf1) == (0, 2, 0)
    assert math.isnan(only_found.count_mae)
    only_true = score([{}, {}], truth_at([[A]] * 2))
    assert (scores.count_accuracy, only_found.count_accuracy, only_true.count_accuracy) == (1, 0, 0)
    assert (only_true.mota, only_true.recall, only_true.hota, only_true.count_mae) == (0, 0, 0, 1)
    assert math.isnan(only_true.precision)
    assert math.isnan(only_true.propagation_rate)
    none = evaluate_tracks([], [])
    assert (none.clips, none.frames) == (0, 0)
    assert math.isnan(none.mota)


def test_no_objects_at_all_in_the_truth() -> None:
    truth = Truth(np.empty(0, np.int64), np.empty((1, 0, 4)), np.empty((1, 0)), None, SIZE)
    assert score([{1: A}], truth).false_positives == 1
    for match in ("centre", "iou"):
        assert score([{}], truth, match=match).predictions == 0


def test_one_frame() -> None:
    scores = score([{1: A}], truth_at([[A]]))
    assert (scores.mota, scores.hota, scores.discoveries_per_video) == (1, 1, 1)
    assert math.isnan(scores.propagation_rate)


def test_every_rule_by_name() -> None:
    truth = truth_at([[A, B]])
    truth.visible[0, 1] = 0.1
    scores = evaluate_by_rules([tracks_at([{1: (32, 20)}])], [truth], mse=0.01)
    assert list(scores) == ["standard", "plain", "strict", "iou"]
    assert [figures.mota for figures in scores.values()] == [1, 0.5, -1, -1]
    assert {figures.mse for figures in scores.values()} == {0.01}


def test_mistakes_of_the_caller() -> None:
    found, truth = tracks_at([{1: A}]), truth_at([[A]])
    with pytest.raises(ValueError, match="clips"):
        evaluate_tracks([found], [])
    with pytest.raises(ValueError, match="frames"):
        evaluate_tracks([found], [truth_at([[A]] * 2)])
    with pytest.raises(ValueError, match="gate"):
        evaluate_tracks([found], [truth], distance=0)
    with pytest.raises(ValueError, match="min_visible"):
        evaluate_tracks([found], [truth], min_visible=0)
    with pytest.raises(ValueError, match="match is one of"):
        evaluate_tracks([found], [truth], match="mask")  # type: ignore[arg-type]
    twice = tracks_at([{1: A, 2: B}])
    twice.ids[:] = 1
    with pytest.raises(ValueError, match="twice"):
        evaluate_tracks([twice], [truth])
    found.boxes[:] = np.nan
    with pytest.raises(ValueError, match="finite"):
        evaluate_tracks([found], [truth])


def test_clips_without_truth_are_no_fault_of_ours() -> None:
    none = Truth(np.empty(0, np.int64), np.empty((1, 0, 4)), np.empty((1, 0)), None, math.nan)
    found = [tracks_at([{1: A}]), tracks_at([{1: A}])]
    scores = evaluate_by_rules(found, [truth_at([[A]]), none])["standard"]
    assert (scores.matches, scores.false_positives, scores.mota) == (1, 1, 0)
    with pytest.raises(UserError, match="no boxes that count in the 2 clips"):
        evaluate_by_rules(found, [none, none])
    # What is to be ignored has a size, too.
    ignored = truth_at([[A]])
    ignored = replace(ignored, ignored=np.array([[True]]), object_size=math.nan)
    scores = evaluate_by_rules(found, [truth_at([[A]]), ignored])["standard"]
    assert (scores.matches, scores.false_positives, scores.set_aside) == (1, 0, 1)
