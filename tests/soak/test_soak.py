"""The soak, in short: a few deaths of each command; a full disk; rights that were taken away."""

from __future__ import annotations

import os
import random
import resource
import tempfile
from pathlib import Path

import pytest
from crashes import KILLED, forked
from scenarios import ALONE, Bench, same_run, scenarios

from scalor_ppl.training.checkpoints import all_checkpoints

SCORED = ("--frames", 3, "--data", "clips.nc")
NOBODY = 65534
TRAIN = ("train", "--config", "tiny.toml", "--data", "clips.nc", "--out", "run", *ALONE)
RESUME = ("train", "--resume", "--out", "run", *ALONE)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("soak"))


@pytest.mark.parametrize("scenario", scenarios()[:3], ids=lambda each: each.name)
def test_a_command_survives_its_death(scenario: object, bench: Bench) -> None:
    scenario.soak(bench.fresh, 2, random.Random(1), bench.prepare)  # type: ignore[attr-defined]
    assert scenario.lost == []  # type: ignore[attr-defined]
    assert len(scenario.moments) == 2  # type: ignore[attr-defined]


def smaller_than(size: int) -> None:
    """No file may grow beyond so many bytes, as on a disk that is nearly full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.mark.parametrize(
    ("words", "size", "about"),
    [
        (TRAIN, 20_000, "run/checkpoints/step_0000003: "),
        (("track", "trained", "video.mp4", "--out", "a.txt", *ALONE), 1000, "a.txt"),
        (("track", "trained", "video.mp4", "--out", "a.nc", *ALONE), 3000, "a.nc"),
        (("generate", "trained", "--out", "made", *ALONE), 500, "made/"),
        (("generate", "trained", "--out", "made.nc", *ALONE), 2000, "made.nc"),
        (("evaluate", "trained", *SCORED, "--json", "e.json", *ALONE), 100, "e.json"),
        (("data", "make", "moving-dsprites-vld", "--out", "c.nc", "--clips", 2), 1000, "c.nc"),
        (("data", "make", "moving-dsprites-vld", "--out", "v.mkv"), 1000, "v.mkv"),
    ],
    ids=lambda value: str(value[0]) if isinstance(value, tuple) else "",
)
def test_a_full_disk_is_one_line_and_nothing_half_written(
    words: tuple[object, ...], size: int, about: str, bench: Bench, request: pytest.FixtureRequest
) -> None:
    folder = bench.fresh(f"full-{request.node.callspec.indices['words']}")
    before = {path.name for path in folder.iterdir()}
    ended = forked(words, folder, prepare=lambda: smaller_than(size))
    assert ended.code == 2, ended.said
    (line,) = [each for each in ended.said.splitlines() if each.startswith("error: ")]
    assert f"cannot write {about}" in line
    assert "File too large" in line
    assert "Traceback" not in ended.said
    left = {path.name for path in folder.iterdir()} - before
    assert not [name for name in left if name.startswith(".") or name == about], left


def test_a_training_goes_on_when_there_is_room_again(bench: Bench) -> None:
    reference, folder = bench.fresh("room-reference"), bench.fresh("room")
    whole = forked(TRAIN, reference)
    assert whole.code == 0
    assert forked(TRAIN, folder, 0.7 * whole.seconds).code == KILLED
    kept = [path.name for path in all_checkpoints(folder / "run")]
    ended = forked(RESUME, folder, prepare=lambda: smaller_than(20_000))
    assert ended.code == 2, ended.said
    assert "go on with --resume" in ended.said
    assert [path.name for path in all_checkpoints(folder / "run")] == kept
    assert forked(RESUME, folder).code == 0
    same_run("run")(folder, reference)


@pytest.mark.skipif(os.geteuid() != 0, reason="takes rights away from somebody else")
def test_lost_rights_are_one_line(bench: Bench) -> None:
    folder = bench.fresh("rights")
    assert forked((*TRAIN, "--steps", 6), folder).code == 0
    for path in (folder / "run").rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    (folder / "run").chmod(0o555)
    shut = folder / "shut"
    shut.mkdir(mode=0o755)
    # As far up as temporary folders are ours: workers have one more than a single process.
    for parent in (bench.folder, *bench.folder.parents[:3]):
        if parent == Path(tempfile.gettempdir()):
            break
        parent.chmod(parent.stat().st_mode | 0o055)

    def nobody() -> None:
        os.setgid(NOBODY)
        os.setuid(NOBODY)

    for words, about in (
        (("train", "--resume", "--out", "run", "--steps", 9, *ALONE), "run"),
        (("generate", "trained", "--out", "shut/made", *ALONE), "shut"),
        (("track", "trained", "video.mp4", "--out", "shut/a.txt", *ALONE), "shut"),
    ):
        ended = forked(words, folder, prepare=nobody)
        assert ended.code == 2, ended.said
        assert "error: cannot write" in ended.said
        assert about in ended.said
    assert not list(shut.iterdir())
