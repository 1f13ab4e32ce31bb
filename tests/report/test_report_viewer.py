"""Recordings for the Rerun viewer, where its package is installed; a plain word where it is not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny import Square

from scalor_ppl.report.viewer import write_rerun
from scalor_ppl.tracks.table import Tracks

pytest_plugins = "report_fixtures"


def test_the_extra_is_named(
    refused: Callable[..., str], run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    out, recording = tmp_path / "out" / "report.html", tmp_path / "out" / "a.rrd"
    said = refused(run, "--out", out, "--rerun", recording)
    assert said == "--rerun needs the package rerun-sdk: pip install 'scalor-ppl[rerun]'"
    assert not out.parent.exists()


def test_a_recording(tmp_path: Path) -> None:
    pytest.importorskip("rerun", reason="rerun-sdk is not installed")
    ids = np.array([[0, -1], [0, 1], [-1, 1]])
    boxes = np.full((3, 2, 4), 4, np.float32)
    tracks = Tracks(ids, boxes, (ids >= 0).astype(np.float32), np.zeros((3, 2), bool))
    write_rerun(tmp_path / "a.rrd", Square().clip(0, 3).video, tracks)
    assert [path.name for path in tmp_path.iterdir()] == ["a.rrd"]
    assert (tmp_path / "a.rrd").read_bytes().startswith(b"RRF")
