"""A disk that is really full: one line, nothing half-written, and work goes on once it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from crashes import forked
from scenarios import ALONE, Bench, same_run
from small_disks import enlarge, refusal, small_disk

PAGE = 4096
FIT = (
    *("--object-size", "5x5", "--objects", 1, "--set", "train.steps=4"),
    *("--set=model.capacity=3", "--set=train.batch=1", "--set=train.chunks=1"),
    *("--set=train.frames=3", "--no-overlay"),
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("small")
    reason = refusal(folder)
    if reason is not None:
        pytest.skip(reason)
    (folder / "bench").mkdir()
    return Bench(folder / "bench")


def words_of(given: Path) -> dict[str, tuple[object, ...]]:
    """Commands that write into the folder they run in, and read from another disk."""
    run, video, clips = given / "trained", given / "video.mp4", given / "clips.nc"
    return {
        "train": ("train", "--config", given / "tiny.toml", "--data", clips, "--out", "run"),
        "track": ("track", run, video, "--out", "a.txt", "--chunk", 4, "--overlay", "a.mp4"),
        "generate": ("generate", run, "--out", "made", "--frames", 6, "--boxes"),
        "infer": ("infer", run, clips, "--frames", 3, "--draws", 8, "--out", "i.nc"),
        "report": ("report", run, "--video", video, "--out", "report.html"),
        "fit": ("fit", video, "--out", "fit", *FIT),
        "data": ("data", "make", "moving-dsprites-vld", "--out", "c.nc", "--clips", 4),
    }


CASES = {
    # Before the first checkpoint, and after some; before and after the first rows of tracks.
    "train-3": ("train", "run/metrics.jsonl"),
    "train-12": ("train", "run/checkpoints/step_0000003"),
    "train-120": ("train", "run/checkpoints/step_00000"),
    "track-3": ("track", "a."),
    "track-12": ("track", "a."),
    "generate-3": ("generate", "made/"),
    "infer-3": ("infer", "i.nc"),
    "report-3": ("report", "report.html"),
    "fit-12": ("fit", "fit/checkpoints/"),
    "data-3": ("data", "c.nc"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_line_and_then_it_goes_on(case: str, bench: Bench, tmp_path: Path) -> None:
    command, about = CASES[case]
    words = words_of(bench.given)[command]
    if command != "data":
        words = (*words, *ALONE)
    with small_disk(tmp_path / "disk", PAGE * int(case.rpartition("-")[2])) as disk:
        ended = forked(words, disk, prepare=bench.prepare)
        assert ended.code == 2, ended.said
        (line,) = [each for each in ended.said.splitlines() if each.startswith("error: ")]
        assert f"cannot write {about}" in line
        assert "No space left on device" in line
        assert "Traceback" not in ended.said
        hidden = [path for path in disk.rglob(".*") if path.is_file()]
        assert not hidden
        enlarge(disk)
        ended = forked(going_on(command, words, disk), disk, prepare=bench.prepare)
        assert ended.code == 0, ended.said
        RIGHT.get(command, nothing_more)(disk, bench)


def going_on(command: str, words: tuple[object, ...], disk: Path) -> tuple[object, ...]:
    """The command as its message says to go on: with --resume where there is something."""
    if command == "train":
        return ("train", "--resume", "--out", "run", *ALONE)
    if command == "fit":
        return ("fit", words[1], "--out", "fit", "--resume", *ALONE)
    if command == "track" and (disk / "a.txt.resume").exists():
        return (*words, "--resume")
    return words


def same_training(disk: Path, bench: Bench) -> None:
    """What was trained is what a disk with room gets."""
    reference = bench.folder / "train-with-room"
    if not reference.exists():
        reference.mkdir()
        assert forked((*words_of(bench.given)["train"], *ALONE), reference).code == 0
    same_run("run")(disk, reference)


def same_tracking(disk: Path, bench: Bench) -> None:
    """Likewise the rows of tracks."""
    reference = bench.folder / "track-with-room"
    if not reference.exists():
        reference.mkdir()
        assert forked((*words_of(bench.given)["track"], *ALONE), reference).code == 0
    assert (disk / "a.txt").read_bytes() == (reference / "a.txt").read_bytes()
    assert {path.name for path in disk.iterdir()} == {path.name for path in reference.iterdir()}


def nothing_more(disk: Path, bench: Bench) -> None:
    """The exit code says it."""


RIGHT: dict[str, Callable[[Path, Bench], None]] = {"train": same_training, "track": same_tracking}
