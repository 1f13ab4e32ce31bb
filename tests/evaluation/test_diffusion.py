"""Displacement of tracks, against walks whose law is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny import CommandLine

from scalor_ppl.errors import UserError
from scalor_ppl.evaluation.diffusion import displacement
from scalor_ppl.tracks.box_table import BoxTable
from scalor_ppl.tracks.mot import write_mot
from scalor_ppl.tracks.mot_reader import read_rows
from scalor_ppl.tracks.table import Tracks


def tracks_at(places: np.ndarray) -> Tracks:
    """Tracks of objects at these centres ``[T, N, 2]``; NaN where one is not there."""
    there = np.isfinite(places[..., 0])
    ids = np.where(there, np.arange(places.shape[1]), -1)
    boxes = np.concatenate((np.nan_to_num(places) - 2, np.full_like(places, 4)), -1)
    return Tracks(ids, boxes.astype(np.float32), there.astype(np.float32), there & False)


def rows_at(places: np.ndarray) -> BoxTable:
    """The same as rows."""
    return BoxTable.of(tracks_at(places))


def walks(drift: float = 0.0) -> np.ndarray:
    steps = np.random.default_rng(0).normal(0, 0.5, (80, 400, 2))
    return steps.cumsum(0) + drift * np.arange(80)[:, None, None]


def test_free_diffusion_has_slope_one_with_drift_or_without() -> None:
    for drift in (0.0, 0.3):
        found = displacement(rows_at(walks(drift)), 10)
        assert found.squared == pytest.approx(2 * 0.25 * found.lags, rel=0.06)
        assert found.slope == pytest.approx(1, abs=0.04)
    assert displacement(rows_at(walks(0.3)), 10, drift=True).slope > 1.1


def test_straight_motion_has_slope_two() -> None:
    speeds = np.random.default_rng(0).normal(0, 1, (50, 2))
    found = displacement(rows_at(np.arange(20.0)[:, None, None] * speeds), 5)
    # The mean speed is drift; the estimate of the rest is unbiased, as that of a variance is.
    variance = speeds.var(0, ddof=1).sum()
    assert found.squared == pytest.approx(variance * found.lags**2, rel=1e-4)
    assert found.slope == pytest.approx(2, abs=1e-3)
    kept = displacement(rows_at(np.arange(20.0)[:, None, None] * speeds), 5, drift=True)
    assert kept.squared == pytest.approx(np.square(speeds).sum(1).mean() * kept.lags**2, rel=1e-4)


def test_gaps_and_short_videos() -> None:
    places = walks()[:6, :3].copy()
    places[2, 0] = np.nan
    found = displacement(rows_at(places), 100)
    assert found.lags.tolist() == [1, 2, 3, 4, 5]
    assert found.pairs.tolist() == [13, 10, 8, 6, 3]
    assert found.frames.tolist() == [1, 2, 3, 4, 5, 6]
    assert found.counts.tolist() == [3, 3, 2, 3, 3, 3]
    nothing = displacement(rows_at(np.full((4, 1, 2), np.nan)), 3)
    assert np.isnan(nothing.slope)
    assert nothing.counts.sum() == 0


def drifting(steps: int, objects: int = 80, seed: int = 0) -> np.ndarray:
    """Walks of 2 square pixels a frame, all with a drift of 5 pixels a frame."""
    rng = np.random.default_rng(seed)
    own = rng.normal(0, 1, (steps, objects, 2)).cumsum(0)
    return own + 5 * np.arange(steps)[:, None, None] * [1, 0]


@pytest.mark.parametrize("start", [0, 40])
@pytest.mark.parametrize("stride", [1, 2, 7])
def test_frames_that_were_not_tracked_change_nothing(start: int, stride: int) -> None:
    walk = drifting(60)
    sparse = np.full((start + 60 * stride, *walk.shape[1:]), np.nan)
    sparse[start::stride] = walk
    every, found = displacement(rows_at(walk), 5), displacement(rows_at(sparse), 5 * stride)
    assert found.squared[stride - 1 :: stride] == pytest.approx(every.squared, rel=1e-5)
    assert found.pairs[stride - 1 :: stride].tolist() == every.pairs.tolist()
    assert found.pairs.sum() == every.pairs.sum()
    assert found.slope == pytest.approx(every.slope, abs=1e-6)
    assert found.stride == stride
    assert found.frames.tolist() == list(range(start + 1, start + 60 * stride + 1, stride))
    assert found.counts.tolist() == [80] * 60
    given = displacement(rows_at(sparse), 5, stride=stride)
    assert given.squared == pytest.approx(every.squared, rel=1e-5)
    assert (given.unit, given.lags.tolist()) == (stride, [1, 2, 3, 4, 5])


def test_frames_that_are_lost_for_all_do_not_add_drift() -> None:
    walk = drifting(100)
    every = displacement(rows_at(walk), 10)
    walk[4::10] = np.nan
    lost = displacement(rows_at(walk), 10)
    assert lost.squared == pytest.approx(every.squared, rel=0.1)
    assert lost.squared == pytest.approx(2 * lost.lags, rel=0.1)


def test_a_stride_says_which_frames_have_no_objects() -> None:
    places = np.full((9, 2, 2), np.nan)
    places[[0, 2, 8]] = 1.0
    assert displacement(rows_at(places), 2).counts.tolist() == [2, 2, 2]
    found = displacement(rows_at(places), 2, stride=2)
    assert found.frames.tolist() == [1, 3, 5, 7, 9]
    assert found.counts.tolist() == [2, 2, 0, 0, 2]
    with pytest.raises(UserError, match="2 apart, which is no multiple of --stride 4"):
        displacement(rows_at(places), 2, stride=4)
    with pytest.raises(UserError, match=r"2 apart or more, .* give --lags 60, or --stride 2"):
        displacement(rows_at(places), 1)


@pytest.mark.parametrize("objects", [2, 3, 5])
def test_few_objects_have_their_own_motion_left(objects: int) -> None:
    found = displacement(rows_at(drifting(4000, objects)), 4)
    assert found.squared == pytest.approx(2 * found.lags, rel=0.08)
    assert not found.drift_left


def test_drift_of_objects_that_come_and_go() -> None:
    walk = drifting(4000, 4)
    walk[np.random.default_rng(1).random((4000, 4)) < 0.3] = np.nan
    found = displacement(rows_at(walk), 3)
    assert found.squared == pytest.approx(2 * found.lags, rel=0.08)
    # A step has fewer than two of four objects that are in both frames (0.49) with 0.33.
    assert found.steps_left_out == pytest.approx(0.33, abs=0.03)


def test_of_one_object_drift_stays() -> None:
    found = displacement(rows_at(drifting(4000, 1)), 2)
    assert found.drift_left
    assert found.squared == pytest.approx([27, 104], rel=0.05)  # 2 + 25, 4 + 100


def test_the_command(cli: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "walk.txt"
    write_mot(path, tracks_at(walks()))
    figure, output = tmp_path / "msd.png", tmp_path / "msd.json"
    said = cli("msd", str(path), "--figure", str(figure), "--json", str(output))
    assert said.code == 0, said.err
    assert "walk" in said.out
    assert figure.stat().st_size > 5000
    assert json.loads(output.read_text())["walk"]["slope"] == pytest.approx(1, abs=0.05)
    assert cli("msd", str(tmp_path / "none.txt")).code == 2


def write_walk(path: Path, confidence: float = 1.0, objects: int = 6) -> Path:
    path.parent.mkdir(exist_ok=True)
    rows = [
        f"{t + 1},{n + 1},{x:.4f},{y:.4f},4,4,{confidence}"
        for t, frame in enumerate(drifting(30, objects))
        for n, (x, y) in enumerate(frame)
    ]
    path.write_text("\n".join(rows))
    return path


def test_files_of_one_name_are_told_apart(cli: CommandLine, tmp_path: Path) -> None:
    paths = [write_walk(tmp_path / name / "tracks.txt") for name in ("a", "b")]
    paths.append(write_walk(tmp_path / "walk.txt"))
    out = tmp_path / "out.json"
    said = cli("msd", *map(str, paths), "--json", str(out))
    assert said.code == 0, said.err
    assert list(json.loads(out.read_text())) == ["a/tracks.txt", "b/tracks.txt", "walk"]
    again = cli("msd", str(paths[0]), str(tmp_path / "b" / ".." / "a" / "tracks.txt"))
    assert (again.code, "is given twice" in again.err) == (2, True)


def test_every_row_counts_unless_a_confidence_is_asked_for(
    cli: CommandLine, tmp_path: Path
) -> None:
    low, high = write_walk(tmp_path / "low.txt", 0.4), write_walk(tmp_path / "high.txt")
    out = tmp_path / "out.json"
    assert cli("msd", str(low), str(high), "--json", str(out)).code == 0
    found = json.loads(out.read_text())
    assert found["low"]["pairs"] == found["high"]["pairs"] == [6 * n for n in range(29, 0, -1)]
    said = cli("msd", str(low), str(high), "--confidence", "0.5", "--json", str(out))
    assert said.code == 0, said.err
    assert json.loads(out.read_text())["low"]["pairs"] == []


def test_what_the_figures_leave_out_is_said(cli: CommandLine, tmp_path: Path) -> None:
    one = write_walk(tmp_path / "one.txt", objects=1)
    assert "drift cannot be told from motion: it is left in" in cli("msd", str(one)).err
    assert "drift" not in cli("msd", str(one), "--drift").err
    two = write_walk(tmp_path / "two.txt", objects=2)
    assert "told by 2.0 objects a frame, which is few" in cli("msd", str(two)).err
    lost = write_walk(tmp_path / "lost.txt")
    rows = [line for line in lost.read_text().splitlines() if not line.startswith(("4,", "9,"))]
    lost.write_text("\n".join(rows))
    said = cli("msd", str(lost))
    assert "2 of 30 frames from the first to the last have no rows" in said.err
    assert cli("msd", str(lost), "--stride", "1").err == ""
    lost.write_text("")
    said = cli("msd", str(lost))
    assert (said.code, "lost.txt: no rows" in said.err) == (0, True)


def test_no_digit_is_cut_in_a_narrow_terminal(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "experiment_3_well_A01_position_12_488nm_control_[a]"
    path = write_walk(tmp_path / f"{name}.txt")
    monkeypatch.setenv("COLUMNS", "30")
    found = displacement(read_rows(path), 30)
    for said in (cli("msd", str(path)), cli("score", str(path), str(path))):
        assert said.code == 0, said.err
        assert "…" not in said.out
        assert name in said.out
    assert f"{found.squared[19]:.2f}" in cli("msd", str(path)).out
