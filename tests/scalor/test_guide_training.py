"""A guide trained alone: it knows better what the program samples, and nothing else moves."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Build
from pyro import poutine
from tiny import ALONE, CommandLine, Square, fresh, same, write_clips

from scalor_ppl.errors import UserError
from scalor_ppl.programs import Program
from scalor_ppl.scalor.guide_training import (
    Sampled,
    density_of_places,
    latents_of,
    sample_videos,
    train_guide,
)
from scalor_ppl.scalor.prior_training import train_priors
from scalor_ppl.scalor.program import ScalorProgram
from scalor_ppl.tracks.deviations import (
    Calibration,
    ScaleModel,
    read_calibration,
    write_calibration,
)
from scalor_ppl.training.checkpoints import save_checkpoint
from scalor_ppl.training.runs import write_config

PRIORS = {"steps": 2, "clips": 8, "frames": 4, "batch": 4}
GUIDE = {"steps": 16, "videos": 16, "frames": 3, "batch": 1, "sampled": 6, "learning_rate": 6e-3}


def sampling(folder: Path) -> ScalorProgram:
    """A tiny program whose priors have learned what enters."""
    program = fresh(folder / "run", train={"priors": PRIORS, "guide": GUIDE})
    presence: Any = program.guide.proposal.presence[-1]
    presence.bias.data.fill_(1.0)  # untrained, it finds nothing
    assert isinstance(program, ScalorProgram)
    trained, _ = train_priors(program, program.config, Square(), lambda *told: None)
    assert isinstance(trained, ScalorProgram)
    return trained


def weights(program: Program) -> dict[str, dict[str, torch.Tensor]]:
    return {
        part: {name: value.clone() for name, value in module.state_dict().items()}
        for part, module in program.parts.items()
    }


def test_a_guide_comes_to_know_where_what_is_sampled_is_and_nothing_else_moves(
    tmp_path: Path,
) -> None:
    program = sampling(tmp_path)
    before = weights(program)
    told: list[tuple[int, int]] = []
    trained, record = train_guide(
        program, program.config, Square(), lambda n, of, text: told.append((n, of))
    )
    assert record.after["places"] < record.before["places"] - 0.5
    assert (record.steps, record.clips, record.frames) == (16, 16, 3)
    assert told[0] == (0, 16)
    assert told[-1] == (16, 16)
    after = weights(trained)
    assert same(before["model"], after["model"])
    assert not any(
        torch.equal(before["guide"][name], after["guide"][name])
        for name in after["guide"]
        if name.startswith("propagation.where") and name.endswith("weight")
    )
    assert all(each.requires_grad for each in trained.model.parameters())
    assert same(before["guide"], weights(program)["guide"])


def test_with_no_weight_it_is_the_objective_of_clips_alone(tmp_path: Path) -> None:
    program = sampling(tmp_path)
    train = program.config.train
    alone = train.model_copy(update={"guide": train.guide.model_copy(update={"weight": 0.0})})
    config = program.config.model_copy(update={"train": alone})
    trained, record = train_guide(program, config, Square(), lambda *told: None)
    assert record.after["objective"] < record.before["objective"]
    assert trained.config.train == alone


@torch.no_grad()
def test_density_counts_where_something_is_and_no_other_place(build: Build) -> None:
    pair = build(presence="hard", discovery_rate=0.5)
    torch.manual_seed(3)
    with poutine.trace() as traced:
        scene = pair.model(videos=3, frames=3)
    latents = latents_of(pair.program, traced.trace, scene.trackers)
    frames = (scene.image * 255).round().byte().permute(0, 1, 3, 4, 2)
    found = density_of_places(pair.program, Sampled(frames, latents))

    video = frames.permute(0, 1, 4, 2, 3).float() / 255
    replayed = poutine.trace(poutine.condition(pair.guide, data=latents)).get_trace(video)
    replayed.compute_log_prob()
    known = torch.zeros(3)
    for name, site in replayed.nodes.items():
        if not name.startswith(("z_where", "z_pres")):
            continue
        for video_number, row in enumerate(site["log_prob"]):
            for place, value in enumerate(row):
                there = latents[name.replace("where", "pres")][video_number, place] > 0.5
                if there or name.startswith("z_pres"):
                    known[video_number] += value
    torch.testing.assert_close(found, known, atol=1e-3, rtol=1e-5)
    # What was rejected is no object: of those proposed fewer are told than the prior drew.
    drawn = sum(traced.trace.nodes[f"z_pres_disc_{t}"]["value"].sum() for t in range(3))
    kept = sum(latents[f"z_pres_disc_{t}"].sum() for t in range(3))
    accepted = sum(each.discovered.sum() for each in scene.trackers)
    assert kept == accepted < drawn


def test_the_same_seed_samples_the_same_videos(tmp_path: Path) -> None:
    program = sampling(tmp_path)
    once, again = (
        sample_videos(program, program.config.train.guide, 5, lambda *told: None) for _ in range(2)
    )
    assert torch.equal(once.frames, again.frames)
    assert same(once.latents, again.latents)
    assert once.frames.shape == (16, 3, 16, 16, 3)


def test_priors_that_know_nothing_of_what_enters_are_refused(tmp_path: Path) -> None:
    program = fresh(tmp_path / "run", train={"guide": GUIDE})
    assert isinstance(program, ScalorProgram)
    with pytest.raises(UserError, match="train --only priors first"):
        train_guide(program, program.config, Square(), lambda *told: None)


def test_the_command_trains_a_guide_and_drops_its_calibration(
    cli: CommandLine, place: Path
) -> None:
    write_clips(place / "clips.nc")
    program = sampling(place)
    data = program.config.data.model_copy(update={"source": "clips.nc"})
    program = dataclasses.replace(program, config=program.config.model_copy(update={"data": data}))
    write_config(place / "run", program.config)
    save_checkpoint(place / "run", 3, program.parts, {})
    scale = ScaleModel({"constant": 0.0}, 5.0, 1.0)
    write_calibration(place / "run", Calibration(scale, scale, 0, {}))
    said = cli("train", "--only", "guide", "--from", "run", "--steps", "4", *ALONE, "--out", "new")
    assert said.code == 0, said
    assert "guide: 4 steps" in said.err
    assert "16 videos sampled" in said.err
    assert "evaluate new --calibrate" in said.err
    assert read_calibration(Path("new"), 0) is None
    assert set(json.loads(Path("new/guide.json").read_text())["after"]) == {"objective", "places"}
    line = cli.refused(
        "train",
        "--only",
        "guide",
        "--from",
        "run",
        *ALONE,
        "--out",
        "other",
        "--set",
        "guide.hidden=9",
    )
    assert line.endswith("it goes by train.guide")
