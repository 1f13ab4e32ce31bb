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
