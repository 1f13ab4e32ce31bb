"""Tracks as a stream: the same as of the whole video, in the video's own pixels and frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import CPU, Square, config_of
from tracking_helpers import (
    SET,
    assert_same,
    broken_images,
    tracks_at_once,
    with_data,
    write_frames,
)

from scalor_ppl.errors import UserError
from scalor_ppl.programs import Program
from scalor_ppl.programs.build import build_program
from scalor_ppl.scalor.memory import from_tensors, to_tensors
from scalor_ppl.tracking import BrokenVideoError, Tracked, track_video
from scalor_ppl.tracking.identify import recognised_stream
from scalor_ppl.tracking.recording import open_recording
from scalor_ppl.tracks.table import Tracks

pytest_plugins = "tracking_fixtures"

SIDE = 64


def joined(parts: list[Tracked]) -> Tracks:
    """The tracks of a stream."""
    return Tracks(
        *(
            np.concatenate([getattr(part.tracks, name) for part in parts])
            for name in ("ids", "boxes", "presence", "discovered")
        )
    )


@pytest.mark.parametrize("chunk", [1, 3, 16])
def test_chunks_are_the_tracks_at_once(
    program: Program, clip: np.ndarray, video: Path, chunk: int
) -> None:
    parts = list(track_video(program, video, chunk=chunk))
    assert {len(part.numbers) for part in parts[:-1]} == {chunk}
    assert np.array_equal(np.concatenate([part.numbers for part in parts]), np.arange(len(clip)))
    tracks = joined(parts)
    assert tracks.ids.max() > 3
    assert_same(tracks, tracks_at_once(program, clip))


def test_identities_do_not_depend_on_chunks(program: Program, video: Path) -> None:
    whole = joined(list(recognised_stream(track_video(program, video, chunk=50))))
    for chunk in (3, 16):
        parts = list(recognised_stream(track_video(program, video, chunk=chunk)))
        assert_same(joined(parts), whole)
    # Goes on as if there had been no break.
    after = track_video(program, video, chunk=16, memory=parts[1].memory)
    again = list(recognised_stream(after, parts[1].identities))
    for name in ("ids", "boxes"):
        expected = getattr(joined(parts[2:]), name)
        assert np.array_equal(getattr(joined(again), name), expected), name


def test_goes_on_with_a_memory_bit_for_bit(program: Program, video: Path) -> None:
    parts = list(track_video(program, video, chunk=8))
    stored = {
        name: value.clone() if isinstance(value, torch.Tensor) else value
        for name, value in to_tensors(parts[2].memory).items()
    }
    memory = from_tensors(stored)
    after = list(track_video(program, video, chunk=8, memory=memory))
    assert after[0].numbers[0] == 24
    for name in ("ids", "boxes", "presence", "discovered"):
        expected = getattr(joined(parts[3:]), name)
        assert np.array_equal(getattr(joined(after), name), expected), name


def test_nothing_comes_after_the_end(program: Program, video: Path) -> None:
    last = list(track_video(program, video))[-1]
    assert list(track_video(program, video, memory=last.memory)) == []


def test_frames_are_handed_over_on_request(program: Program, clip: np.ndarray, video: Path) -> None:
    assert next(track_video(program, video)).shown == ()
    parts = list(track_video(program, video, shown=True))
    assert np.array_equal(np.stack([frame for part in parts for frame in part.shown]), clip)


def test_range_and_stride(program: Program, clip: np.ndarray, video: Path) -> None:
    every_third = with_data(program, source="elsewhere.mp4", stride=3, start=1, stop=4)
    parts = list(track_video(every_third, video, start=5, stop=33, chunk=4))
    assert np.concatenate([part.numbers for part in parts]).tolist() == list(range(5, 33, 3))
    assert_same(joined(parts), tracks_at_once(program, clip[5:33:3]))
    # Without a range: all of another video, but of the run's own what the run names.
    own = with_data(program, source=str(video), start=10, stop=20)
    for reader, expected in ((every_third, range(0, 50, 3)), (own, range(10, 20))):
        numbers = [part.numbers for part in track_video(reader, video)]
        assert np.concatenate(numbers).tolist() == list(expected)
    # With one end given, the run's own range says nothing of the other.
    for start, stop, expected in ((30, None, range(30, 50)), (None, 5, range(5))):
        numbers = [part.numbers for part in track_video(own, video, start=start, stop=stop)]
        assert np.concatenate(numbers).tolist() == list(expected)
    assert open_recording(every_third.config, video).total == len(range(0, 50, 3))
    assert open_recording(own.config, video).total == 10


def test_boxes_are_in_the_pixels_of_the_video(
    program: Program, clip: np.ndarray, tmp_path: Path
) -> None:
    large = clip[:12].repeat(3, axis=1).repeat(2, axis=2)
    path = write_frames(tmp_path / "large.mkv", large)
    resizing = with_data(program, resize=(SIDE, SIDE))
    parts = list(track_video(resizing, path, shown=True))
    expected = tracks_at_once(program, clip[:12])
    scaled = replace(expected, boxes=expected.boxes * np.array([2, 3, 2, 3], np.float32))
    assert_same(joined(parts), scaled)
    assert parts[0].shown[0].shape == large.shape[1:]
    assert parts[0].size == (SIDE, SIDE)


def test_tiles_and_crops_do_not_apply(program: Program, clip: np.ndarray, tmp_path: Path) -> None:
    large = clip[:4].repeat(2, axis=1).repeat(2, axis=2)
    path = write_frames(tmp_path / "large.mkv", large)
    # Tiles of 32 x 32 pixels, each resized to 16 x 32: the whole becomes 64 x 128.
    data = {"tiles": (4, 4), "resize": (16, 32), "crop": (8, 8)}
    recording = open_recording(with_data(program, **data).config, path)
    assert (recording.source, recording.size) == ((128, 128), (64, 128))
    frames = list(recording.frames(shown=True))
    assert {frame.seen.shape for frame in frames} == {(64, 128, 3)}
    assert [frame.number for frame in recording.frames(done=2)] == [2, 3]


def test_grey_video_for_a_program_of_colours(
    program: Program, clip: np.ndarray, tmp_path: Path
) -> None:
    folder = tmp_path / "grey"
    folder.mkdir()
    for t, frame in enumerate(clip[:5]):
        Image.fromarray(frame[..., 0]).save(folder / f"{t}.png")
    recording = open_recording(program.config, folder)
    assert recording.fps is None
    grey = np.repeat(clip[:5, :, :, :1], 3, axis=-1)
    assert np.array_equal(np.stack([frame.seen for frame in recording.frames()]), grey)


def test_program_of_crops_on_whole_frames(tmp_path: Path) -> None:
    settings = {"model": {"anywhere": True}, "guide": {"window": [2, 2]}}
    built = build_program(config_of(Square(), **settings), CPU)
    path = write_frames(tmp_path / "wide.mkv", Square(32, 48).clip(0, 5).video)
    parts = list(track_video(built, path, chunk=2))
    assert parts[0].size == (32, 48)
    assert parts[0].tracks.ids.shape == (2, 3 * 6)


def test_what_is_refused(program: Program, clip: np.ndarray, tmp_path: Path) -> None:
    small = write_frames(tmp_path / "small.mkv", clip[:2, :32])
    (tmp_path / "clips.nc").write_bytes(b"\x89HDF\r\n\x1a\n")
    (tmp_path / "notes.txt").write_text("no video")
    for path, said in (
        (small, "frames of 32 x 64 pixels cannot be tracked by a program trained on 64 x 64"),
        (SET, "is a registered set"),
        (tmp_path / "clips.nc", "holds clips"),
        (tmp_path / "notes.txt", "is not a video"),
        (tmp_path / "nothing.mp4", "does not exist"),
    ):
        with pytest.raises(UserError, match=said):
            next(track_video(program, path))
    with pytest.raises(UserError, match="has no frames from 9"):
        next(track_video(with_data(program, resize=(64, 64)), small, start=9))


def test_what_comes_before_a_break_is_tracked(
    program: Program, clip: np.ndarray, tmp_path: Path
) -> None:
    folder = broken_images(tmp_path / "images", clip[:12], at=7)
    parts: list[Tracked] = []
    with pytest.raises(BrokenVideoError, match=r"7.png is not a readable image"):
        parts.extend(track_video(program, folder, chunk=5))
    assert_same(joined(parts), tracks_at_once(program, clip[:7]))
