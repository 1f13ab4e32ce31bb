"""Scores of a trained program: from the library and from the command line."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from tiny import (
    ALONE,
    CPU,
    CommandLine,
    Square,
    run_beside_clips,
    trained,
    write_clips,
    write_images,
)

from scalor_ppl.cli.score_tables import score_table
from scalor_ppl.config.schema import DataConfig
from scalor_ppl.data import Clip, open_source
from scalor_ppl.errors import UserError
from scalor_ppl.evaluation import RULES
from scalor_ppl.inference.posterior import infer
from scalor_ppl.inference.scoring import tracked
from scalor_ppl.nn.pixels import to_frames, to_video
from scalor_ppl.programs import Program
from scalor_ppl.scalor.readout import tracks_of
from scalor_ppl.training.runs import load_run
from scalor_ppl.training.sources import chosen, reading


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_beside_clips(tmp_path_factory)


@pytest.fixture(scope="module")
def program(run: Path) -> Program:
    return load_run(run, CPU)


class Counted(Square):
    """Remembers which clips were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    def clip(self, index: int, frames: int) -> Clip:
        self.asked.append(index)
        return super().clip(index, frames)


def test_pixels_survive_the_way_to_the_model_and_back() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 7, 3), np.uint8)
    video = to_video(frames, CPU)
    assert video.shape == (2, 3, 3, 5, 7)
    assert np.array_equal(to_frames(video), frames)


def test_scores_by_every_rule(program: Program) -> None:
    scores = tracked(program, Square(), clips=5, frames=3).scores
    assert scores.keys() == RULES.keys()
    for figures in scores.values():
        assert (figures.clips, figures.frames, figures.objects) == (5, 15, 15)
        assert figures.mota <= 1
        assert 0 < figures.mse < 1


def test_tracking_takes_no_chances(program: Program) -> None:
    video = to_video(np.stack([Square().clip(i, 4).video for i in range(3)]), CPU)
    first, again = (infer(program.model, program.guide, video) for _ in range(2))
    assert (first.image == again.image).all()
    tracks = tracks_of(first.trackers, (16, 16))
    assert len(tracks) == 3
    assert tracks[0].ids.shape == (4, 3)
    drawn = [infer(program.model, program.guide, video, sample=True).image for _ in range(2)]
    assert not (drawn[0] == drawn[1]).all()


def test_error_is_the_mean_over_all_clips_whatever_the_batch(program: Program) -> None:
    clips = np.stack([Square().clip(i, 3).video for i in range(5)])
    video = to_video(clips, CPU)
    image = infer(program.model, program.guide, video).image
    expected = (image - video).square().mean().item()
    for batch in (1, 2, 20):
        scores = tracked(program, Square(), clips=5, frames=3, batch=batch).scores
        assert scores["standard"].mse == pytest.approx(expected, rel=1e-4)
    parts = tracked(program, Square(), clips=5, frames=3, batch=2).scores
    assert (
        parts["standard"].mota
        == tracked(program, Square(), clips=5, frames=3).scores["standard"].mota
    )


def test_the_first_clips_are_taken(program: Program) -> None:
    source = Counted()
    tracked(program, source, clips=4, frames=2, batch=3)
    assert source.asked == [0, 1, 2, 3]


def test_no_more_clips_than_there_are(program: Program, run: Path) -> None:
    source = open_source(run.parent / "clips.nc")
    assert tracked(program, source, clips=100, frames=2).scores["standard"].clips == 8


def test_what_cannot_be_scored(program: Program, run: Path, tmp_path: Path) -> None:
    source = open_source(run.parent / "clips.nc")
    with pytest.raises(UserError, match="has 6 frames in a row, fewer than the 7"):
        tracked(program, source, clips=1, frames=7)
    with pytest.raises(UserError, match="square is 16 x 20 x 3, but the run was trained on 16 x 1"):
        tracked(program, Square(16, 20), clips=1, frames=2)
    with pytest.raises(UserError, match="frames has no ground truth: there is nothing to score"):
        tracked(program, open_source(write_images(tmp_path / "frames")), clips=1, frames=2)


def test_command_prints_a_table_and_writes_json(
    cli: CommandLine, run: Path, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "scores.json"
    clips = ("--data", run.parent / "clips.nc", "--clips", 3, "--frames", 2)
    said = cli("evaluate", run, *clips, "--json", path, *ALONE)
    assert said.code == 0, said
    written = json.loads(path.read_text())
    assert written.keys() == RULES.keys()
    for rule, figures in written.items():
        assert rule in said.out
        assert figures["clips"] == 3
        assert all(value is None or math.isfinite(value) for value in figures.values())
    assert "MOTA" in said.out


def test_table_fits_a_narrow_terminal(program: Program) -> None:
    bad = replace(
        tracked(program, Square(), clips=2, frames=2).scores["standard"], mota=-0.123, mse=0.0123
    )
    bad = replace(bad, id_switches=1234, precision=0.5, propagation_rate=0.5)
    console = Console(width=80, file=io.StringIO())
    console.print(score_table({"standard": bad}, "title"))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in text
    assert "-0.123" in text


def test_command_takes_the_runs_own_data(cli: CommandLine, tmp_path: Path) -> None:
    clips = write_clips(tmp_path / "clips.nc")
    data = {"source": str(clips)}
    trained(tmp_path / "run", open_source(clips), data=data, train={"steps": 1})
    out = tmp_path / "scores.json"
    evaluate = ("evaluate", tmp_path / "run", "--clips", 2, "--frames", 2, "--json", out, *ALONE)
    said = cli(*evaluate)
    assert said.code == 0, said
    written = json.loads(out.read_text())
    program = load_run(tmp_path / "run", CPU)
    expected = tracked(program, open_source(clips), clips=2, frames=2).scores
    assert written == {rule: each.to_dict() for rule, each in expected.items()}
    # Other clips have other scores: it was these that were read.
    others = write_clips(tmp_path / "white.nc", Square(channels=3, still=True))
    said = cli(*evaluate, "--data", others)
    assert said.code == 0, said
    assert json.loads(out.read_text()) != written


def test_a_range_of_frames_holds_for_the_recording_of_the_run_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own.mp4"
    own.touch()
    data = DataConfig(source=str(own.resolve()), start=5, stop=9, stride=2)
    monkeypatch.chdir(tmp_path)
    assert reading(data, "own.mp4") == data  # the same file, by a shorter name
    other = reading(data, "moving-dsprites-ld")
    assert (other.source, other.start, other.stop) == ("moving-dsprites-ld", 0, None)
    assert other.stride == 2


def test_what_is_not_asked_for_stays_as_the_run_has_it() -> None:
    data = DataConfig(source="moving-mnist-ld", start=5, seed=3, folder="digits")
    assert chosen(data) == data
    assert chosen(data, seed=0) == data.model_copy(update={"seed": 0})
    other = chosen(data, "moving-dsprites-ld", folder=Path("elsewhere"))
    assert (other.source, other.start) == ("moving-dsprites-ld", 0)
    assert (other.folder, other.seed) == ("elsewhere", 3)
