"""Of two objects that are too close the surer stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scalor_ppl.tracks.separation import separated
from scalor_ppl.tracks.table import EMPTY, Tracks


def tracks(places: list[float], presence: list[float], spread: list[float] | None) -> Tracks:
    """One frame of objects in a row, at some places, the last slot empty."""
    ids = np.array([[*range(10, 10 + len(places)), EMPTY]])
    boxes = np.array([[[x - 2, 8.0, 4.0, 4.0] for x in (*places, 0.0)]], np.float32)
    sure = np.array([[*presence, 1.0]], np.float32)
    wide = None if spread is None else np.array([[(s, s) for s in (*spread, np.nan)]])
    return Tracks(ids, boxes, sure, np.zeros(ids.shape, bool), None, wide)


def left(found: Tracks) -> list[int]:
    """Ids that are present."""
    return found.ids[found.present(0.0)].tolist()


def test_the_smaller_deviation_stays() -> None:
    found = separated(tracks([0, 5, 20], [0.9, 0.8, 0.7], [0.2, 0.1, 0.3]), 6)
    assert left(found) == [11, 12]
    assert found.ids.tolist() == [[10, 11, 12, EMPTY]]


def test_who_states_no_deviation_is_less_sure() -> None:
    assert left(separated(tracks([0, 5], [1.0, 0.6], [np.nan, 0.4]), 6)) == [11]
    assert left(separated(tracks([0, 5], [0.7, 0.6], [np.nan, np.nan]), 6)) == [10]
    assert left(separated(tracks([0, 5], [0.6, 0.7], None), 6)) == [11]


def test_who_was_left_out_drives_nobody_out() -> None:
    # The middle one is beaten by the first; the last is far enough from the first.
    assert left(separated(tracks([0, 5, 10], [0.9, 0.8, 0.7], None), 6)) == [10, 12]


@pytest.mark.parametrize(("least", "kept"), [(0.0, 2), (5.0, 2), (5.001, 1)])
def test_as_far_as_asked_is_far_enough(least: float, kept: int) -> None:
    assert len(left(separated(tracks([0, 5], [0.9, 0.8], None), least))) == kept


def test_who_is_not_present_takes_no_part() -> None:
    pair = tracks([0, 5], [0.3, 0.8], [0.1, 0.2])
    found = separated(pair, 6, threshold=0.5)
    assert found.presence.tolist() == pair.presence.tolist()


def test_measured_centres_count_and_not_boxes() -> None:
    pair = tracks([0, 5], [0.9, 0.8], None)
    apart = replace(pair, centres=np.array([[(0.0, 0.0), (8.0, 0.0), (np.nan, np.nan)]]))
    assert left(separated(apart, 6)) == [10, 11]
