"""Interrupted and killed trackings: nothing half-written, and the same tracks when it goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
import xarray as xr
from tracking_helpers import RUN, Interrupter, broken_images, write_frames

from scalor_ppl.errors import UserError
from scalor_ppl.programs import Program
from scalor_ppl.tracking import TrackingOutcome, track_to_files
from scalor_ppl.tracking import job as jobs

pytest_plugins = "tracking_fixtures"

# A child that tracks, and kills itself with a chunk written that it has not noted yet.
KILLED = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from scalor_ppl.training.runs import load_run
from scalor_ppl.tracking import SilentTracking, track_to_files

class Killer(SilentTracking):
    def stepped(self, done, objects):
        if done == int(sys.argv[5]):
            os.kill(os.getpid(), signal.SIGKILL)

track_to_files(
    load_run(Path(sys.argv[1]), torch.device("cpu")), sys.argv[2], sys.argv[3] + "/a" + sys.argv[4],
    overlay=sys.argv[3] + "/a.mp4", masks=sys.argv[3] + "/masks.nc", chunk=6, save_every=0,
    watcher=Killer(),
)
"""


def track(program: Program, video: Path, folder: Path, end: str, **options: Any) -> TrackingOutcome:
    """Everything that can be written, into a folder."""
    return track_to_files(
        program,
        video,
        folder / f"a{end}",
        overlay=folder / "a.mp4",
        masks=folder / "masks.nc",
        chunk=6,
        **options,
    )


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def table(path: Path) -> object:
    """What a file of tracks says."""
    if path.suffix != ".nc":
        return path.read_text()
    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        return {str(name): variable.values.tolist() for name, variable in dataset.items()}


def assert_equal(first: Path, second: Path, end: str) -> None:
    """Finished results in two folders are the same."""
    assert names(first) == names(second) == {f"a{end}", "a.mp4", "masks.nc"}
    assert table(first / f"a{end}") == table(second / f"a{end}")
    with (
        xr.open_dataset(first / "masks.nc", engine="h5netcdf") as one,
        xr.open_dataset(second / "masks.nc", engine="h5netcdf") as two,
    ):
        assert one.identical(two)
    videos = []
    for folder in (first, second):
        with av.open(str(folder / "a.mp4")) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        videos.append(np.stack(frames).astype(int))
    # Encoded anew from where it went on: alike, not equal; trails and all.
    assert np.abs(videos[0] - videos[1]).mean() < 1


@pytest.mark.parametrize("end", [".txt", ".csv", ".nc"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_puts_the_end_off(
    program: Program, video: Path, tmp_path: Path, end: str, number: int
) -> None:
    for name in ("at_once", "in_parts"):
        (tmp_path / name).mkdir()
    whole = track(program, video, tmp_path / "at_once", end)
    folder = tmp_path / "in_parts"
    for after in (12, 36):
        outcome = track(
            program, video, folder, end, resume=after > 12, watcher=Interrupter(after, number)
        )
        assert (outcome.interrupted, outcome.frames) == (True, after)
        assert f"a{end}" not in names(folder)
    outcome = track(program, video, folder, end, resume=True)
    assert not outcome.interrupted
    assert (outcome.frames, outcome.tracks) == (whole.frames, whole.tracks)
    assert_equal(tmp_path / "at_once", folder, end)


@pytest.mark.parametrize("end", [".txt", ".nc"])
def test_a_killed_process_loses_little(
    program: Program, video: Path, tmp_path: Path, end: str
) -> None:
    for name in ("at_once", "killed"):
        (tmp_path / name).mkdir()
    track(program, video, tmp_path / "at_once", end)
    folder = tmp_path / "killed"
    command = [sys.executable, "-c", KILLED, RUN, video, folder, end, "30"]
    child = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert child.returncode == -signal.SIGKILL, child.stderr
    parts = {f"a{end}.part", "a.mp4.part", "masks.nc.part", f"a{end}.resume"}
    # The locks of the dead hold nothing.
    assert {name for name in names(folder) if not name.endswith(".lock")} == parts
    # What the state does not know of is cut off: also a line that was half written.
    for part in parts - {f"a{end}.resume"}:
        with (folder / part).open("ab") as file:
            file.write(b"half a li")
    outcome = track(program, video, folder, end, resume=True)
    assert outcome.frames == 50
    assert_equal(tmp_path / "at_once", folder, end)


def test_killed_while_it_finishes(
    program: Program, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("at_once", "killed"):
        (tmp_path / name).mkdir()
    whole = track(program, video, tmp_path / "at_once", ".txt")

    def dies(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(jobs.OverlayOutput, "finish", dies)
        with pytest.raises(MemoryError):
            track(program, video, tmp_path / "killed", ".txt")
    # The tracks are in their place, the rest is not.
    kept = {"a.txt", "a.txt.resume", "a.mp4.part", "masks.nc.part"}
    assert names(tmp_path / "killed") == kept
    outcome = track(program, video, tmp_path / "killed", ".txt", resume=True)
    assert (outcome.frames, outcome.tracks) == (whole.frames, whole.tracks)
    assert_equal(tmp_path / "at_once", tmp_path / "killed", ".txt")


def test_a_video_that_breaks_off_is_kept_up_to_there(
    program: Program, clip: np.ndarray, tmp_path: Path
) -> None:
    folder = broken_images(tmp_path / "images", clip[:20], at=15)
    out = tmp_path / "a.txt"
    with pytest.raises(UserError, match=r"15.png .* tracks of the 15 frames before are in .*a.txt"):
        track_to_files(program, folder, out, chunk=6, overlay=tmp_path / "a.mp4")
    assert names(tmp_path) == {"images", "a.txt", "a.mp4"}
    before = tmp_path / "before.txt"
    track_to_files(program, folder, before, chunk=6, stop=15)
    assert out.read_text() == before.read_text()


def test_a_video_that_breaks_off_at_once_leaves_nothing(
    program: Program, clip: np.ndarray, tmp_path: Path
) -> None:
    folder = broken_images(tmp_path / "images", clip[:5], at=2)
    with pytest.raises(UserError, match=r"2.png is not a readable image"):
        track_to_files(program, folder, tmp_path / "a.txt", start=2)
    assert names(tmp_path) == {"images"}


def test_a_full_disk(
    program: Program, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    out = tmp_path / "a.txt"
    track_to_files(program, video, tmp_path / "whole.txt")
    outcome = track_to_files(program, video, out, watcher=Interrupter(16))
    assert outcome.interrupted
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(UserError, match="No space left on device; mend that and go on with"):
            track_to_files(program, video, out, resume=True)
    track_to_files(program, video, out, resume=True)
    assert out.read_text() == (tmp_path / "whole.txt").read_text()


def test_what_is_not_resumed(
    program: Program, clip: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video, out = write_frames(tmp_path / "a.mkv", clip), tmp_path / "a.txt"
    with pytest.raises(UserError, match=r"there is no .*a.txt.resume to go on from"):
        track_to_files(program, video, out, resume=True)
    track_to_files(program, video, out, watcher=Interrupter(16))
    with pytest.raises(UserError, match="interrupted tracking: go on with --resume, or begin anew"):
        track_to_files(program, video, out)

    def refused(**options: Any) -> str:
        with pytest.raises(UserError, match="is of another tracking") as caught:
            track_to_files(program, video, out, resume=True, **options)
        return str(caught.value)

    assert "--chunk (was 16, is 8) changed" in refused(chunk=8)
    assert "--start (was None, is 1), --stop (was None, is 9)" in refused(start=1, stop=9)
    assert "--overlay (was None" in refused(overlay=tmp_path / "a.mp4")
    assert "--threshold (was 0.5, is 0.6) changed" in refused(threshold=0.6)
    weight = next(program.guide.parameters())
    before = weight.detach().clone()
    with torch.no_grad():
        weight += 1
    assert "the run's weights changed" in refused()
    with torch.no_grad():
        weight.copy_(before)
    os.utime(video, (1, 1))
    assert "the video changed" in refused()
    (tmp_path / "a.txt.part").write_text("")
    (tmp_path / "a.txt.resume").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"a.txt.resume cannot be read .* --overwrite"):
        track_to_files(program, video, out, resume=True)
    # Anew.
    assert track_to_files(program, video, out, overwrite=True).frames == 50
    assert names(tmp_path) == {"a.mkv", "a.txt"}


def test_a_part_that_was_cut(program: Program, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.txt"
    track_to_files(program, video, out, watcher=Interrupter(16))
    (tmp_path / "a.txt.part").write_text("")
    with pytest.raises(
        UserError, match=r"a.txt.part has 0 bytes, not the [0-9]+ that were written"
    ):
        track_to_files(program, video, out, resume=True)
