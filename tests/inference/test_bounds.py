"""Bounds on log p(x) of held-out clips: with hard presence, whatever training used."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from tiny import ALONE, CPU, CommandLine, Square, run_beside_clips, write_clips, write_images

from scalor_ppl.cli.score_tables import bound_line
from scalor_ppl.errors import UserError
from scalor_ppl.inference import bounds
from scalor_ppl.inference.bounds import bound_of, effective_size, log_weights
from scalor_ppl.nn.pixels import to_video
from scalor_ppl.programs import Program
from scalor_ppl.training.runs import load_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_beside_clips(tmp_path_factory)


@pytest.fixture(scope="module")
def program(run: Path) -> Program:
    return load_run(run, CPU)


def test_presence_is_hard_for_a_while(program: Program) -> None:
    assert program.model.presence.kind == "relaxed"
    with program.presence_as("hard"):
        assert program.model.presence.kind == "hard"
    assert program.model.presence.kind == "relaxed"


def test_weights_in_several_passes_are_those_of_one(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = to_video(Square().clip(0, 2).video[None], CPU)
    monkeypatch.setattr(bounds, "AT_ONCE", 7)
    torch.manual_seed(0)
    weights = log_weights(program, video, 400, presence="hard")
    assert weights.shape == (400, 1)
    monkeypatch.setattr(bounds, "AT_ONCE", 400)
    again = log_weights(program, video, 400, presence="hard")
    error = math.hypot(weights.std().item(), again.std().item()) / 20
    assert abs((weights.mean() - again.mean()).item()) < 5 * error


def test_effective_size() -> None:
    assert effective_size(torch.zeros(7, 1)).item() == pytest.approx(7)
    assert effective_size(torch.tensor([[0.0], [-100.0]])).item() == pytest.approx(1)


def test_more_particles_bound_better(program: Program) -> None:
    values = [
        bound_of(program, Square(), estimator=name, particles=k, clips=6, frames=2).per_video
        for name, k in (("elbo", 40), ("iwae", 4), ("iwae", 40))
    ]
    assert values == sorted(values)
    assert values[0] < values[1] < values[2]
    bound = bound_of(program, Square(), estimator="iwae", particles=3, clips=2, frames=2)
    assert bound.per_pixel == pytest.approx(bound.per_video / (2 * 16 * 16 * 3))
    assert 1 <= bound.effective <= 3


def test_one_clip_has_no_error(program: Program) -> None:
    bound = bound_of(program, Square(), estimator="iwae", particles=3, clips=1, frames=2)
    assert bound.to_dict()["error"] is None
    assert "+-" not in bound_line(bound)


def test_what_is_no_bound(program: Program) -> None:
    with pytest.raises(UserError, match="--bound scalor: it is one of elbo, iwae"):
        bound_of(program, Square(), estimator="scalor", particles=1, clips=1, frames=2)


def test_command(cli: CommandLine, run: Path, tmp_path: Path) -> None:
    clips = write_clips(tmp_path / "clips.nc")
    bound = ("--bound", "iwae", "--particles", 5, "--clips", 2, "--frames", 2)
    said = cli("evaluate", run, "--data", clips, *bound, "--json", tmp_path / "b.json", *ALONE)
    assert said.code == 0, said
    assert "iwae, 5 particles, hard presence, 2 clips" in said.out
    written = json.loads((tmp_path / "b.json").read_text())
    assert written["bound"]["presence"] == "hard"
    assert "standard" in written
    # A bound needs no ground truth.
    images = write_images(tmp_path / "images")
    said = cli("evaluate", run, "--data", images, *bound, *ALONE)
    assert said.code == 0, said
    assert "MOTA" not in said.out
