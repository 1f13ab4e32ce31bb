"""Clips of toy sets as video files with their ground truth."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny import CommandLine, write_clips, write_images

from scalor_ppl.data import Clip, SourceOptions, Truth, load_video, open_source
from scalor_ppl.data.netcdf import NetcdfSource
from scalor_ppl.data.toy_video import write_toy_video
from scalor_ppl.data.toys import ToySource
from scalor_ppl.errors import UserError
from scalor_ppl.tracks.mot_reader import read_rows

SET = "moving-dsprites-vld"
LONG = 70  # frames: more than two parts


def clip_of(index: int = 0, frames: int = LONG, name: str = SET, seed: int = 0) -> Clip:
    return open_source(name, split="test", seed=seed).clip(index, frames)


def truth_of(clip: Clip) -> Truth:
    assert clip.truth is not None
    return clip.truth


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".avi", ".MKV"])
def test_a_video_has_the_pixels_of_the_clip(cli: CommandLine, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"long{suffix}"
    said = cli("data", "make", SET, "--out", out, "--frames", LONG)
    assert said.code == 0, said.err
    assert said.out.strip() == f"{out}, {tmp_path / 'long.txt'} (objects at least 8% in view)"
    assert np.array_equal(load_video(out).video, clip_of().video)
    assert {path.name for path in tmp_path.iterdir()} == {out.name, "long.txt"}


def test_another_clip_of_another_seed(cli: CommandLine, tmp_path: Path) -> None:
    out = tmp_path / "a.mkv"
    chosen = ("--clip", 5, "--seed", 2, "--clips", 1)
    assert cli("data", "make", SET, "--out", out, *chosen).code == 0
    assert np.array_equal(load_video(out).video, clip_of(5, 10, seed=2).video)


def test_grey_frames(tmp_path: Path) -> None:
    source = open_source(SET, options=SourceOptions(channels=1))
    write_toy_video(source, tmp_path / "grey.mkv", 3)
    assert np.array_equal(load_video(tmp_path / "grey.mkv").video, source.clip(0, 3).video)


def test_rows_are_the_objects_of_which_8_percent_are_in_view(tmp_path: Path) -> None:
    source = open_source(SET, split="test")
    # A clip whose objects leave the view, slowly enough to be seen in part.
    index = next(
        k
        for k in range(100)
        if ((v := truth_of(clip_of(k)).visible) < 0.08).any() and (v > 0).all()
    )
    truth = truth_of(source.clip(index, LONG))
    rows = write_toy_video(source, tmp_path / "video.avi", LONG, index=index)
    assert rows == tmp_path / "video.txt"
    read = read_rows(rows)
    assert read.ids.tolist() == (truth.ids + 1).tolist()
    _, boxes, _ = read.dense(LONG)
    there = np.isfinite(boxes[..., 0])
    assert np.array_equal(there, truth.visible >= 0.08)
    assert not there.all()
    assert boxes[there] == pytest.approx(truth.boxes[there], abs=6e-4)


def test_objects_that_do_not_exist_yet_have_no_rows(tmp_path: Path) -> None:
    name = "moving-dsprites-dense-discovery"
    rows = write_toy_video(open_source(name, split="test"), tmp_path / "dense.mkv", 10)
    _, boxes, _ = read_rows(rows).dense(10)
    existing = np.isfinite(truth_of(clip_of(0, 10, name)).boxes[..., 0])
    assert np.array_equal(np.isfinite(boxes[..., 0]), existing)


def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    source = open_source("moving-dsprites-wide")
    source.clip(0, 2)  # compiles

    def peak(frames: int) -> int:
        tracemalloc.start()
        write_toy_video(source, tmp_path / f"{frames}.mkv", frames)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    # 20 KB a frame are a tenth of its pixels; positions and their noise are 1 KB.
    assert peak(256) < peak(64) + (256 - 64) * 20_000


@pytest.mark.parametrize("there", [False, True])
def test_what_fails_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    files = [tmp_path / "a.mkv", tmp_path / "a.txt"] if there else []
    for file in files:
        file.write_text("old")
    made = ToySource.parts

    def broken(source: ToySource, index: int, frames: int, length: int) -> Iterator[Clip]:
        yield next(made(source, index, frames, length))
        raise MemoryError

    monkeypatch.setattr(ToySource, "parts", broken)
    with pytest.raises(MemoryError):
        write_toy_video(open_source(SET), tmp_path / "a.mkv", LONG)
    assert sorted(tmp_path.iterdir()) == files
    assert all(file.read_text() == "old" for file in files)


def test_several_clips_are_no_video(cli: CommandLine, tmp_path: Path) -> None:
    out = tmp_path / "a.mkv"
    assert "a video is one clip" in cli.refused("data", "make", SET, "--out", out, "--clips", 2)
    assert not out.exists()


def test_recordings_and_finished_clips_are_not_made(cli: CommandLine, tmp_path: Path) -> None:
    out = tmp_path / "a.mkv"
    for source in (write_images(tmp_path / "images"), write_clips(tmp_path / "clips.nc")):
        assert "no registered set" in cli.refused("data", "make", source, "--out", out)
    assert not out.exists()


def test_no_such_clip(tmp_path: Path) -> None:
    for index, frames in ((-1, 5), (2**31, 5), (0, 0)):
        with pytest.raises(UserError):
            write_toy_video(open_source(SET), tmp_path / "a.mkv", frames, index=index)
    assert not list(tmp_path.iterdir())


def test_other_names_are_netcdf_from_the_clip_asked_for(cli: CommandLine, tmp_path: Path) -> None:
    out = tmp_path / "clips.nc"
    said = cli("data", "make", SET, "--out", out, "--clips", 2, "--clip", 3, "--frames", 4)
    assert said.code == 0, said.err
    assert said.out.strip() == str(out)
    read = NetcdfSource(out)
    assert len(read) == 2
    for n in range(2):
        assert np.array_equal(read.clip(n, 4).video, clip_of(3 + n, 4).video)
