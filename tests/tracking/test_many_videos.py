"""Many videos: one by one, side by side on Dask, after a failure, a death, an interruption."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import LocalCluster
from tiny import ALONE, CommandLine
from tracking_helpers import RUN, SET, Interrupter, assert_same, broken_images, write_frames

from scalor_ppl.data import open_source
from scalor_ppl.errors import UserError
from scalor_ppl.parallel import tasks
from scalor_ppl.parallel.tasks import TaskResult
from scalor_ppl.programs import Program
from scalor_ppl.tracking import TrackingOutcome, together, track_to_files, workers
from scalor_ppl.tracking.many import RECORD, ManyVideos, track_videos
from scalor_ppl.tracking.request import TrackingRequest
from scalor_ppl.tracking.workers import BatchTask, RunChoice
from scalor_ppl.tracks.mot import read_mot
from scalor_ppl.training.runs import load_run

CHOICE = RunChoice(str(RUN), "cpu", threads=1)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Eleven short clips, and one file that is no video."""
    folder = tmp_path_factory.mktemp("videos")
    source = open_source(SET, split="test", seed=3)
    found = [write_frames(folder / f"{i:02}.mkv", source.clip(i, 5).video) for i in range(11)]
    (folder / "corrupt.mkv").write_bytes(b"no video" * 99)
    return [*found[:4], folder / "corrupt.mkv", *found[4:]]


@pytest.fixture
def two_workers(quick_workers: None) -> Iterator[LocalCluster]:
    """A Dask cluster on this machine."""
    with LocalCluster(
        n_workers=2, threads_per_worker=2, dashboard_address=None, silence_logs=50
    ) as cluster:
        yield cluster


def kill_one_at_the_first_result(cluster: LocalCluster, out: Path) -> threading.Thread:
    """Kill a worker, as a machine that fails would, once a video is done."""

    def wait_and_kill() -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until and not list(out.glob("*.txt")):
            time.sleep(0.01)
        os.kill(cluster.workers[0].pid, signal.SIGKILL)

    thread = threading.Thread(target=wait_and_kill)
    thread.start()
    return thread


def test_twelve_videos_one_corrupt_one_worker_killed(
    cli: CommandLine, videos: list[Path], two_workers: LocalCluster, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    killer = kill_one_at_the_first_result(two_workers, out)
    address = two_workers.scheduler_address
    batched = ("--scheduler", address, "--batch", 2)
    said = cli("track", RUN, *videos, "--out", out, *batched, *ALONE)
    killer.join()
    assert said.code == 2, said
    good = [video for video in videos if video.stem != "corrupt"]
    assert len(said.out.splitlines()) == 11
    for video in good:
        assert f"{out / video.stem}.txt: 5 frames, " in said.out
    error, summary = said.err.splitlines()
    assert error.startswith("error: ")
    assert "corrupt.mkv" in error
    assert summary == "11 videos tracked, 1 failed"
    assert {path.name for path in out.iterdir()} == {f"{v.stem}.txt" for v in good} | {RECORD}
    # They are what one video alone gives.
    track_to_files(CHOICE.load(), videos[0], tmp_path / "alone.txt")
    assert_same(read_mot(tmp_path / "alone.txt"), read_mot(out / "00.txt"))
    # Once more: only the failed one is tried again.
    said = cli("track", RUN, *videos, "--out", out, "--resume", *ALONE)
    assert said.code == 2
    assert said.out == ""
    assert len(said.err.splitlines()) == 2


def test_a_worker_loads_the_program_once(
    videos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []
    plain = RunChoice.load

    def counted(choice: RunChoice) -> Program:
        loads.append(choice.run)
        return plain(choice)

    made_with = workers.described(CHOICE.load())
    monkeypatch.setattr(RunChoice, "load", counted)
    workers._loaded.cache_clear()
    for n, video in enumerate(videos[:2]):
        request = TrackingRequest(video, tmp_path / f"{n}.txt", stop=2)
        (result,) = workers.track_batch(BatchTask(CHOICE, made_with, (request,)))
        assert result.value is not None
        assert result.value.frames == 2
    assert loads == [CHOICE.run]
    # Another one than was asked for is not taken for it.
    task = BatchTask(CHOICE, (*made_with[1:], ("the run's weights", "others")), ())
    with pytest.raises(UserError, match="is another one here than where the tracking began"):
        workers.track_batch(task)


def test_videos_of_a_batch_that_was_lost_are_tried_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[list[str]] = []

    def run_tasks(function: Any, items: list[BatchTask], client: Any) -> Iterator[TaskResult[Any]]:
        given.append([" ".join(each.video.name for each in item.requests) for item in items])
        for index, item in enumerate(items):
            if any(each.video.name == "deadly" for each in item.requests):
                yield TaskResult(index, None, "2 workers died", True)
            else:
                done = [TaskResult(n, TrackingOutcome(9, 1, 1.0, False)) for n in range(2)]
                yield TaskResult(index, done[: len(item.requests)])

    monkeypatch.setattr(workers, "run_tasks", run_tasks)
    names = ("a", "b", "c", "deadly", "e")
    requests = [TrackingRequest(Path(name), tmp_path / name) for name in names]
    client: Any = None
    found = list(workers.track_elsewhere(client, CHOICE, (), requests, 2))
    assert given == [["a b", "c deadly", "e"], ["c", "deadly"]]
    assert sorted(each.index for each in found) == [0, 1, 2, 3, 4]
    assert [names[each.index] for each in found if each.error] == ["deadly"]


def test_one_by_one_with_folders_for_all_outputs(
    cli: CommandLine, videos: list[Path], tmp_path: Path
) -> None:
    out, events = tmp_path / "out", tmp_path / "events"
    some = [videos[0], videos[1]]
    options = ("--out", out, "--events", events, "--format", "csv", *ALONE)
    said = cli("track", RUN, *some, *options)
    assert said.code == 0, said
    assert {path.name for path in out.iterdir()} == {"00.csv", "01.csv", RECORD}
    assert {path.name for path in events.iterdir()} == {"00.csv", "01.csv"}
    lines = [json.loads(line) for line in (out / RECORD).read_text().splitlines()]
    assert [line["name"] for line in lines] == ["00", "01"]
    assert [line["frames"] for line in lines] == [5, 5]
    assert "00.csv is there already" in cli.refused("track", RUN, *some, *options)
    # Nothing is left to do; and what was done otherwise is not taken for it.
    assert cli("track", RUN, *some, *options, "--resume").out == ""
    changed = cli.refused("track", RUN, *some, *options, "--resume", "--threshold", 0.3)
    assert "--threshold (was 0.5, is 0.3)" in changed


def test_an_interruption_ends_all_and_the_rest_goes_on(
    videos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = ManyVideos({video.stem: video for video in videos[:3]}, tmp_path / "out")
    options = {"chunk": 2}
    with monkeypatch.context() as patch:
        patch.setattr(together, "SilentTracking", lambda: Interrupter(2))
        (found,) = track_videos(CHOICE, many, options=options)
    assert found.outcome is not None
    assert found.outcome.interrupted
    state = tmp_path / "out" / "00.txt.resume"
    assert state.exists()
    with pytest.raises(UserError, match=r"00\.txt.resume is there already"):
        next(track_videos(CHOICE, many, options=options))
    rest = list(track_videos(CHOICE, many, options=options, resume=True))
    assert [each.video for each in rest] == videos[:3]
    assert not state.exists()
    program = load_run(RUN, CHOICE.load().device)
    track_to_files(program, videos[0], tmp_path / "alone.txt", chunk=2)
    assert (tmp_path / "alone.txt").read_bytes() == rest[0].out.read_bytes()


@pytest.mark.usefixtures("quick_workers")
def test_a_signal_to_a_command_with_workers(cli: CommandLine, tmp_path: Path) -> None:
    source, out = open_source(SET, split="test", seed=3), tmp_path / "out"
    long = [write_frames(tmp_path / f"{i}.mkv", source.clip(i, 50).video) for i in range(2)]
    words = ("track", RUN, *long, "--out", out, "--chunk", 4)

    def wait_and_end() -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until and not list(out.glob("?.txt.resume")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    ender = threading.Thread(target=wait_and_end)
    ender.start()
    said = cli(*words, *ALONE, "--jobs", 2)
    ender.join()
    told = "interrupted after 0 videos; go on with the same command and --resume"
    assert (said.code, said.out, said.err) == (130, "", f"{told}\n")
    assert not multiprocessing.active_children()
    # Nothing has a name that a finished file would have.
    assert list(out.glob("?.txt.resume"))
    assert {path.suffix for path in out.glob("?.txt*")} <= {".part", ".resume"}
    said = cli(*words, *ALONE, "--resume")
    assert said.code == 0
    assert len(said.out.splitlines()) == 2
    for n, video in enumerate(long):
        track_to_files(CHOICE.load(), video, tmp_path / "alone.txt", chunk=4, overwrite=n > 0)
        assert (tmp_path / "alone.txt").read_bytes() == (out / f"{n}.txt").read_bytes()


def test_what_came_before_a_broken_frame_is_kept(tmp_path: Path, videos: list[Path]) -> None:
    clip = open_source(SET, split="test", seed=3).clip(0, 5).video
    folder = broken_images(tmp_path / "broken", clip, 3)
    many = ManyVideos({"broken": folder, "00": videos[0]}, tmp_path / "out")
    broken, whole = track_videos(CHOICE, many, options={"chunk": 1})
    assert broken.error is not None
    assert "the tracks of the 3 frames before" in broken.error
    assert not broken.fault
    assert np.array_equal(read_mot(broken.out).ids, read_mot(whole.out).ids[:3])


def test_nothing_is_begun_where_something_is_wrong(
    cli: CommandLine, videos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "CONNECT", 0.2)

    def refused(*more: object) -> str:
        return cli.refused("track", RUN, *videos[:2], *more, "--out", tmp_path / "out", *ALONE)

    assert "no such video: gone.mkv" in refused("gone.mkv")
    assert "is given twice" in refused(videos[0])
    assert "--format tiff is unknown" in refused("--format", "tiff")
    assert "to go on from: leave --resume out" in refused("--resume")
    nobody = "tcp://127.0.0.1:9"
    assert f"--scheduler {nobody}: no Dask scheduler answers" in refused("--scheduler", nobody)
    assert not (tmp_path / "out").exists()
