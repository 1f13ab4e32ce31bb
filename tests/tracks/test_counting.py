"""The posterior of how many objects are in view."""

from __future__ import annotations

import numpy as np
import pytest

from scalor_ppl.evaluation.count_fit import fit_count
from scalor_ppl.results.samples import Samples
from scalor_ppl.tracks.counting import COUNT_FEATURES, CountModel, count_features
from scalor_ppl.tracks.table import EMPTY, Tracks

SIZE = (40, 60)


def tracks(rows: list[tuple[int, float, float]], frames: int = 1) -> Tracks:
    """In each frame the same: id, left edge of a box of 10 pixels, confidence."""
    ids = np.tile([row[0] for row in rows], (frames, 1)).astype(np.int64)
    boxes = np.tile([[row[1], 10.0, 10.0, 10.0] for row in rows], (frames, 1, 1))
    presence = np.tile([row[2] for row in rows], (frames, 1)).astype(np.float32)
    empty = np.zeros(ids.shape, bool)
    return Tracks(ids, boxes.astype(np.float32), presence, empty)


def test_features_say_how_sure_and_how_much_in_view() -> None:
    found = count_features(tracks([(0, -8.0, 0.5), (3, 20.0, 0.9), (4, 25.0, 0.9)]), SIZE)[0]
    assert found.shape == (3, len(COUNT_FEATURES))
    assert found[0] == pytest.approx([1, 0, 0.2, 2, 0])
    assert found[1] == pytest.approx([1, np.log(9), 1, 4, 0.5], rel=1e-5)


def test_no_confidence_is_beyond_words() -> None:
    found = count_features(tracks([(0, 5.0, 1.0), (1, 30.0, 0.0)]), SIZE)[0]
    assert np.isfinite(found).all()


def test_a_fit_finds_the_chances_again() -> None:
    random = np.random.default_rng(0)
    features = random.normal(0, 1, (20_000, len(COUNT_FEATURES)))
    features[:, 0] = 1
    weights = np.array([0.5, 1.0, -0.7, 0.0, -2.0])
    hits = random.random(len(features)) < 1 / (1 + np.exp(-features @ weights))
    model = fit_count(features, hits, 0.25)
    assert [model.coefficients[name] for name in COUNT_FEATURES] == pytest.approx(weights, abs=0.08)
    assert model.missed == 0.25


def test_counts_are_drawn_by_the_chances() -> None:
    # Of confidence .5: even chances; a sure one; an empty slot.
    model = CountModel({"confidence": 1.0}, 0.5)
    found = tracks([(7, 5.0, 0.5), (9, 30.0, 0.9999), (EMPTY, 0.0, 0.5)], frames=6)
    assert model.probabilities(found, SIZE)[0] == pytest.approx([0.5, 0.9999, 0], abs=1e-4)
    counts = model.drawn(found, SIZE, 4000, seed=3)
    assert counts.shape == (4000, 6)
    assert counts.mean() == pytest.approx(2.0, abs=0.05)
    assert counts.var() == pytest.approx(0.25 + 0.5, abs=0.06)
    # Who is doubted in a frame is doubted in the next: of the missed that is not known.
    along = np.corrcoef(counts[:, 0], counts[:, 5])[0, 1]
    assert along == pytest.approx(0.25 / 0.75, abs=0.06)
    assert np.array_equal(counts, model.drawn(found, SIZE, 4000, seed=3))


def test_draws_count_what_has_a_quarter_in_view() -> None:
    made = tracks([(0, -8.0, 1.0), (1, -7.5, 1.0), (2, 30.0, 1.0), (EMPTY, 5.0, 0.0)], frames=2)
    shape = (1, 2, 4)
    video = np.zeros((0, 2, *SIZE, 3), np.uint8)
    samples = Samples([made], np.zeros(shape), np.zeros((*shape, 1)), None, video)
    assert samples.counts().tolist() == [[3, 3]]
    assert samples.counts_in_view(0.25).tolist() == [[2, 2]]
