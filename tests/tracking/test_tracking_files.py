"""The files that tracking writes: every format says what the stream says."""

from __future__ import annotations

import builtins
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from tracking_helpers import tracks_at_once, with_data, write_frames

from scalor_ppl.errors import UserError
from scalor_ppl.programs import Program
from scalor_ppl.render.glimpses import write_glimpses
from scalor_ppl.scalor import ScalorConfig
from scalor_ppl.tracking import FORMATS, Tracked, track_to_files, track_video
from scalor_ppl.tracking.identify import joined_stream, recognised_stream
from scalor_ppl.tracking.masks import id_maps, resampled
from scalor_ppl.tracking.overlay import Trails
from scalor_ppl.tracking.table import ROW, TableOutput, rows_of
from scalor_ppl.tracks.mot import read_mot, write_mot
from scalor_ppl.tracks.mot_reader import read_rows

pytest_plugins = "tracking_fixtures"


@pytest.fixture(scope="module")
def stream(program: Program, video: Path) -> list[Tracked]:
    return list(joined_stream(recognised_stream(track_video(program, video))))


@pytest.fixture(scope="module")
def rows(stream: list[Tracked]) -> np.ndarray:
    return np.concatenate([rows_of(part, 0.5) for part in stream])


def test_rows_are_sorted_and_complete(rows: np.ndarray, stream: list[Tracked]) -> None:
    assert len(rows) == sum(part.tracks.present().sum() for part in stream)
    keys = list(zip(rows["frame"], rows["id"], strict=True))
    assert keys == sorted(set(keys))
    within = (rows["x"] - rows["left"]) / rows["width"], (rows["y"] - rows["top"]) / rows["height"]
    assert ((np.stack(within) > 0) & (np.stack(within) < 1)).all()
    assert ((rows["x_std"] > 0) & (rows["y_std"] > 0)).all()
    assert set(rows["id"][rows["discovered"]]) <= set(rows["id"])


def test_mot_is_what_write_mot_writes(
    program: Program, clip: np.ndarray, video: Path, tmp_path: Path
) -> None:
    outcome = track_to_files(
        program, video, tmp_path / "new" / "a.txt", recognise=False, join=False
    )
    expected = tracks_at_once(program, clip)
    assert (outcome.frames, outcome.tracks) == (50, expected.ids.max() + 1)
    assert not outcome.interrupted
    write_mot(tmp_path / "b.txt", expected)
    ours, theirs = (read_mot(tmp_path / name, frames=50) for name in ("new/a.txt", "b.txt"))
    for t in range(50):
        one, two = np.argsort(ours.ids[t]), np.argsort(theirs.ids[t])
        assert np.array_equal(ours.ids[t, one], theirs.ids[t, two])
        assert np.allclose(ours.boxes[t, one], theirs.boxes[t, two], atol=2e-3)
    # Nothing else is left behind.
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.txt"]


def test_mot_counts_frames_of_the_file(program: Program, video: Path, tmp_path: Path) -> None:
    strided = with_data(program, source="elsewhere", stride=4)
    track_to_files(strided, video, tmp_path / "a.txt", start=6)
    frames = {int(line.split(",")[0]) for line in (tmp_path / "a.txt").read_text().splitlines()}
    assert frames == {number + 1 for number in range(6, 50, 4)}


def test_csv_is_exact(program: Program, video: Path, rows: np.ndarray, tmp_path: Path) -> None:
    track_to_files(program, video, tmp_path / "a.csv")
    table = pd.read_csv(tmp_path / "a.csv")
    assert tuple(table.columns) == ROW.names
    again = read_rows(tmp_path / "a.csv")  # which counts frames and ids from 0
    assert np.array_equal(again.frames, rows["frame"])
    assert np.array_equal(again.ids[again.objects], rows["id"])
    assert np.allclose(again.confidence, rows["confidence"])
    for name in table.columns:
        assert np.array_equal(table[name].to_numpy(ROW[name]), rows[name]), name


def test_netcdf_is_exact(program: Program, video: Path, rows: np.ndarray, tmp_path: Path) -> None:
    track_to_files(program, video, tmp_path / "a.nc")
    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as table:
        assert table.sizes == {"row": len(rows)}
        for name in map(str, table.data_vars):
            assert np.array_equal(table[name].values, rows[name]), name
        assert table["left"].attrs["units"] == "pixels"
        # What is stored is how sure it is, under its own name and the one that it had before.
        assert np.array_equal(table["confidence"].values, table["presence"].values)
        assert "q(z_pres = 1)" in table["confidence"].attrs["long_name"]
        assert table["presence"].attrs["long_name"].startswith("confidence")
        about = {"source": "clip.mkv", "height": 64, "width": 64, "fps": 25.0, "frames": 50}
        assert about.items() <= table.attrs.items()


def test_parquet_is_exact(program: Program, video: Path, rows: np.ndarray, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    track_to_files(program, video, tmp_path / "a.parquet")
    table = pd.read_parquet(tmp_path / "a.parquet")
    for name in ROW.names or ():
        assert table[name].dtype == ROW[name], name
        assert np.array_equal(table[name].to_numpy(), rows[name]), name
    metadata = parquet.read_schema(tmp_path / "a.parquet").metadata
    assert json.loads(metadata[b"scalor_ppl"])["source"] == "clip.mkv"


def test_parquet_says_what_it_needs(
    program: Program, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = builtins.__import__

    def missing(name: str, *arguments: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return there(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UserError, match=r"pip install 'scalor-ppl\[parquet\]'"):
        track_to_files(program, video, tmp_path / "a.parquet")


def test_nobody_in_view(program: Program, tmp_path: Path) -> None:
    black = write_frames(tmp_path / "black.mkv", np.zeros((5, 64, 64, 3), np.uint8))
    for name in ("a.txt", "a.csv", "a.nc"):
        outcome = track_to_files(program, black, tmp_path / name, masks=tmp_path / "masks.nc")
        assert (outcome.frames, outcome.tracks) == (5, 0)
        (tmp_path / "masks.nc").unlink()
    assert (tmp_path / "a.txt").read_text() == ""
    assert (tmp_path / "a.csv").read_text() == ",".join(ROW.names or ()) + "\n"
    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as table:
        assert table["left"].shape == (0,)


def test_threshold_and_count_of_tracks(stream: list[Tracked], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    output = TableOutput(tmp_path / "a.csv", FORMATS["csv"], 0.9)
    state: dict[str, Any] = {}
    for n, part in enumerate(stream):
        presence = rng.uniform(0.6, 1, part.tracks.presence.shape).astype(np.float32)
        output.add(replace(part, tracks=replace(part.tracks, presence=presence)))
        if n == 1:  # as after an interruption
            state = output.sync()
            output.close()
            output = TableOutput(tmp_path / "a.csv", FORMATS["csv"], 0.9, state)
    output.close()
    table = pd.read_csv(tmp_path / "a.csv.part")
    assert table["presence"].min() >= 0.9
    assert 0 < len(table) < 0.5 * sum(part.tracks.present().sum() for part in stream)
    assert output.tracks == table["id"].nunique()
    with pytest.raises(UserError, match="by a version that writes other columns"):
        TableOutput(tmp_path / "a.csv", FORMATS["csv"], 0.9, state | {"columns": ["frame"]})
    assert len(state["counted"]) <= 10


# ---------------------------------------------------------------------- masks


def rendered_importance(program: Program, depth: np.ndarray) -> np.ndarray:
    """As `composite` weighs objects, but for a factor that all have in common."""
    assert isinstance(program.config, ScalorConfig)
    occlusion = program.config.model.occlusion
    return 1 / (1 + np.exp(depth)) if occlusion is None else np.exp(-occlusion * depth)


def test_maps_agree_with_the_renderer(program: Program, stream: list[Tracked]) -> None:
    part = stream[1]
    maps = id_maps(part, 0.5)
    several = 0
    for t in range(len(part.numbers)):
        present = part.tracks.present()[t]
        covers = []
        for k in np.nonzero(present)[0]:
            plane = torch.from_numpy(part.masks[t, k] * part.tracks.presence[t, k])
            where = torch.from_numpy(part.where[t, k])
            covers.append(
                write_glimpses(plane[None, None, None], where[None, None], (64, 64))[0, 0]
            )
        cover = torch.stack(covers).numpy()
        ids, importance = part.tracks.ids[t, present], part.importance[t, present]
        assert np.allclose(importance, rendered_importance(program, part.depth[t, present]))
        weight = np.where(cover > 0.5, cover * importance[:, None, None], 0)
        expected = np.where(weight.max(0) > 0, ids[weight.argmax(0)], -1)
        # A cover of one half is on either side of it by rounding.
        close = (np.abs(cover - 0.5) < 1e-5).any(0)
        assert np.array_equal(maps[t][~close], expected[~close])
        several += ((cover > 0.5).sum(0) > 1).any()
    assert several, "no two objects overlap: the test is too easy"


def test_masks_lie_in_the_boxes(program: Program, video: Path, tmp_path: Path) -> None:
    out, masks = tmp_path / "a.csv", tmp_path / "masks.nc"
    track_to_files(program, video, out, masks=masks, start=3, chunk=7)
    table = pd.read_csv(out)
    with xr.open_dataset(masks, engine="h5netcdf") as dataset:
        maps = dataset["id"]
        assert maps.dims == ("frame", "y", "x")
        assert maps.dtype == np.int32
        assert dataset["frame"].values.tolist() == list(range(3, 50))
        assert dataset["x"].values[:2].tolist() == [0.5, 1.5]
        seen = 0
        for row in table.itertuples():
            here = maps.sel(frame=row.frame)
            y, x = np.nonzero(here.values == row.id)
            seen += len(x) > 10
            x, y = dataset["x"].values[x], dataset["y"].values[y]
            assert (np.abs(x - row.left - row.width / 2) <= row.width / 2).all()
            assert (np.abs(y - row.top - row.height / 2) <= row.height / 2).all()
        assert seen > 0.8 * len(table)
        assert set(np.unique(maps.values)) - {-1} <= set(table["id"])


def test_maps_in_another_size() -> None:
    maps = np.arange(6).reshape(2, 3)
    assert np.array_equal(resampled(maps, (4, 6)), maps.repeat(2, 0).repeat(2, 1))
    assert np.array_equal(resampled(maps, (2, 3)), maps)
    assert resampled(maps[None], (1, 1)).tolist() == [[[4]]]


# ---------------------------------------------------------------------- the overlay


def frames_in(path: Path) -> tuple[np.ndarray, float]:
    """Frames and rate of a video."""
    with av.open(str(path)) as container:
        rate = container.streams.video[0].average_rate
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return np.stack(frames), float(rate or 0)


def test_overlay_shows_the_video(
    program: Program, clip: np.ndarray, video: Path, tmp_path: Path
) -> None:
    strided = with_data(program, source="elsewhere", stride=2)
    overlay = tmp_path / "a.mp4"
    track_to_files(strided, video, tmp_path / "a.txt", overlay=overlay, chunk=4, save_every=0)
    frames, rate = frames_in(overlay)
    # Small videos are enlarged by a whole factor.
    assert frames.shape == (25, 256, 256, 3)
    assert rate == 12.5
    # Where nothing is drawn it is the video, and something is drawn everywhere.
    enlarged = clip[::2].repeat(4, 1).repeat(4, 2)
    close = (np.abs(frames.astype(int) - enlarged) < 24).all(-1).mean((1, 2))
    assert (close > 0.8).all()
    assert (close < 1).all()


def test_overlay_of_a_wide_video(program: Program, clip: np.ndarray, tmp_path: Path) -> None:
    wide = clip[:3].repeat(11, axis=1).repeat(21, axis=2)
    path = write_frames(tmp_path / "wide.mkv", wide)
    resizing = with_data(program, resize=(64, 64))
    track_to_files(resizing, path, tmp_path / "a.txt", overlay=tmp_path / "a.mp4")
    frames, _ = frames_in(tmp_path / "a.mp4")
    assert frames.shape == (3, 670, 1280, 3)  # 704 x 1344


def test_overlay_of_an_odd_size(program: Program, clip: np.ndarray, tmp_path: Path) -> None:
    odd = clip[:3].repeat(5, axis=1).repeat(5, axis=2)[:, :301, :299]
    path = write_frames(tmp_path / "odd.mkv", odd)
    resizing = with_data(program, resize=(64, 64))
    track_to_files(resizing, path, tmp_path / "a.txt", overlay=tmp_path / "a.mp4")
    assert frames_in(tmp_path / "a.mp4")[0].shape == (3, 302, 300, 3)


def test_trails_end_with_their_object() -> None:
    trails = Trails()
    for t in range(40):
        trails.move(np.array([3, 5]), np.array([[t, 0, 2, 4], [0, t, 2, 2]]))
    assert trails.points()[3] == [(t + 1.0, 2.0) for t in range(10, 40)]
    again = Trails(trails.points())
    again.move(np.array([5]), np.array([[0, 40, 2, 2]]))
    assert list(again.points()) == [5]
    assert again.points()[5][-2:] == [(1.0, 40.0), (1.0, 41.0)]
