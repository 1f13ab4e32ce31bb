"""Layers of napari: what they hold, without a window."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import CommandLine
from tracking_helpers import with_data, write_frames

from scalor_ppl.errors import UserError
from scalor_ppl.programs import Program
from scalor_ppl.tracking import layers, track_to_files

pytest_plugins = "tracking_fixtures"


@pytest.fixture(scope="module")
def made(program: Program, video: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tracks in two formats, and masks, of frames 5 to 15."""
    folder = tmp_path_factory.mktemp("made")
    masks = folder / "masks.nc"
    for name, also in (("a.csv", masks), ("a.nc", None), ("a.txt", None)):
        track_to_files(program, video, folder / name, masks=also, start=5, stop=16)
    return folder


def test_tracks_are_rows_of_id_time_y_and_x(made: Path) -> None:
    table = layers.read_table(made / "a.csv")
    layer = layers.tracks_layer(table, "confidence")
    assert layer.kind == "tracks"
    assert layer.data.shape == (len(table), 4)
    # By id and then by time, as napari asks for.
    assert np.array_equal(layer.data, layer.data[np.lexsort((layer.data[:, 1], layer.data[:, 0]))])
    # The centre of the first pixel is at 0 there.
    back = pd.DataFrame(layer.data, columns=["id", "frame", "y", "x"]).sort_values(["frame", "id"])
    for name in ("id", "frame"):
        assert np.array_equal(back[name], table[name])
    for name in ("x", "y"):
        assert np.allclose(back[name] + 0.5, table[name])
    assert layer.options["color_by"] == "confidence"
    features = layer.options["features"]
    assert np.array_equal(features["id"], layer.data[:, 0])
    assert len(features["confidence"]) == len(table)
    assert layers.tracks_layer(table).options["color_by"] == "track_id"


def test_every_format_says_the_same(made: Path) -> None:
    table = layers.read_table(made / "a.csv")
    boxes = table.assign(
        x=table["left"] + table["width"] / 2, y=table["top"] + table["height"] / 2
    )  # which is all that MOTChallenge has
    for name, close in (("a.nc", 0), ("a.txt", 2e-3)):
        other = layers.read_table(made / name)
        table = boxes if name == "a.txt" else table
        for column in ("frame", "id", "x", "y", "confidence"):
            assert np.allclose(other[column], table[column], atol=close), (name, column)


def test_the_video_lies_under_the_tracks(video: Path, clip: np.ndarray, tmp_path: Path) -> None:
    layer = layers.video_layer(video, 5, 15)
    assert layer.kind == "image"
    assert layer.options["rgb"]
    assert layer.options["translate"] == (5, 0, 0)
    assert np.array_equal(layer.data, clip[5:16])


def test_masks_lie_under_the_tracks(program: Program, clip: np.ndarray, tmp_path: Path) -> None:
    # A video of twice the size is tracked in the size of the run.
    large = write_frames(tmp_path / "large.mkv", clip[:6].repeat(2, 1).repeat(2, 2))
    masks = tmp_path / "m.nc"
    resizing = with_data(program, source="elsewhere", resize=(64, 64), stride=2)
    track_to_files(resizing, large, tmp_path / "a.csv", masks=masks)
    layer = layers.masks_layer(masks, 1, 5)
    assert layer.kind == "labels"
    assert layer.data.shape == (2, 64, 64)  # frames 2 and 4
    assert layer.options["scale"] == (2.0, 2.0, 2.0)
    # The first pixel covers two of the video's, whose centres are at 0 and 1.
    assert layer.options["translate"] == (2.0, 0.5, 0.5)
    table = layers.read_table(tmp_path / "a.csv")
    inside = 0
    for row in table[table["frame"].isin([2, 4])].itertuples():
        y, x = np.nonzero(layer.data[(row.frame - 2) // 2] == row.id + 1)
        if len(x):
            places = np.array([y.mean(), x.mean()]) * 2 + 0.5
            assert np.abs(places - [row.y - 0.5, row.x - 0.5]).max() < 6
            inside += 1
    assert inside


def test_without_napari_it_is_one_line(cli: CommandLine, made: Path) -> None:
    if layers.find_spec("napari") is None:
        assert "pip install 'scalor-ppl[napari]'" in cli.refused("view", made / "a.csv")


def test_the_command_hands_over_the_layers(
    cli: CommandLine, made: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Any] = []

    class Viewer:
        def __init__(self, title: str) -> None:
            self.title = title

        def add_layer(self, layer: Any) -> None:
            shown.append(layer)

    fake: Any = ModuleType("napari")
    fake.Viewer, fake.run = Viewer, lambda: shown.append("run")
    fake.layers = ModuleType("layers")
    fake.layers.Layer = type("Layer", (), {"create": staticmethod(lambda *parts: parts)})
    monkeypatch.setitem(sys.modules, "napari", fake)
    monkeypatch.setattr(layers, "find_spec", lambda name: True)
    options = ("--masks", made / "masks.nc", "--start", 7, "--stop", 12, "--colour", "confidence")
    said = cli("view", made / "a.csv", video, *options)
    assert said.code == 0, said
    image, labels, tracks, run = shown
    assert (image[2], labels[2], tracks[2], run) == ("image", "labels", "tracks", "run")
    assert image[0].shape == (5, 64, 64, 3)
    assert labels[0].shape == (5, 64, 64)
    assert set(tracks[0][:, 1]) == set(range(7, 12))
    assert "has no objects in these frames" in cli.refused("view", made / "a.csv", "--start", 90)
    assert "is not a run" in cli.refused("view", made)
    assert "no such file" in cli.refused("view", made / "b.csv")


def test_what_cannot_be_shown(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.geff").write_text("")
    with pytest.raises(UserError, match=r"give tracks that end in .txt, .csv, .parquet or .nc"):
        layers.read_table(tmp_path / "a.geff")
    (tmp_path / "a.csv").write_text("frame,id\n1,2\n")
    with pytest.raises(UserError, match="has no column x"):
        layers.read_table(tmp_path / "a.csv")
    (tmp_path / "a.nc").write_bytes(b"spoilt")
    with pytest.raises(UserError, match=r"a.nc cannot be read as tracks"):
        layers.read_table(tmp_path / "a.nc")
    with pytest.raises(UserError, match=r"a.nc cannot be read as masks"):
        layers.masks_layer(tmp_path / "a.nc", 0, 1)
    with pytest.raises(UserError, match=r"masks.nc has no frames from 90 to 99"):
        layers.masks_layer(made / "masks.nc", 90, 99)


def test_a_video_beyond_memory_is_refused(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "_MOST", 64 * 64 * 3 * 10)
    with pytest.raises(UserError, match=r"frames 0 to 10 of .* show fewer, with --start"):
        layers.video_layer(video, 0, 10)
