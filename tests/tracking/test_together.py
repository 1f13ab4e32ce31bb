"""Several videos in one batch: each as it is alone, whatever becomes of those beside it."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tiny import ALONE, CPU, CommandLine, Square, config_of
from tracking_helpers import RUN, Interrupter, broken_images, write_frames

from scalor_ppl.errors import NotFiniteError, UserError
from scalor_ppl.inference.posterior import follow
from scalor_ppl.nn.pixels import to_video
from scalor_ppl.programs import FindsObjects, Program, require
from scalor_ppl.programs.build import build_program
from scalor_ppl.tracking import reel, track_to_files
from scalor_ppl.tracking.many import RECORD
from scalor_ppl.tracking.request import TrackingRequest
from scalor_ppl.tracking.together import JobResult, track_together
from scalor_ppl.training.runs import load_run

pytest_plugins = "tracking_fixtures"

LENGTHS = (20, 9, 26, 20, 5)
APART = 3  # frames of the clip, from where a video begins to where the next one does
SHOWN = ("left", "top", "width", "height", "confidence", "x", "y")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory, clip: np.ndarray) -> list[Path]:
    """Videos of unequal length, each of other frames of the clip.

    None in which an object's centre lies where pixels meet: by rounding the window that it is
    measured in is that of one pixel or the next.
    """
    folder = tmp_path_factory.mktemp("unequal")
    return [
        write_frames(folder / f"{n}.mkv", clip[APART * n : APART * n + length])
        for n, length in enumerate(LENGTHS)
    ]


def asked(videos: Sequence[Path], out: Path, **options: Any) -> list[TrackingRequest]:
    chosen = {"chunk": 6, **options}
    return [TrackingRequest(video, out / f"{video.stem}.csv", **chosen) for video in videos]


def in_order(program: Program, batch: int, requests: list[TrackingRequest]) -> list[JobResult]:
    return sorted(track_together(program, requests, batch=batch), key=lambda each: each.index)


def assert_alike(first: Path, second: Path) -> None:
    """The same objects in the same frames, up to rounding."""
    mine, other = pd.read_csv(first), pd.read_csv(second)
    assert len(mine) > 5
    assert (mine[["frame", "id", "discovered"]] == other[["frame", "id", "discovered"]]).all(
        axis=None
    )
    for name in SHOWN:
        assert np.allclose(mine[name], other[name], atol=2e-3), name


@pytest.mark.parametrize(("batch", "options"), [(5, {}), (2, {"measure": True})])
def test_videos_in_a_batch_are_those_alone(
    program: Program, videos: list[Path], tmp_path: Path, batch: int, options: dict[str, Any]
) -> None:
    results = in_order(program, batch, asked(videos, tmp_path / "batch", **options))
    for video, length, result in zip(videos, LENGTHS, results, strict=True):
        alone = tmp_path / f"{video.stem}.csv"
        expected = track_to_files(program, video, alone, chunk=6, **options)
        assert result.outcome is not None
        assert (result.outcome.frames, result.outcome.tracks) == (length, expected.tracks)
        assert_alike(tmp_path / "batch" / alone.name, alone)


def test_they_really_go_together(
    program: Program, videos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[tuple[int, int]] = []
    plain = reel.follow

    def counted(program: Program, video: torch.Tensor, memory: Any) -> Any:
        shapes.append((video.shape[0], video.shape[1]))
        return plain(program, video, memory)

    monkeypatch.setattr(reel, "follow", counted)
    in_order(program, 3, asked(videos, tmp_path))
    # 20, 9 and 26 frames begin; when two of them are over the others begin beside the third.
    assert shapes[:2] == [(3, 6), (2, 6)]
    assert (1, 3) in shapes
    assert sum(videos * frames for videos, frames in shapes) == sum(LENGTHS)
    assert max(videos for videos, _ in shapes) == 3


def test_refined_videos_in_a_batch_are_those_alone(clip: np.ndarray) -> None:
    # In double precision: steps of gradient make much of rounding, and of nothing else.
    program = load_run(RUN, CPU, refine=3)
    finder = require(program, FindsObjects, "track")
    program.model.double()
    program.guide.double()
    videos = [to_video(clip[None, n : n + 7], CPU).double() for n in (0, 20)]
    begun = [follow(program, videos[0][:, :2], None), follow(program, videos[1][:, :3], None)]
    parts = [videos[0][:, 2:6], videos[1][:, 3:7]]
    memories = [each.memory for each in begun]
    alone = [follow(program, *each) for each in zip(parts, memories, strict=True)]
    together = follow(program, torch.cat(parts), program.joined(memories))
    for b, memory in enumerate(program.parted(together.memory, 2)):
        expected = program.packed(alone[b].memory)
        for name, value in program.packed(memory).items():
            if name != "frame":
                torch.testing.assert_close(value, expected[name], msg=name)
        found, other = (finder.tracks(each.scene) for each in (together, alone[b]))
        assert (found[b].ids >= 0).sum() > 5
        assert np.array_equal(found[b].ids, other[0].ids)


def test_videos_of_several_sizes_go_side_by_side(tmp_path: Path) -> None:
    torch.manual_seed(3)
    settings = {"model": {"anywhere": True}, "guide": {"window": [2, 2]}}
    built = build_program(config_of(Square(), **settings), CPU)
    sizes = ((16, 16), (32, 16), (16, 16))
    videos = [
        write_frames(tmp_path / f"{n}.mkv", Square(*size).clip(n, 5).video)
        for n, size in enumerate(sizes)
    ]
    results = in_order(built, 3, asked(videos, tmp_path / "batch", threshold=0.0))
    assert [each.error for each in results] == [None] * 3
    for video in videos:
        alone = tmp_path / f"{video.stem}.csv"
        track_to_files(built, video, alone, chunk=6, threshold=0.0)
        mine, other = (pd.read_csv(path) for path in (tmp_path / "batch" / alone.name, alone))
        assert len(mine) == len(other) > 0
        assert np.allclose(mine["left"], other["left"], atol=2e-3)


def test_one_that_is_broken_stops_no_other(
    program: Program, videos: list[Path], clip: np.ndarray, tmp_path: Path
) -> None:
    broken = broken_images(tmp_path / "broken", clip[:12], at=8)
    nothing = tmp_path / "nothing.mkv"
    nothing.write_bytes(b"no video" * 99)
    small = write_frames(tmp_path / "small.mkv", clip[:4, :32])
    wanted = [nothing, videos[0], broken, small, videos[1]]
    results = in_order(program, 5, asked(wanted, tmp_path / "out"))
    said = [str(each.error) if each.error else "" for each in results]
    assert "nothing.mkv" in said[0]
    assert "8.png is not a readable image" in said[2]
    assert "the tracks of the 8 frames before are in" in said[2]
    assert "frames of 32 x 64 pixels cannot be tracked" in said[3]
    assert [bool(each) for each in said] == [True, False, True, True, False]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"0.csv", "1.csv", "broken.csv"}
    track_to_files(program, videos[0], tmp_path / "alone.csv", chunk=6)
    assert_alike(tmp_path / "out" / "0.csv", tmp_path / "alone.csv")


def test_one_whose_numbers_go_astray_stops_no_other(
    program: Program,
    videos: list[Path],
    clip: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = reel.follow
    (poor,) = to_video(clip[None, APART : APART + 1], CPU)

    def astray(program: Program, video: torch.Tensor, memory: Any) -> Any:
        if any(torch.equal(each[:1], poor) for each in video):
            raise NotFiniteError("not finite")
        return plain(program, video, memory)

    monkeypatch.setattr(reel, "follow", astray)
    results = in_order(program, 3, asked(videos[:3], tmp_path))
    assert [type(each.error) for each in results] == [type(None), NotFiniteError, type(None)]
    assert {path.name for path in tmp_path.iterdir()} == {"0.csv", "2.csv"}


def test_too_many_for_the_device(
    program: Program, videos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(reel, "follow", full)
    results = in_order(program, 2, asked(videos[:2], tmp_path))
    for each in results:
        assert isinstance(each.error, UserError)
        assert "2 videos at a time are too many for the device: give a smaller --batch" in str(
            each.error
        )
    assert not list(tmp_path.iterdir())


def test_a_signal_ends_all_of_them_and_they_go_on(
    program: Program, videos: list[Path], tmp_path: Path
) -> None:
    requests = asked(videos[:4], tmp_path / "out", chunk=4, save_every=0)
    stopped = list(
        track_together(program, requests, batch=3, watcher=Interrupter(4, signal.SIGTERM))
    )
    # The second was over before anything was handed over; the fourth had not begun.
    ends = {each.index: each.outcome for each in stopped}
    assert set(ends) == {0, 1, 2}
    interrupted = [n for n, outcome in ends.items() if outcome is not None and outcome.interrupted]
    assert len(interrupted) >= 2
    left = {path.name for path in (tmp_path / "out").iterdir() if ".lock" not in path.name}
    assert left == {f"{n}.csv{end}" for n in interrupted for end in (".part", ".resume")} | {
        f"{n}.csv" for n in set(ends) - set(interrupted)
    }
    again = asked([videos[n] for n in interrupted], tmp_path / "out", chunk=4, resume=True)
    assert all(each.outcome for each in in_order(program, 2, again))
    for video in videos[:3]:
        alone = tmp_path / f"{video.stem}.csv"
        track_to_files(program, video, alone, chunk=4)
        assert_alike(tmp_path / "out" / alone.name, alone)


def test_command_with_a_batch(cli: CommandLine, videos: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    corrupt = tmp_path / "corrupt.mkv"
    corrupt.write_bytes(b"no video" * 99)
    words = ("track", RUN, *videos[:3], corrupt, "--out", out, "--batch", 4, *ALONE)
    said = cli(*words)
    assert said.code == 2
    assert len(said.out.splitlines()) == 3
    error, summary = said.err.splitlines()
    assert "corrupt.mkv" in error
    assert summary == "3 videos tracked, 1 failed"
    lines = [json.loads(line) for line in (out / RECORD).read_text().splitlines()]
    assert {line["name"]: line["frames"] for line in lines} == dict(
        zip("012", LENGTHS, strict=False)
    )
    said = cli(*words, "--resume")
    assert (said.code, said.out) == (2, "")
    assert cli("track", RUN, videos[0], "--out", out, "--batch", 0, *ALONE).code == 2
