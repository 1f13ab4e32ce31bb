"""``scalor-ppl track``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny import ALONE, CommandLine
from tracking_helpers import RUN, broken_images, write_frames

from scalor_ppl.cli.progress import TrackingBar
from scalor_ppl.tracks.mot import read_mot

pytest_plugins = "tracking_fixtures"


def test_command_writes_the_files(cli: CommandLine, video: Path, tmp_path: Path) -> None:
    out, overlay, masks = (tmp_path / "new" / name for name in ("a.txt", "a.mp4", "a.nc"))
    options = ("--out", out, "--overlay", overlay, "--masks", masks, *ALONE)
    said = cli("track", RUN, video, *options)
    assert said.code == 0, said
    (line,) = said.out.splitlines()
    tracks = read_mot(out)
    identities = len(np.unique(tracks.ids[tracks.ids >= 0]))
    assert line.startswith(f"{out}: 50 frames, {identities} tracks, ")
    assert line.endswith(" frames per second")
    assert {path.name for path in out.parent.iterdir()} == {"a.txt", "a.mp4", "a.nc"}
    # Not twice.
    assert "is there already: name another file, or give --overwrite" in cli.refused(
        "track", RUN, video, *options
    )
    assert cli("track", RUN, video, *options, "--overwrite").code == 0


def test_range_and_format(cli: CommandLine, video: Path, tmp_path: Path) -> None:
    options = ("--out", tmp_path / "a", "--format", "csv", "--start", 10, "--stop", 20, *ALONE)
    assert cli("track", RUN, video, *options).code == 0
    frames = [line.split(",")[0] for line in (tmp_path / "a").read_text().splitlines()[1:]]
    assert set(map(int, frames)) == set(range(10, 20))


def test_centres_are_measured_in_the_frames(cli: CommandLine, video: Path, tmp_path: Path) -> None:
    out, plain = tmp_path / "measured.csv", tmp_path / "plain.csv"
    options = ("--stop", 10, *ALONE)
    assert cli("track", RUN, video, "--out", out, "--measure", *options).code == 0
    assert cli("track", RUN, video, "--out", plain, *options).code == 0
    found, before = pd.read_csv(out), pd.read_csv(plain)
    assert (found[["frame", "id"]] == before[["frame", "id"]]).all(axis=None)
    assert (found[["left", "width"]] == before[["left", "width"]]).all(axis=None)
    told = found["x_std"].notna()
    assert told.mean() > 0.5
    assert found["x_std"][told].median() < 0.3
    assert (found["x"] - before["x"]).abs().median() < 0.5
    assert (found["x"] != before["x"]).mean() > 0.9


def test_of_two_that_are_close_the_surer_is_written(
    cli: CommandLine, video: Path, tmp_path: Path
) -> None:
    out, plain = tmp_path / "apart.csv", tmp_path / "plain.csv"
    options = ("--stop", 20, *ALONE)
    assert cli("track", RUN, video, "--out", plain, *options).code == 0
    assert cli("track", RUN, video, "--out", out, "--separation", 14, *options).code == 0
    before, found = pd.read_csv(plain), pd.read_csv(out)
    both = before.merge(found, how="left", indicator=True)
    assert len(both) == len(before)  # whatever is left is as it was, ids and all
    dropped = both["_merge"] == "left_only"
    assert 0 < dropped.sum() < len(before)
    for _, frame in both.groupby("frame"):
        kept = frame[frame["_merge"] == "both"]
        away = np.hypot(*(np.subtract.outer(kept[c].values, kept[c].values) for c in "xy"))
        assert away[~np.eye(len(kept), dtype=bool)].min(initial=np.inf) >= 14


def test_interrupted_and_resumed(
    cli: CommandLine, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(bar: TrackingBar, done: int, objects: int) -> None:
        if done == 32:
            os.kill(os.getpid(), signal.SIGINT)

    options = ("track", RUN, video, "--out", tmp_path / "a.txt", *ALONE)
    with monkeypatch.context() as patch:
        patch.setattr(TrackingBar, "stepped", interrupted)
        said = cli(*options)
    assert said.code == 130
    assert "interrupted after 32 frames" in said.err
    assert "go on with the same command and --resume" in said.err
    assert "go on with --resume" in cli.refused(*options)
    said = cli(*options, "--resume")
    assert said.code == 0
    assert ": 50 frames, " in said.out


def test_uneven_frames_are_told(cli: CommandLine, tmp_path: Path, clip: np.ndarray) -> None:
    path = write_frames(tmp_path / "uneven.mkv", clip[:12], uneven=True)
    said = cli("track", RUN, path, "--out", tmp_path / "a.txt", *ALONE)
    assert said.code == 0, said
    assert "note: the frames of uneven.mkv are unevenly spaced in time" in said.err


def test_a_video_that_breaks_off(cli: CommandLine, tmp_path: Path, clip: np.ndarray) -> None:
    images = broken_images(tmp_path / "images", clip[:20], at=15)
    out = tmp_path / "a.txt"
    said = cli.refused("track", RUN, images, "--out", out, *ALONE)
    assert "15.png is not a readable image" in said
    assert f"the tracks of the 15 frames before are in {out}" in said
    assert read_mot(out).frames <= 15


def test_what_is_refused(cli: CommandLine, video: Path, clip: np.ndarray, tmp_path: Path) -> None:
    small = write_frames(tmp_path / "small.mkv", clip[:2, :32])
    out = ("--out", tmp_path / "out" / "a.txt")
    for arguments, said in (
        ((RUN, video, "--out", "a.avi"), "end it in .txt, .csv, .parquet, .pq, .nc"),
        ((RUN, video, *out, "--format", "xml"), "--format xml is unknown: give mot, csv"),
        ((RUN, video, *out, "--overlay", "a.gif"), "--overlay a.gif: end it in .mp4"),
        ((RUN, video, *out, "--masks", "a.png"), "--masks a.png: end it in .nc"),
        ((RUN, video, "--out", video, "--format", "mot"), "is the video itself"),
        ((RUN, video, "--out", "a.nc", "--masks", "a.nc"), "is named twice"),
        ((RUN, video, "--out", video / "a.txt"), "no folder to write to"),
        ((RUN, video, *out, "--resume"), "there is no"),
        ((RUN, video, *out, "--start", 9, "--stop", 9), "frames 9 to 9 are none"),
        ((RUN, video, *out, "--start", 50), "has no frames from 50 to the end"),
        ((RUN, small, *out), "frames of 32 x 64 pixels cannot be tracked"),
        ((RUN, "moving-dsprites-vld", *out), "is a registered set"),
        ((RUN, "nothing.mp4", *out), "does not exist"),
        ((tmp_path, video, *out), "is not a run"),
    ):
        assert said in cli.refused("track", *arguments, *ALONE)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
    assert cli("track", RUN, video, *out, "--chunk", 0, *ALONE).code == 2
    assert cli("track", RUN, video, *out, "--threshold", 2, *ALONE).code == 2


MEASURED = """
import gc, resource, sys, tracemalloc
from pathlib import Path
import torch
torch.set_num_threads(1)
from scalor_ppl.training.runs import load_run
from scalor_ppl.tracking import SilentTracking, track_to_files

class Meter(SilentTracking):
    def stepped(self, done, objects):
        if done not in (96, 480):
            return
        gc.collect()
        tensors = sum(isinstance(each, torch.Tensor) for each in gc.get_objects())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(tracemalloc.get_traced_memory()[0], tensors, peak)
        sys.stdout.flush()

program = load_run(Path(sys.argv[1]), torch.device("cpu"))
tracemalloc.start()
track_to_files(
    program, sys.argv[2], sys.argv[3] + "/a.txt", overlay=sys.argv[3] + "/a.mp4",
    masks=sys.argv[3] + "/masks.nc", watcher=Meter(), save_every=1,
)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_video(clip: np.ndarray, tmp_path: Path) -> None:
    # There and back again, so that the objects do not jump.
    path = write_frames(tmp_path / "long.mkv", np.concatenate([clip, clip[::-1]] * 5))
    command = map(str, (sys.executable, "-c", MEASURED, RUN, path, tmp_path))
    child = subprocess.run([*command], capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    early, late = ([int(word) for word in line.split()] for line in child.stdout.splitlines())
    assert late[0] - early[0] < 500_000  # bytes of Python and NumPy; the frames have 5 million
    assert late[1] <= early[1]  # tensors; what waits for later frames is more in the middle
    assert late[2] < 1.2 * early[2]  # the most that the process ever had
