"""Memory of scores and displacements goes with the rows, not with frames x ids or ids x ids."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from tiny import CommandLine

from scalor_ppl.evaluation import assignment, frames
from scalor_ppl.evaluation.boxes import centre_distances, overlap_distances
from scalor_ppl.evaluation.diffusion import displacement
from scalor_ppl.evaluation.files import paired, score_pair
from scalor_ppl.evaluation.pairs import PairSums
from scalor_ppl.tracks.mot_reader import read_rows

# Bytes a row at the peak: text, numbers and what is made of them. Tables by frame and id would take
# 2700 (displacement) and more than 25 000 (scores) of the file below.
_BYTES = 2000


def short_tracks(path: Path, tracks: int, length: int = 3, step: int = 1) -> int:
    """A file of so many tracks, a new one each frame; the number of its rows."""
    rng = np.random.default_rng(0)
    rows = []
    for n in range(tracks):
        places = rng.uniform(0, 500, 2) + rng.normal(0, 1, (length, 2)).cumsum(0)
        rows += [
            f"{(n + t) * step + 1},{n + 1},{x:.2f},{y:.2f},5,5,1" for t, (x, y) in enumerate(places)
        ]
    path.write_text("\n".join(rows))
    return len(rows)


def peak(work: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("step", [1, 1_000_000_007])
def test_memory_goes_with_the_rows(tmp_path: Path, step: int) -> None:
    path = tmp_path / "many.txt"
    rows = short_tracks(path, 500, step=step)

    def score() -> None:
        scores = score_pair(paired(path, path))
        assert [each.mota for each in scores.values()] == [1, 1]
        assert [each.hota for each in scores.values()] == [1, 1]
        assert scores["centre"].frames == 501 * step + 1

    def diffuse() -> None:
        found = displacement(read_rows(path), 3, stride=step)
        assert found.squared[:2] == pytest.approx([2, 4], rel=0.15)

    for work in (score, diffuse):
        assert peak(work) < _BYTES * rows


def test_times_in_milliseconds_are_frames(cli: CommandLine, tmp_path: Path) -> None:
    path, out = tmp_path / "times.txt", tmp_path / "out.json"
    rows = [f"{1700000000000 + 40 * t},{n},{t * n},5,9,9,1" for t in range(30) for n in range(1, 5)]
    path.write_text("\n".join(rows))
    said = cli("score", path, path, "--json", out)
    assert said.code == 0, said.err
    scores = json.loads(out.read_text())["centre"]
    assert (scores["mota"], scores["objects"], scores["frames"]) == (1, 120, 29 * 40 + 1)
    said = cli("msd", path)
    assert said.code == 2
    assert "times.txt: its frames are 40 apart or more, and the longest lag is 30" in said.err
    said = cli("msd", path, "--stride", "40", "--drift", "--json", out)
    assert said.code == 0, said.err
    found = json.loads(out.read_text())["times"]
    assert found["squared"][:2] == pytest.approx([7.5, 30])  # the mean of 1, 4, 9, 16
    assert found["counts"] == [4] * 30


def test_the_heaviest_choice_of_few_pairs_equals_that_of_a_table() -> None:
    rng = np.random.default_rng(0)
    for objects, identities, share in ((400, 300, 0.01), (300, 500, 0.05), (1, 70000, 1.0)):
        weights = rng.integers(1, 20, (objects, identities)) * (
            rng.random((objects, identities)) < share
        )
        sums = PairSums(objects, identities)
        rows, columns = np.nonzero(weights)
        for part in np.array_split(rng.permutation(len(rows)), 3):
            sums.add(rows[part], columns[part], weights[rows[part], columns[part]] / 2)
        sums.add(rows, columns, weights[rows, columns] / 2)
        best = weights[linear_sum_assignment(weights, maximize=True)].sum()
        assert sums.result().heaviest() == pytest.approx(best)


@pytest.mark.parametrize("match", ["centre", "iou"])
def test_a_crowd_is_compared_block_by_block(
    monkeypatch: pytest.MonkeyPatch, match: frames.Match
) -> None:
    rng = np.random.default_rng(0)
    boxes, found = (
        np.concatenate((rng.uniform(0, 60, (n, 2)), np.full((n, 2), 9.0)), 1) for n in (70, 50)
    )
    limit = 6.0 if match == "centre" else 0.5
    frame = frames.ScoredFrame(np.arange(70), np.arange(50), boxes, found, boxes[:0], match, limit)
    whole = frame.near()
    measure = centre_distances if match == "centre" else overlap_distances
    apart = measure(boxes, found)
    assert list(zip(whole.rows, whole.columns, strict=True)) == list(
        map(tuple, np.argwhere(apart < 2 * limit))
    )
    assert whole.distances == pytest.approx(apart[apart < 2 * limit])
    monkeypatch.setattr(frames, "_BLOCK", 130)
    for one, other in zip(frame.near(), whole, strict=True):
        assert np.array_equal(one, other)


def test_many_pairs_are_matched_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    apart = rng.uniform(0, 10, (60, 40))
    rows, columns = np.nonzero(apart < 3)
    distances = apart[rows, columns]
    few = assignment.match_within(rows, columns, distances, 2.0)
    monkeypatch.setattr(assignment, "_DENSE", 0)
    many = assignment.match_within(rows, columns, distances, 2.0)
    assert few.tolist() == many.tolist()
    assert len(few) == 40
    assert distances[few].max() <= 2
