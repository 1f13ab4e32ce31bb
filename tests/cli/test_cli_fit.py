"""``fit``: a video in, tracks and a report out; interrupted, overridden, refused."""

from __future__ import annotations

import json
import shlex
import tomllib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny import CPU, CommandLine, config_of, same

from scalor_ppl.data import iterate_frames
from scalor_ppl.errors import UserError
from scalor_ppl.report.seeds import SeedFit
from scalor_ppl.results.video import write_mp4
from scalor_ppl.tracks.mot import read_mot
from scalor_ppl.training.loop import Outcome
from scalor_ppl.training.runs import create_run, load_run

SPOT = Path(__file__).parents[1] / "programs" / "spot.py"
SMALL = (
    "--set=model.capacity=4",
    "--set=train.batch=1",
    "--set=train.chunks=2",
    "--set=train.frames=3",
    "--set=guide.features=8",
    "--set=guide.lstm=4",
    "--set=guide.hidden=8",
    "--set=model.hidden=8",
)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Two discs crossing a textured scene, 48 frames of 64 x 96."""
    rng = np.random.default_rng(0)
    scene = rng.integers(90, 140, (64, 96, 3))
    y, x = np.mgrid[:64, :96]
    frames = np.empty((48, 64, 96, 3), np.uint8)
    for t in range(48):
        frame = scene + rng.integers(-3, 4, scene.shape)
        for left, top, colour in (
            (6 + 1.7 * t, 20, (250, 30, 30)),
            (88 - 1.6 * t, 44, (30, 30, 250)),
        ):
            frame[(x - left) ** 2 + (y - top) ** 2 < 36] = colour
        frames[t] = frame.clip(0, 255)
    path = tmp_path / "discs.mp4"
    write_mp4(path, frames)
    return path


def test_a_video_in_tracks_and_a_report_out(cli: CommandLine, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    said = cli("fit", str(video), "--out", str(out), "--minutes", "0.05", *SMALL)
    assert said.code == 0, said.err
    for name in ("tracks.txt", "tracks.csv", "overlay.mp4", "report.html", "config.toml"):
        assert (out / name).is_file(), name
        assert name == "config.toml" or name in said.out
    config = tomllib.loads((out / "config.toml").read_text())
    assert config["model"]["background"] == "template"
    assert config["model"]["capacity"] == 4
    assert config["train"]["steps"] >= 1
    # What was chosen, why, and what was not chosen but given.
    assert "model.grid" in said.err
    assert "given by you" in said.err
    assert "train.steps" in said.err
    # The scene was there from the first step: a grey one would cost thousands of nats.
    first = json.loads((out / "metrics.jsonl").read_text().splitlines()[0])
    assert first["log_likelihood"] > 64 * 96
    tracks = read_mot(out / "tracks.txt", frames=48)
    table = pd.read_csv(out / "tracks.csv")
    assert len(table) == (tracks.ids >= 0).sum()
    assert {"x", "y", "x_std", "y_std", "confidence"} <= set(table.columns)
    # A finished fit says so at once when it is asked to go on, and keeps its files.
    before = (out / "tracks.txt").stat().st_mtime_ns
    said = cli("fit", str(video), "--out", str(out), "--resume")
    assert said.code == 0, said.err
    assert (out / "tracks.txt").stat().st_mtime_ns == before


@pytest.mark.slow
def test_several_seeds_are_several_fits(cli: CommandLine, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    steps = ("--set=train.steps=2", "--no-overlay")
    said = cli("fit", str(video), "--out", str(out), "--seeds", "3,5", *steps, *SMALL)
    assert said.code == 0, said.err
    weights = []
    for seed in (3, 5):
        run = out / f"seed_{seed}"
        assert tomllib.loads((run / "config.toml").read_text())["train"]["seed"] == seed
        assert len(read_mot(run / "tracks.txt", frames=48).ids) == 48
        assert str(run / "report.html") in said.out
        weights.append(load_run(run, CPU).guide.state_dict())
    assert not same(*weights)
    assert said.err.count("looking at") == 1
    # What is there stays; a seed that is not there yet is fitted with the settings of the others.
    before = (out / "seed_3" / "report.html").stat().st_mtime_ns
    said = cli("fit", str(video), "--out", str(out), "--seeds", "3,5,7", "--no-overlay", "--resume")
    assert said.code == 0, said.err
    assert (out / "seed_3" / "report.html").stat().st_mtime_ns == before
    new = tomllib.loads((out / "seed_7" / "config.toml").read_text())
    old = tomllib.loads((out / "seed_3" / "config.toml").read_text())
    assert new.pop("train") == old.pop("train") | {"seed": 7}
    assert new == old


def test_a_seed_that_fails_does_not_stop_the_others(
    cli: CommandLine, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[int] = []

    def some(asked: SeedFit, training: Any = None) -> bool:
        if asked.config.train.seed == 1:
            raise UserError("the disk is full")
        fitted.append(asked.config.train.seed)
        return True

    monkeypatch.setattr("scalor_ppl.report.seeds.fit_seed", some)
    out = tmp_path / "runs"
    steps = ("--set=train.steps=2", "--no-overlay")
    said = cli("fit", str(video), "--out", str(out), "--seeds", "0,1,2", *steps, *SMALL)
    assert said.code == 2
    assert fitted == [0, 2]
    assert f"{out / 'seed_1'}: the disk is full" in said.err
    assert "2 fits done, 1 failed" in said.err


def test_workers_are_for_several_seeds(cli: CommandLine, video: Path) -> None:
    said = cli("fit", str(video), "--jobs", "2")
    assert said.code == 2
    assert "--jobs and --scheduler are for several fits: give --seeds 0,1,2" in said.err


def test_a_fit_is_the_same_from_any_directory(place: Path) -> None:
    asked = SeedFit(Path("a.mp4"), Path("runs"), config_of(), overlay=True).seeded(
        4, Path("x/seed_4")
    )
    found = asked.anywhere()
    assert (found.video, found.run) == (place / "a.mp4", place / "x" / "seed_4")
    assert found.config.train.seed == 4


def test_a_given_number_of_steps_is_kept(cli: CommandLine, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    said = cli("fit", str(video), "--out", str(out), "--set=train.steps=5", "--no-overlay", *SMALL)
    assert said.code == 0, said.err
    assert "a step takes" not in said.err
    train = tomllib.loads((out / "config.toml").read_text())["train"]
    assert train["steps"] == 5
    assert train["temperature"]["steps"] == 2  # 400 of the preset's 1000
    assert train["priors"]["steps"] == 0


def test_a_fit_ends_with_priors_that_imagine_where_they_are_asked_for(
    cli: CommandLine, video: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    phase = ("--set=train.priors.steps=2", "--set=train.priors.clips=8")
    steps = ("--set=train.steps=5", "--no-overlay", *phase)
    said = cli("fit", str(video), "--out", str(out), *steps, "--set=train.priors.frames=4", *SMALL)
    assert said.code == 0, said.err
    # After five steps it may well find nothing yet.
    assert "priors: 2 steps" in said.err or "its priors stay as the training left" in said.err
    assert len(read_mot(out / "tracks.txt", frames=48).ids) == 48


def test_an_interrupted_fit_says_how_to_go_on(
    cli: CommandLine, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = Outcome(1, 0, True, Path("none"), 0.1, {})
    monkeypatch.setattr("scalor_ppl.cli.fit.shown_training", lambda *_, **__: stopped)
    out, video = "my runs/a", "it's.mp4"
    create_run(place / out, config_of())
    for flags in ([], ["--no-overlay"]):
        said = cli("fit", video, "--out", out, "--resume", *flags)
        assert said.code == 130
        told, _, command = said.err.strip().partition("; go on with: ")
        assert told == "interrupted"
        assert shlex.split(command) == [
            "scalor-ppl",
            "fit",
            "--resume",
            "--out",
            out,
            *flags,
            video,
        ]


def test_what_cannot_be_fitted(cli: CommandLine, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    still = tmp_path / "still.mp4"
    write_mp4(still, np.full((30, 48, 64, 3), 120, np.uint8))
    said = cli("fit", str(still), "--out", str(out))
    assert said.code == 2
    assert "nothing that moves" in said.err
    assert not out.exists()
    said = cli("fit", str(tmp_path / "none.mp4"), "--out", str(out))
    assert said.code == 2
    assert "does not exist" in said.err
    said = cli("fit", str(video), "--out", str(out), "--set", "model.capasity=3")
    assert said.code == 2
    assert "did you mean capacity" in said.err
    assert not out.exists()
    said = cli("fit", str(video), "--out", str(out), "--resume")
    assert said.code == 2
    assert "--resume goes on" in said.err
    said = cli("fit", str(video), "--out", str(tmp_path))
    assert said.code == 2
    assert "choose another --out" in said.err


def test_a_plan_shows_and_does_not_train(cli: CommandLine, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    said = cli("fit", str(video), "--out", str(out), "--plan")
    assert said.code == 0, said.err
    assert said.out.strip() == str(out / "plan.png")
    assert "how sure" in said.err
    assert "2 in view" in said.err
    assert "model.grid" in said.err
    assert {path.name for path in out.iterdir()} - {".lock"} == {"plan.png"}
    # Both discs have a green box, which the scene has not.
    picture = np.asarray(Image.open(out / "plan.png").convert("RGB")).astype(int)
    green = (np.abs(picture - (60, 230, 90)).max(-1) <= 2).sum()
    assert green > 6 * 2 * 100
    # A picture of a plan is no run, and does not stand in the way of one.
    said = cli("fit", str(video), "--out", str(out), "--set=train.steps=2", "--no-overlay", *SMALL)
    assert said.code == 0, said.err
    assert (out / "tracks.txt").is_file()
    assert (out / "plan.png").is_file()


def test_what_the_user_says_of_the_objects(cli: CommandLine, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    said = cli(
        "fit", str(video), "--plan", "--object-size", "24x20", "--objects", "9", "--out", out
    )
    assert said.code == 0, said.err
    assert "24x20 pixels" in said.err
    assert "9 in view" in said.err
    assert "given by you" in said.err
    for wrong in ("24", "24x", "0x5", "big"):
        said = cli("fit", str(video), "--plan", "--object-size", wrong, "--out", out)
        assert said.code == 2
        assert "give width and height in pixels, such as 105x75" in said.err
    said = cli("fit", str(video), "--resume", "--objects", "2", "--out", out)
    assert said.code == 2
    assert "--resume goes on" in said.err


def test_what_would_fail_after_the_training_fails_before(
    cli: CommandLine, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise UserError("the report cannot be written")

    monkeypatch.setattr("scalor_ppl.report.rehearsal.write_report", broken)
    out = tmp_path / "run"
    said = cli("fit", str(video), "--out", str(out), "--set=train.steps=2", *SMALL)
    assert said.code == 2
    assert "the report cannot be written" in said.err
    assert not (out / "config.toml").exists()


def test_a_time_lapse_is_fitted(cli: CommandLine, video: Path, tmp_path: Path) -> None:
    """One frame an hour: slower than any rate that a video of boxes could have."""
    slow = tmp_path / "hour.mkv"
    frames = list(iterate_frames(video))
    with av.open(str(slow), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=Fraction(1, 3600))
        stream.height, stream.width, stream.pix_fmt = 64, 96, "bgr0"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    out = tmp_path / "run"
    said = cli("fit", str(slow), "--out", str(out), "--set=train.steps=2", *SMALL)
    assert said.code == 0, said.err
    assert (out / "overlay.mp4").is_file()


@pytest.mark.parametrize(("more", "tracked"), [((), 22), (("--set=data.track_stride=1",), 44)])
def test_a_stride_that_is_given_holds_for_the_tracks(
    cli: CommandLine, video: Path, tmp_path: Path, more: tuple[str, ...], tracked: int
) -> None:
    out = tmp_path / "run"
    given = ("--set=train.steps=2", "--set=data.stride=2", "--set=data.start=4", *more)
    said = cli("fit", str(video), "--out", str(out), *given, *SMALL)
    assert said.code == 0, said.err
    assert tomllib.loads((out / "config.toml").read_text())["data"]["stride"] == 2
    assert len(list(iterate_frames(out / "overlay.mp4"))) == tracked
    frames = pd.read_csv(out / "tracks.csv")["frame"]
    assert set(frames) <= set(range(4, 48, 44 // tracked))


@pytest.mark.parametrize("name", ["vrnn", "sequential-vae"])
def test_programs_that_find_no_objects_are_refused_before_the_video_is_read(
    cli: CommandLine, name: str, tmp_path: Path
) -> None:
    line = cli.refused("fit", "none.mp4", "--model", name, "--out", str(tmp_path / "run"))
    assert line == f"error: {name} finds no objects: `fit` needs a program that does"


def test_a_program_that_finds_objects_and_proposes_nothing(
    cli: CommandLine, tmp_path: Path
) -> None:
    text = SPOT.read_text().replace("FindsObjects, ProposesSettings)", "FindsObjects)")
    assert text != SPOT.read_text()
    own = tmp_path / "own.py"
    own.write_text(text)
    line = cli.refused("fit", "none.mp4", "--model", own, "--guide", own, "--out", tmp_path / "run")
    assert line == "error: spot proposes no settings for a video: `fit` needs a program that does"


def test_another_program_that_proposes_settings_is_served(
    cli: CommandLine, video: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    files = ("--model", SPOT, "--guide", SPOT)
    said = cli("fit", video, *files, "--out", out, "--set=train.steps=6", "--set=train.frames=3")
    assert said.code == 0, said.err
    assert "model.radius" in said.err
    assert "model.grid" not in said.err
    config = tomllib.loads((out / "config.toml").read_text())
    assert config["train"]["batch"] == 2
    assert 0.05 < config["model"]["radius"] < 0.3
    tracks = read_mot(out / "tracks.txt")
    assert tracks.ids.shape == (48, 1)
    assert (tracks.ids == tracks.ids[0]).all()
    assert (out / "report.html").is_file()
    assert (out / "overlay.mp4").is_file()
