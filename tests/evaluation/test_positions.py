"""Positions from tables that have x and y, and from boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalor_ppl
from scalor_ppl.errors import UserError
from scalor_ppl.evaluation.localisation import centres_of
from scalor_ppl.evaluation.positions import positions_of, read_positions

TABLE = pd.DataFrame(
    {
        "frame": [1, 0, 1],
        "id": [7, 7, 3],
        "left": [0.0, 0.0, 9.0],
        "top": [0.0, 0.0, 9.0],
        "width": [4.0, 4.0, 4.0],
        "height": [4.0, 4.0, 4.0],
        "x": [2.5, 2.25, 11.0],
        "y": [1.5, 1.75, 12.0],
        "confidence": [0.9, 0.8, 0.3],
        "x_std": [0.1, 0.2, np.nan],
        "y_std": [0.3, 0.4, np.nan],
    }
)


def test_a_table_has_centres_and_deviations(tmp_path: Path) -> None:
    TABLE.to_csv(tmp_path / "tracks.csv", index=False)
    found = read_positions(tmp_path / "tracks.csv")
    assert found.table.frames.tolist() == [0, 1, 1]
    assert np.array(found.table.labels)[found.table.objects].tolist() == [7, 7, 3]
    assert centres_of(found.table).tolist() == [[2.25, 1.75], [2.5, 1.5], [11, 12]]
    assert found.spread is not None
    assert found.spread[:2].tolist() == [[0.2, 0.4], [0.1, 0.3]]
    assert np.isnan(found.spread[2]).all()
    sure = found.kept(0.5)
    assert len(sure.table) == 2
    assert sure.spread is not None
    assert len(sure.spread) == 2
    assert found.kept(None) is found
    assert positions_of(TABLE.drop(columns="x_std")).spread is None


def test_boxes_are_taken_where_there_is_nothing_better(tmp_path: Path) -> None:
    boxes = tmp_path / "boxes.csv"
    TABLE.drop(columns=["x", "y"]).to_csv(boxes, index=False)
    found = read_positions(boxes)
    assert centres_of(found.table).tolist() == [[2, 2], [2, 2], [11, 11]]
    assert found.spread is None
    rows = tmp_path / "tracks.txt"
    rows.write_text("1,1,0,0,4,6,1\n")
    assert centres_of(read_positions(rows).table).tolist() == [[2, 3]]


def test_msd_goes_by_the_centres_of_a_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    walk = rng.normal(0, 1, (30, 20, 2)).cumsum(0)
    t, n = np.indices((30, 20)).reshape(2, -1)
    table = pd.DataFrame({"frame": t, "id": n, "x": walk[t, n, 0], "y": walk[t, n, 1]})
    table = table.assign(left=0.0, top=0.0, width=4.0, height=4.0, confidence=1.0)
    table.to_csv(tmp_path / "tracks.csv", index=False)
    found = scalor_ppl.msd(tmp_path / "tracks.csv")
    assert found.curve["msd"][0] == pytest.approx(2, rel=0.1)


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read_positions(tmp_path / "none.csv")
    twice = tmp_path / "twice.csv"
    TABLE.assign(id=7).to_csv(twice, index=False)
    with pytest.raises(UserError, match=r"twice\.csv: .* an object twice in a frame"):
        read_positions(twice)
    (tmp_path / "bad.parquet").write_bytes(b"no table")
    with pytest.raises(UserError, match=r"bad\.parquet cannot be read as a table of tracks"):
        read_positions(tmp_path / "bad.parquet")
