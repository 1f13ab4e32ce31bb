"""Our figures against motmetrics' and trackeval's, on random clips."""

import time
import warnings
from typing import Any

import numpy as np
import pytest

from scalor_ppl.data.records import Truth
from scalor_ppl.evaluation import evaluate_tracks
from scalor_ppl.evaluation.association import hota, identity
from scalor_ppl.evaluation.boxes import centre_distances, overlap_distances
from scalor_ppl.evaluation.clear import ClearCounts, clear_mot
from scalor_ppl.evaluation.frames import Match, ScoredClip, ScoredFrame, scored_clip
from scalor_ppl.tracks.table import Tracks


def random_case(
    seed: int,
    frames: int,
    objects: int,
    *,
    missed: float = 0.1,
    false: float = 0.1,
    swapped: float = 0.1,
    gone: float = 0.1,
    noise: float = 3.0,
    view: float = 64.0,
) -> tuple[Tracks, Truth]:
    """A clip with misses, false positives, swapped ids, objects that leave and come back."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, view, (objects, 2))
    speed = rng.normal(0, 2, (objects, 2))
    centres = start + np.arange(frames)[:, None, None] * speed
    sizes = rng.uniform(6, 12, (objects, 2))
    boxes = np.concatenate(
        [centres - sizes / 2, np.broadcast_to(sizes, centres.shape)], axis=-1
    ).astype(np.float32)
    visible = rng.choice([1.0, 0.15], (frames, objects), p=[0.9, 0.1]).astype(np.float32)
    away = rng.random((frames, objects)) < gone
    visible[away] = 0
    boxes[away] = np.nan
    truth = Truth(np.arange(objects), boxes, visible, None, 8.0)

    extra = max(1, objects // 4)
    ids = np.full((frames, objects + extra), -1, dtype=np.int64)
    found = np.zeros((frames, objects + extra, 4), dtype=np.float32)
    names = rng.permutation(objects)
    for t in range(frames):
        if rng.random() < swapped and objects > 1:
            one, two = rng.choice(objects, 2, replace=False)
            names[[one, two]] = names[[two, one]]
        there = ~away[t] & (rng.random(objects) >= missed)
        ids[t, :objects][there] = names[there]
        found[t, :objects][there] = boxes[t, there]
        found[t, :objects, :2] += rng.normal(0, noise, (objects, 2))
        wrong = rng.random(extra) < false
        ids[t, objects:][wrong] = objects + np.nonzero(wrong)[0]
        found[t, objects:, :2] = rng.uniform(0, view, (extra, 2))
        found[t, objects:, 2:] = 8
        order = rng.permutation(objects + extra)
        ids[t], found[t] = ids[t, order], found[t, order]
    presence = np.ones(ids.shape, dtype=np.float32)
    return Tracks(ids, found, presence, np.zeros(ids.shape, dtype=bool)), truth


def distances_of(frame: ScoredFrame) -> np.ndarray:
    """[n, m] between all objects and predictions."""
    measure = centre_distances if frame.match == "centre" else overlap_distances
    return measure(frame.boxes, frame.found)


CASES = [(seed, 12, objects) for seed, objects in enumerate([1, 2, 3, 5, 8, 12, 20, 30])]


@pytest.mark.parametrize("match", ["centre", "iou"])
@pytest.mark.parametrize(("seed", "frames", "objects"), CASES)
def test_equals_motmetrics(seed: int, frames: int, objects: int, match: Match) -> None:
    motmetrics = pytest.importorskip("motmetrics")
    case = random_case(seed, frames, objects)
    clip = scored_clip(*case, limit=8.0 if match == "centre" else 0.5, match=match, set_aside=None)
    table = motmetrics.MOTAccumulator(auto_id=True)
    for frame in clip.frames:
        distances = np.where(distances_of(frame) <= clip.limit, distances_of(frame), np.nan)
        table.update(frame.objects, frame.predictions, distances)
    names = ["mota", "motp", "precision", "recall", "num_switches", "num_fragmentations", "idf1"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = motmetrics.metrics.create().compute(table, metrics=names).iloc[0].to_dict()
    ours = evaluate_tracks(
        [case[0]], [case[1]], distance=clip.limit, match=match, set_aside=None
    ).to_dict()
    ours["num_switches"] = ours["id_switches"]
    ours["num_fragmentations"] = ours["fragmentations"]
    for name in names:
        if ours[name] is None:
            assert np.isnan(theirs[name])
        else:
            assert ours[name] == pytest.approx(theirs[name], abs=1e-9), name


def as_trackeval(clip: ScoredClip, sharpness: float = 0.5) -> dict[str, Any]:
    """The clip as trackeval takes it: ids without holes, similarity 1 - sharpness at the gate."""
    objects = np.unique(np.concatenate([frame.objects for frame in clip.frames]))
    found = np.unique(np.concatenate([frame.predictions for frame in clip.frames]))
    return {
        "gt_ids": [np.searchsorted(objects, frame.objects) for frame in clip.frames],
        "tracker_ids": [np.searchsorted(found, frame.predictions) for frame in clip.frames],
        "similarity_scores": [
            np.maximum(0, 1 - sharpness * distances_of(frame) / clip.limit) for frame in clip.frames
        ],
        "num_gt_ids": len(objects),
        "num_tracker_ids": len(found),
        "num_gt_dets": sum(len(frame.objects) for frame in clip.frames),
        "num_tracker_dets": sum(len(frame.predictions) for frame in clip.frames),
        "num_timesteps": len(clip.frames),
    }


@pytest.mark.parametrize("match", ["centre", "iou"])
@pytest.mark.parametrize(("seed", "frames", "objects"), CASES)
def test_hota_and_idf1_equal_trackeval(
    seed: int, frames: int, objects: int, match: Match, capsys: pytest.CaptureFixture[str]
) -> None:
    trackeval = pytest.importorskip("trackeval")
    limit = 8.0 if match == "centre" else 0.5
    clip = scored_clip(*random_case(seed, frames, objects), limit=limit, match=match)
    _, clip = clear_mot(clip)
    data = as_trackeval(clip)
    theirs = trackeval.metrics.HOTA().eval_sequence(data)
    ours = hota(clip)
    np.testing.assert_allclose(ours.matches, theirs["HOTA_TP"])
    np.testing.assert_allclose(ours.detection, theirs["DetA"])
    np.testing.assert_allclose(ours.assa, theirs["AssA"])
    assert ours.hota == pytest.approx(theirs["HOTA"].mean())

    identities = trackeval.metrics.Identity({"PRINT_CONFIG": False}).eval_sequence(data)
    assert identity(clip).matches == identities["IDTP"]
    assert identity(clip).idf1 == pytest.approx(identities["IDF1"])


def test_hota_of_several_clips_equals_trackeval() -> None:
    trackeval = pytest.importorskip("trackeval")
    metric = trackeval.metrics.HOTA()
    cases = [random_case(seed, 6, 5) for seed in range(4)]
    clips = [clear_mot(scored_clip(*case, limit=8.0))[1] for case in cases]
    theirs = metric.combine_sequences(
        {str(i): metric.eval_sequence(as_trackeval(clip)) for i, clip in enumerate(clips)}
    )
    ours = evaluate_tracks([c[0] for c in cases], [c[1] for c in cases], distance=8.0)
    assert ours.hota == pytest.approx(theirs["HOTA"].mean())
    assert ours.deta == pytest.approx(theirs["DetA"].mean())
    assert ours.assa == pytest.approx(theirs["AssA"].mean())


@pytest.mark.parametrize("objects", [1, 3, 8, 20])
def test_clear_equals_trackeval(objects: int) -> None:
    """Where both define the same: trackeval keeps pairs of the very last frame only.

    It also weighs the number of pairs against their similarity; a gate close to 1 makes the
    number come first, as it does in CLEAR-MOT. So: all objects in all frames, all found.
    """
    trackeval = pytest.importorskip("trackeval")
    settings = {"missed": 0.0, "gone": 0.0, "noise": 0.7, "swapped": 0.4}
    case = random_case(objects, 15, objects, **settings)
    clip = scored_clip(*case, limit=8.0, min_visible=0.1, set_aside=None)
    sharpness = 0.002
    metric = trackeval.metrics.CLEAR({"THRESHOLD": 1 - sharpness, "PRINT_CONFIG": False})
    theirs = metric.eval_sequence(as_trackeval(clip, sharpness))
    ours, _ = clear_mot(clip)
    assert theirs["CLR_FN"] == 0
    assert ours.distance == pytest.approx(
        (theirs["CLR_TP"] - theirs["MOTP_sum"]) / sharpness * clip.limit
    )
    assert ours == ClearCounts(
        objects=15 * objects,
        matches=theirs["CLR_TP"],
        false_positives=theirs["CLR_FP"],
        switches=theirs["IDSW"],
        fragmentations=theirs["Frag"],
        distance=ours.distance,
    )


def test_the_densest_setting_is_scored_fast() -> None:
    cases = [random_case(seed, 10, 100) for seed in range(10)]
    begun = time.perf_counter()
    scores = evaluate_tracks([c[0] for c in cases], [c[1] for c in cases])
    # 100 clips in well under a minute; a busy machine gets some slack.
    assert time.perf_counter() - begun < 4
    assert scores.objects > 5000
