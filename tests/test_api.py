"""The public face: what ``import scalor_ppl`` offers."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import SETTINGS, Square, frames_of, write_video

import scalor_ppl
from scalor_ppl.config.settings import merged
from scalor_ppl.data import open_source
from scalor_ppl.errors import UserError
from scalor_ppl.programs import Program

TINY: dict[str, Any] = merged(SETTINGS, {"train": {"steps": 2, "seed": 3, "priors": {"steps": 0}}})


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    folder = tmp_path_factory.mktemp("api")
    return scalor_ppl.train("moving-dsprites-vld", out=folder / "run", settings=TINY, device="cpu")


def test_everything_is_documented_and_typed() -> None:
    for name in scalor_ppl.__all__:
        function = getattr(scalor_ppl, name)
        assert "Raises:" in (function.__doc__ or ""), name
        signature = inspect.signature(function)
        assert signature.return_annotation is not inspect.Signature.empty, name
        for parameter in signature.parameters.values():
            assert parameter.annotation is not inspect.Parameter.empty, (name, parameter)


def test_a_training_is_a_run(program: Program, tmp_path: Path) -> None:
    assert program.config.train.seed == 3
    assert program.config.data.source == "moving-dsprites-vld"
    assert program.size == (64, 64)
    assert not program.model.training
    # The same again, from the folder that it lies in; resumed at its end there is nothing to do.
    same = scalor_ppl.train(out=tmp_path / "run", settings=TINY, device="cpu")
    again = scalor_ppl.train(out=tmp_path / "run", resume=True, device="cpu")
    for name, value in program.model.state_dict().items():
        assert np.array_equal(value, same.model.state_dict()[name]), name
        assert np.array_equal(value, again.model.state_dict()[name]), name


def test_unknown_settings_and_programs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such setting: train.stpes; did you mean steps\?"):
        scalor_ppl.train(out=tmp_path / "run", settings={"train": {"stpes": 1}})
    with pytest.raises(UserError, match="cannot import scalar"):
        scalor_ppl.train(out=tmp_path / "run", model="scalar")
    assert not (tmp_path / "run").exists()


def test_scores_and_bound(program: Program) -> None:
    found = scalor_ppl.evaluate(program, clips=2, frames=3, bound="elbo", particles=2)
    assert {"standard", "plain", "mse", "bound"} <= set(found)
    assert found["standard"]["mse"] == pytest.approx(found["mse"])
    assert found["bound"]["clips"] == 2
    other = scalor_ppl.evaluate(program, clips=2, frames=3, data_seed=9)
    assert other["mse"] != found["mse"]


def test_videos_from_scratch_and_continued(program: Program) -> None:
    videos = scalor_ppl.generate(program, videos=2, frames=3, seed=1)
    assert (videos.shape, videos.dtype) == ((2, 3, 64, 64, 3), np.uint8)
    assert np.array_equal(videos, scalor_ppl.generate(program, videos=2, frames=3, seed=1))
    seen = Square(64, 64).clip(0, 2).video
    assert scalor_ppl.generate(program, frames=4, observed=seen).shape == (1, 4, 64, 64, 3)
    with pytest.raises(UserError, match="nothing to imagine"):
        scalor_ppl.generate(program, frames=2, observed=seen)


def test_tracks_are_a_table(program: Program, tmp_path: Path) -> None:
    video = write_video(tmp_path / "video.mkv", Square(64, 64), 6)
    table = scalor_ppl.track(program, video, threshold=0.0)
    assert {"frame", "id", "x", "y", "confidence"} <= set(table.columns)
    assert set(table["frame"]) <= set(range(len(frames_of(video))))
    apart = (table["x"] - table["left"] - table["width"] / 2).abs()
    assert (apart <= table["width"] / 2).all()
    assert len(scalor_ppl.track(program, video, threshold=1.1)) == 0


def test_centres_can_be_measured_in_the_frames(tmp_path: Path) -> None:
    trained = scalor_ppl.load("pretrained:dsprites-vld")
    video = write_video(tmp_path / "video.mkv", open_source("moving-dsprites-vld", split="test"), 4)
    table = scalor_ppl.track(trained, video)
    measured = scalor_ppl.track(trained, video, measure=True)
    assert len(table) >= 8
    for column in ("frame", "id", "left", "width"):
        assert measured[column].tolist() == table[column].tolist()
    assert measured["x_std"].notna().mean() > 0.5
    assert (measured["x"] - table["x"]).abs().median() < 0.3
    assert measured["x"].tolist() != table["x"].tolist()


def test_of_two_that_are_close_the_surer_is_kept(tmp_path: Path) -> None:
    trained = scalor_ppl.load("pretrained:dsprites-vld")
    video = write_video(tmp_path / "video.mkv", open_source("moving-dsprites-vld", split="test"), 4)
    table = scalor_ppl.track(trained, video)
    alone = scalor_ppl.track(trained, video, separation=1000)
    assert alone.groupby("frame").size().tolist() == [1] * table["frame"].nunique()
    doubt = table["x_std"] ** 2 + table["y_std"] ** 2
    surest = table.loc[doubt.groupby(table["frame"]).idxmin()]
    assert alone["id"].tolist() == surest["id"].tolist()
