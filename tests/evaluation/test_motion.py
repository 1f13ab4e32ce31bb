"""Motion as tables, from files and from Python, and what is said against the figures."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_diffusion import rows_at, tracks_at
from test_diffusion_fit import walk
from tiny import CommandLine

import scalor_ppl
from scalor_ppl.errors import UserError
from scalor_ppl.evaluation.motion import measure_motion
from scalor_ppl.tracks.mot import write_mot


def frame_of(places: np.ndarray) -> pd.DataFrame:
    """A row for each object and frame of places [T, N, 2]."""
    t, n = np.nonzero(np.isfinite(places[..., 0]))
    return pd.DataFrame({"frame": t, "id": n, "x": places[t, n, 0], "y": places[t, n, 1]})


def test_tables_from_a_file_and_from_a_table_are_the_same(tmp_path: Path) -> None:
    places = walk(40, 60, 0.25, 0.1)
    write_mot(tmp_path / "walk.txt", tracks_at(places))
    ours = scalor_ppl.msd(tmp_path / "walk.txt")
    theirs = scalor_ppl.msd(frame_of(places))
    assert ours.fit.index.tolist() == [
        *("diffusion", "alpha", "static_variance", "free_diffusion", "free_static_variance"),
        "excess_variance",
    ]
    assert ours.fit.loc["free_diffusion", "value"] == pytest.approx(0.25, rel=0.1)
    for one, other in zip(ours, theirs, strict=True):
        assert isinstance(one, pd.DataFrame)
        same = [column for column in one if column not in ("id", "first", "last")]
        assert one[same].to_numpy() == pytest.approx(other[same].to_numpy(), abs=0.02, nan_ok=True)
    assert ours.curve["lag"].tolist() == list(range(1, 31))
    assert ours.curve["fitted"].notna().sum() == 10
    assert (ours.tracks["id"].iloc[0], theirs.tracks["id"].iloc[0]) == (1, 0)
    assert (theirs.tracks["first"].iloc[0], theirs.tracks["last"].iloc[0]) == (0, 39)


def test_a_confidence_leaves_rows_out() -> None:
    table = frame_of(walk(40, 40, 0.25)).assign(confidence=lambda t: np.where(t["id"] < 10, 0.2, 1))
    assert len(scalor_ppl.msd(table, confidence=0.5).tracks) == 30


def test_errors_that_the_tracks_state_are_taken(cli: CommandLine, tmp_path: Path) -> None:
    table = frame_of(walk(40, 60, 0.25, 0.2, seed=1)).assign(x_std=0.2, y_std=0.2)
    stated, blind = scalor_ppl.msd(table).fit, scalor_ppl.msd(table, static_error="fit").fit
    known = scalor_ppl.msd(table.drop(columns=["x_std", "y_std"]), static_error=0.2).fit
    pd.testing.assert_frame_equal(stated, known)
    width = (stated["high"] - stated["low"]) / (blind["high"] - blind["low"])
    assert width["alpha"] < 0.6
    assert stated.loc["static_variance", "value"] == pytest.approx(0.04)
    assert blind.loc["static_variance", "high"] > 0.04 > blind.loc["static_variance", "low"]
    with pytest.warns(UserWarning, match="positions err by more than they state"):
        scalor_ppl.msd(frame_of(walk(40, 60, 0.25, 0.5)), static_error=0.0)
    for wrong in (-1.0, float("nan"), "much"):
        with pytest.raises(UserError, match=f"static error {wrong}: give pixels, 0 or more"):
            scalor_ppl.msd(table, static_error=wrong)  # type: ignore[arg-type]
    path = tmp_path / "walk.csv"
    table.to_csv(path, index=False)
    assert "0.20 (stated)" in cli("msd", path).out
    fitted = cli("msd", path, "--static-error", "fit")
    assert "(stated)" not in fitted.out
    assert "--static-error much: give pixels, or 'fit'" in cli.refused(
        "msd", path, "--static-error", "much"
    )


def test_wrong_tables_are_told() -> None:
    table = frame_of(walk(5, 5, 0.25))
    with pytest.raises(UserError, match="no column x"):
        scalor_ppl.msd(table.drop(columns="x"))
    with pytest.raises(UserError, match="not finite"):
        scalor_ppl.msd(table.assign(y=np.nan))
    with pytest.raises(UserError, match="an object twice in a frame"):
        scalor_ppl.msd(table.assign(id=0))
    with pytest.raises(UserError, match="exposure 2"):
        scalor_ppl.msd(table, exposure=2)


def test_doubts() -> None:
    def doubts(places: np.ndarray) -> str:
        return " ".join(measure_motion(rows_at(places)).doubts)

    assert doubts(walk(60, 100, 0.25, 0.1)) == ""
    assert "too short to tell D, alpha and static error apart" in doubts(walk(4, 100, 0.25))
    assert "only 3 of 3 tracks are as long" in doubts(walk(40, 3, 0.25))
    rng = np.random.default_rng(0)
    assert "grow as no power of the lag" in doubts(rng.normal(0, 1, (60, 100, 2)))
    smooth = walk(61, 200, 0.25)
    smooth = (smooth[1:] + smooth[:-1]) / 2
    assert "positions lag behind the objects or were smoothed" in doubts(smooth)
    with pytest.warns(UserWarning, match="each step goes on in the next one"):
        scalor_ppl.msd(frame_of(smooth))


def test_the_command_prints_and_writes_all_of_it(cli: CommandLine, tmp_path: Path) -> None:
    path, out, each = (tmp_path / name for name in ("walk.txt", "msd.json", "each.csv"))
    write_mot(path, tracks_at(walk(60, 80, 0.25, 0.1, 1.0)))
    said = cli("msd", path, "--exposure", 1, "--json", out, "--per-track", each)
    assert said.code == 0, said.err
    found = json.loads(out.read_text())["walk"]
    free = found["fit"]["free_diffusion"]
    assert free["low"] < free["value"] < free["high"]
    assert free["value"] == pytest.approx(0.25, rel=0.08)
    assert f"{free['value']:.3f} ({free['low']:.3f} to {free['high']:.3f})" in said.out
    assert found["exposure"] == 1
    assert (len(found["fitted"]), len(found["velocity"]["lags"])) == (10, 11)
    assert found["doubts"] == []
    tracks = pd.read_csv(each)
    assert len(tracks) == 80
    assert tracks["diffusion"].tolist() == pytest.approx(found["tracks"]["diffusion"])
    refused = cli.refused("msd", path, path.with_name("other.txt"), "--per-track", each)
    assert "takes one file of tracks" in refused


def test_the_plain_curve_is_that_of_trackpy() -> None:
    trackpy = pytest.importorskip("trackpy")
    places = walk(50, 30, 0.25, 0.1)
    places[np.random.default_rng(0).random(places.shape[:2]) < 0.1] = np.nan
    table = frame_of(places)
    ours = scalor_ppl.msd(table, lags=20, drift=True).curve
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Without gaps its mean over particles is weighted by frames, which are pairs then.
        whole = walk(50, 30, 0.25, 0.1)
        theirs = trackpy.emsd(frame_of(whole).rename(columns={"id": "particle"}), 1, 1, 20)
        each = trackpy.imsd(table.rename(columns={"id": "particle"}), 1, 1, 20)
    same = scalor_ppl.msd(frame_of(whole), lags=20, drift=True).curve
    assert same["msd"].to_numpy() == pytest.approx(theirs.to_numpy(), rel=1e-9)
    pairs = [np.isfinite(places[lag:, :, 0] * places[:-lag, :, 0]).sum(0) for lag in range(1, 21)]
    weighted = [np.average(row, weights=n) for row, n in zip(each.to_numpy(), pairs, strict=True)]
    assert ours["msd"].to_numpy() == pytest.approx(weighted, rel=1e-9)
