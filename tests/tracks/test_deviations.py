"""What the scale of errors depends on, and the file that remembers it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scalor_ppl.errors import UserError
from scalor_ppl.tracks.counting import CountModel
from scalor_ppl.tracks.deviations import (
    FEATURES,
    FILE,
    Calibration,
    ScaleModel,
    features_of,
    read_calibration,
    write_calibration,
)
from scalor_ppl.tracks.table import Tracks


def tracks() -> Tracks:
    """Two objects that share a quarter of their area, one beyond the edge, one empty slot."""
    boxes = np.array([[[0, 0, 4, 4], [2, 2, 4, 4], [18, 5, 4, 8], [0, 0, 9, 9]]], np.float32)
    return Tracks(
        ids=np.array([[3, 5, 6, -1]]),
        boxes=boxes,
        presence=np.array([[1, 0.75, 1, 0]], np.float32),
        discovered=np.array([[False, True, False, False]]),
        spread=np.array([[[0.1, 0.2], [0.3, 0.4], [0, 1], [np.nan, np.nan]]]),
    )


def calibration(refine: int = 0) -> Calibration:
    centre = ScaleModel({"constant": np.log(2), "deviation": 1.0, "covered": 1.0}, 4.0, 1.5)
    size = ScaleModel({"constant": np.log(0.3)}, 5.0, 1.0)
    return Calibration(centre, size, refine, {"source": "a-set", "seed": 777, "clips": 40})


def test_features_are_those_of_boxes_and_the_guide() -> None:
    found = dict(zip(FEATURES, np.moveaxis(features_of(tracks(), (20, 20)), -1, 0), strict=True))
    assert (found["constant"] == 1).all()
    np.testing.assert_allclose(found["deviation"][0, 0], np.log([0.1, 0.2]))
    np.testing.assert_allclose(found["deviation"][0, 2], np.log([1e-3, 1]))
    np.testing.assert_allclose(found["side"][0, 2], np.log([4, 8]))
    np.testing.assert_allclose(found["covered"][0, :3, 0], [0.25, 0.25, 0])
    np.testing.assert_allclose(found["outside"][0, :3, 1], [0, 0, np.log(51)])
    assert found["discovered"][0, :, 0].tolist() == [0, 1, 0, 0]
    np.testing.assert_allclose(found["doubt"][0, :3, 0], [0, 0.25, 0])
    assert np.isfinite(features_of(tracks(), (20, 20))).all()


def test_calibrated_deviations_take_the_place_of_the_guides() -> None:
    applied = calibration().applied(tracks(), (20, 20))
    assert applied.spread is not None
    np.testing.assert_allclose(
        applied.spread[0, 0], 1.5 * 2 * np.array([0.1, 0.2]) * np.exp(0.25), rtol=1e-6
    )
    assert np.isnan(applied.spread[0, 3]).all()
    np.testing.assert_array_equal(applied.boxes, tracks().boxes)
    np.testing.assert_allclose(calibration().sizes(tracks(), (20, 20))[0, :3], 0.3)


def test_boxes_in_view_have_an_offset_and_cut_ones_none() -> None:
    size = ScaleModel({"constant": 0.0}, 5.0, 1.0, (0.5, -0.25))
    found = replace(calibration(), size=size).oversizes(tracks(), (20, 20))
    np.testing.assert_allclose(found[0, :2], [[0.5, -0.25]] * 2)
    np.testing.assert_allclose(found[0, 2], np.array([0.5, -0.25]) / 51)  # half is out of view


def test_the_file_has_one_calibration_for_each_number_of_steps(tmp_path: Path) -> None:
    assert read_calibration(tmp_path, 0) is None
    write_calibration(tmp_path, calibration())
    write_calibration(tmp_path, calibration(5))
    assert read_calibration(tmp_path, 0) == calibration()
    assert read_calibration(tmp_path, 5) == calibration(5)
    assert read_calibration(tmp_path, 3) is None
    assert "40 simulated clips of a-set (seed 777)" in calibration().in_words()


def test_an_offset_is_stored_and_files_of_before_have_none(tmp_path: Path) -> None:
    size = replace(calibration().size, offset=(0.5, -0.25))
    path = write_calibration(tmp_path, replace(calibration(), size=size))
    stored = read_calibration(tmp_path, 0)
    assert stored is not None
    assert stored.size == size
    document = json.loads(path.read_text())
    for each in ("centre", "size"):
        del document["calibrations"][0][each]["offset"]
    path.write_text(json.dumps(document))
    assert read_calibration(tmp_path, 0) == calibration()
    document["calibrations"][0]["size"]["offset"] = [1, float("inf")]
    path.write_text(json.dumps(document))
    with pytest.raises(UserError, match="not finite"):
        read_calibration(tmp_path, 0)


def test_a_count_is_stored_and_checked(tmp_path: Path) -> None:
    known = replace(calibration(), count=CountModel({"constant": 0.5, "in_view": 2.0}, 0.1))
    path = write_calibration(tmp_path, known)
    assert read_calibration(tmp_path, 0) == known
    path.write_text(path.read_text().replace('"missed": 0.1', '"missed": -1'))
    with pytest.raises(UserError, match="fewer than no object"):
        read_calibration(tmp_path, 0)


@pytest.mark.parametrize(
    "text", ["", "{}", '{"calibrations": [{}]}', '{"calibrations": [3]}', "\x00"]
)
def test_a_broken_file_is_explained(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(UserError, match="--calibrate"):
        read_calibration(tmp_path, 0)


def test_unknown_coefficients_are_refused(tmp_path: Path) -> None:
    path = write_calibration(tmp_path, calibration())
    path.write_text(path.read_text().replace('"covered"', '"speed"'))
    with pytest.raises(UserError, match="speed"):
        read_calibration(tmp_path, 0)
