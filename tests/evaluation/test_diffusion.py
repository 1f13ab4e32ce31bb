"""Displacement of tracks, against walks whose law is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny import CommandLine

from scalor_ppl.evaluation.diffusion import displacement
from scalor_ppl.tracks.mot import write_mot
from scalor_ppl.tracks.table import Tracks


def tracks_at(places: np.ndarray) -> Tracks:
    """Tracks of objects at these centres ``[T, N, 2]``; NaN where one is not there."""
    there = np.isfinite(places[..., 0])
    ids = np.where(there, np.arange(places.shape[1]), -1)
    boxes = np.concatenate((np.nan_to_num(places) - 2, np.full_like(places, 4)), -1)
    return Tracks(ids, boxes.astype(np.float32), there.astype(np.float32), there & False)


def walks(drift: float = 0.0) -> np.ndarray:
    steps = np.random.default_rng(0).normal(0, 0.5, (80, 400, 2))
    return steps.cumsum(0) + drift * np.arange(80)[:, None, None]


def test_free_diffusion_has_slope_one_with_drift_or_without() -> None:
    for drift in (0.0, 0.3):
        found = displacement(tracks_at(walks(drift)), 10)
        assert found.squared == pytest.approx(2 * 0.25 * found.lags, rel=0.06)
        assert found.slope == pytest.approx(1, abs=0.04)
    assert displacement(tracks_at(walks(0.3)), 10, drift=True).slope > 1.1


def test_straight_motion_has_slope_two() -> None:
    time = np.arange(20.0)[:, None]
    places = np.stack((time * [1, -1], time * [0.5, -0.5]), -1)
    found = displacement(tracks_at(places), 5)
    assert found.squared == pytest.approx(1.25 * found.lags**2, rel=1e-4)
    assert found.slope == pytest.approx(2, abs=1e-3)


def test_gaps_and_short_videos() -> None:
    places = walks()[:6, :3].copy()
    places[2, 0] = np.nan
    found = displacement(tracks_at(places), 100)
    assert found.lags.tolist() == [1, 2, 3, 4, 5]
    assert found.pairs.tolist() == [13, 10, 8, 6, 3]
    assert found.counts.tolist() == [3, 3, 2, 3, 3, 3]
    nothing = displacement(tracks_at(np.full((4, 1, 2), np.nan)), 3)
    assert np.isnan(nothing.slope)
    assert nothing.counts.sum() == 0


def test_the_command(cli: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "walk.txt"
    write_mot(path, tracks_at(walks()))
    figure, output = tmp_path / "msd.png", tmp_path / "msd.json"
    said = cli("msd", str(path), str(path), "--figure", str(figure), "--json", str(output))
    assert said.code == 0, said.err
    assert "walk" in said.out
    assert figure.stat().st_size > 5000
    assert json.loads(output.read_text())["walk"]["slope"] == pytest.approx(1, abs=0.05)
    assert cli("msd", str(tmp_path / "none.txt")).code == 2
