"""``scalor-ppl train --only priors`` from argv to the files of the new run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import ALONE, CPU, CommandLine, Square, fresh, same, weights_of, write_clips

from scalor_ppl import train
from scalor_ppl.errors import UserError
from scalor_ppl.inference.generation import imagine
from scalor_ppl.programs.build import build_program
from scalor_ppl.programs.configuration import resolve
from scalor_ppl.tracks.deviations import (
    Calibration,
    ScaleModel,
    read_calibration,
    write_calibration,
)
from scalor_ppl.training import start
from scalor_ppl.training.checkpoints import save_checkpoint
from scalor_ppl.training.parts import phase_of
from scalor_ppl.training.runs import check_export, export_run, load_run, run_config

QUICK = ("--set", "train.priors.clips=8", "--set", "train.priors.frames=4", "--steps", "12")


@pytest.fixture
def seeing(place: Path) -> Path:
    """``run``, whose untrained program finds something, beside its ``clips.nc``."""
    write_clips(place / "clips.nc")
    program = fresh(place / "run", data={"source": "clips.nc"})
    program.guide.proposal.presence[-1].bias.data.fill_(1.0)
    save_checkpoint(place / "run", 3, program.parts, {})
    return place


def test_a_run_gets_other_priors_in_a_folder_of_its_own(cli: CommandLine, seeing: Path) -> None:
    train = ("train", "--only", "priors", "--from", "run", *ALONE)
    said = cli(*train, *QUICK, "--out", "imagines")
    assert said.code == 0, said
    assert "priors: 12 steps" in said.err
    config = run_config(Path("imagines"))
    assert config.prior.model_dump()["propagation"] == "dynamics"
    before, after = weights_of(Path("run")), weights_of(Path("imagines"))
    kept = {name for name in before if name.startswith(("guide.", "model.decoder"))}
    assert same({n: before[n] for n in kept}, {n: after[n] for n in kept})
    record = json.loads(Path("imagines/priors.json").read_text())
    assert (record["steps"], record["clips"], record["frames"]) == (12, 8, 4)
    program = load_run(Path("imagines"), CPU)
    scene = imagine(program, videos=2, frames=3, seed=0)
    assert torch.isfinite(scene.image).all()
    # Objects are there or not, in what is sampled.
    presence = torch.stack([each.objects.presence for each in scene.trackers])
    assert set(presence.unique().tolist()) <= {0.0, 1.0}

    # Who samples from a run whose priors know nothing of the data is told what to do.
    hint = "train --only priors --from run"
    assert hint in cli("generate", "run", "--frames", "2", "--out", "before").err
    assert hint not in cli("generate", "imagines", "--frames", "2", "--out", "after").err

    assert "holds something" in cli.refused(*train, *QUICK, "--out", "imagines")

    # What ships tells what was trained, and names no folder of this machine.
    export_run(Path("imagines"), Path("made"))
    check_export(Path("made"))
    assert json.loads(Path("made/priors.json").read_text()) == record
    assert run_config(Path("made")).train.initial is None


def test_what_cannot_be_done_is_said_and_nothing_is_written(cli: CommandLine, seeing: Path) -> None:
    asked = ("train", "--only", "priors", *ALONE, "--out", "new")
    assert "give --from RUN" in cli.refused(*asked)
    assert "give --from RUN" in cli.refused(*asked, "--from", "run", "--resume")
    assert "no such run: none" in cli.refused(*asked, "--from", "none")
    long = ("--set", "train.priors.frames=50")
    assert "clips of 50 frames" in cli.refused(*asked, "--from", "run", *long)
    wrong = ("--set", "train.priors.propagation=momentous")
    assert "momentum" in cli.refused(*asked, "--from", "run", *wrong, *QUICK[:4])
    # What it would not heed.
    for setting, hint in (
        ("model.grid=[3,3]", "leaves model.grid at [2, 2], not [3, 3]: leave it out"),
        ("prior.propagation=momentum", "leaves prior.propagation at recurrent, not momentum"),
    ):
        line = cli.refused(*asked, "--from", "run", "--set", setting)
        assert hint in line
        assert line.endswith("it goes by train.priors")
    decoder = ("train", "--only", "decoder", "--from", "run", "--out", "new", *ALONE)
    line = cli.refused(*decoder, "--set", "guide.refine=3")
    known = "model.decoder and model.glimpse and model.occlusion and train.decoder"
    assert line.endswith(f"it goes by {known}")
    behind = ("train", "--only", "background", "--from", "run", "--out", "new", *ALONE)
    assert 'the run has "none"' in cli.refused(*behind)
    assert not Path("new").exists()


def test_a_background_gets_more_numbers(cli: CommandLine, place: Path) -> None:
    write_clips(place / "clips.nc")
    model = {"background": "vae", "background_dim": 2}
    program = fresh(place / "run", data={"source": "clips.nc"}, model=model)
    program.guide.proposal.presence[-1].bias.data.fill_(1.0)
    save_checkpoint(place / "run", 3, program.parts, {})
    scale = ScaleModel({"constant": 0.0}, 5.0, 1.0)
    for refine in (0, 5):
        write_calibration(place / "run", Calibration(scale, scale, refine, {}))
    few = ("--set", "train.background.clips=8", "--steps", "3", *ALONE)
    train = ("train", "--only", "background", "--from", "run", *few, "--out", "new")
    said = cli(*train, "--set", "model.background_dim=5")
    assert said.code == 0, said
    assert "background: 3 steps" in said.err
    assert "-bound" in said.err
    assert "its prior begins anew" in said.err
    # Refined positions depend on what lies behind; a training that goes on has no phase unasked.
    assert read_calibration(Path("new"), 0) is not None
    assert read_calibration(Path("new"), 5) is None
    assert run_config(Path("new")).train.model_dump()["priors"]["steps"] == 0
    record = json.loads(Path("new/background.json").read_text())
    assert set(record["after"]) == {"bound", "mse"}
    assert load_run(Path("new"), CPU).config.model.model_dump()["background_dim"] == 5

    write_clips(place / "wide.nc", Square(16, 20))
    wide = cli.refused(*train[:-1], "other", "--data", "wide.nc")
    assert "frames of 16 x 20, the run was trained on 16 x 16" in wide
    assert not Path("other").exists()


def test_a_training_ends_with_the_phase_that_its_configuration_has(
    cli: CommandLine, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def eager(config: Any, device: Any) -> Any:
        program = build_program(config, device)
        program.guide.proposal.presence[-1].bias.data.fill_(3.0)
        return program

    monkeypatch.setattr(start, "build_program", eager)
    phase = ("--set", "train.priors.steps=5", *QUICK[:4])
    tiny = ("--config", "tiny.toml", "--data", "clips.nc", *ALONE)
    said = cli("train", *tiny, *phase, "--out", "run")
    assert said.code == 0, said
    assert "priors: 5 steps" in said.err
    assert Path("run/priors.json").is_file()
    assert run_config(Path("run")).prior.model_dump()["discovery"] == "mixture"
    load_run(Path("run"), CPU)
    assert "which ends a training" in cli.refused("train", "--resume", "--out", "run")
    with pytest.raises(UserError, match="which ends a training"):
        train("clips.nc", out="run", resume=True)


def test_a_phase_that_cannot_be_is_told_and_the_run_kept(cli: CommandLine, place: Path) -> None:
    write_clips(place / "clips.nc")
    long = ("--set", "train.priors.steps=5", "--set", "train.priors.frames=50")
    tiny = ("--config", "tiny.toml", "--data", "clips.nc", *ALONE)
    said = cli("train", *tiny, *long, "--out", "run")
    assert said.code == 0, said
    assert "its priors stay as the training left them" in said.err
    assert "no two clips of 50 frames" in said.err
    assert run_config(Path("run")).prior.model_dump()["discovery"] == "constant"
    load_run(Path("run"), CPU)
    # What is known to be wrong beforehand is told then.
    wrong = ("--set", "train.priors.propagation=momentous")
    line = cli.refused("train", *tiny, *long, *wrong, "--out", "wrong")
    assert "train.priors.propagation: there is no 'momentous'" in line
    assert not Path("wrong").exists()


def test_an_interrupted_phase_says_how_to_go_on(
    cli: CommandLine, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    write_clips(place / "clips.nc")
    tiny = ("--config", "tiny.toml", "--data", "clips.nc", *ALONE)
    with monkeypatch.context() as patch:
        patch.setattr("scalor_ppl.training.parts.train_part", stop)
        said = cli("train", *tiny, "--set", "train.priors.steps=5", *QUICK[:4], "--out", "run")
    assert said.code == 130
    assert "go on with: scalor-ppl train --resume --out run" in said.err
    assert not Path("run/priors.json").exists()
    said = cli("train", "--resume", "--out", "run")
    assert said.code == 0, said
    assert "its priors" in said.err or "priors: 5 steps" in said.err


def test_a_training_from_python_has_the_phase_too(place: Path) -> None:
    write_clips(place / "clips.nc")
    phase = {"steps": 2, "clips": 8, "frames": 50}
    with pytest.warns(UserWarning, match="no two clips of 50 frames"):
        train("clips.nc", out="run", preset="tiny.toml", settings={"train": {"priors": phase}})


def test_presets_of_registered_sets_end_with_the_phase() -> None:
    for name in ("moving-dsprites-md", "moving-mnist-ld-background", "gswm-interaction"):
        assert phase_of(resolve(name, [], {})) > 0
    # A short try has none, unless it is asked for.
    assert phase_of(resolve("moving-dsprites-vld", ["train.steps=2"], {})) == 0
    asked = resolve("moving-dsprites-vld", ["train.steps=2", "train.priors.steps=3"], {})
    assert phase_of(asked) == 3
    for name in ("natural", "vrnn-moving-dsprites-vld"):
        assert phase_of(resolve(name, [], {})) == 0
