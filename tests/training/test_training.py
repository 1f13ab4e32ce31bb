"""Training: deterministic, resumable, and calm when numbers are not finite."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import (
    CLOCKS,
    CPU,
    Square,
    config_of,
    fresh,
    metrics_of,
    same,
    trained,
    weights_of,
    write_clips,
)
from torch import Tensor

from scalor_ppl.data import open_source
from scalor_ppl.errors import UserError
from scalor_ppl.programs import Program
from scalor_ppl.programs.build import build_program
from scalor_ppl.scalor import ScalorProgram
from scalor_ppl.training import loop as training
from scalor_ppl.training.checkpoints import all_checkpoints, last_checkpoint
from scalor_ppl.training.devices import pick_device
from scalor_ppl.training.loop import (
    Outcome,
    Silent,
    TrainingError,
    check_length,
    frames_needed,
    train,
)
from scalor_ppl.training.runs import METRICS, load_run, run_config

pytestmark = pytest.mark.filterwarnings("ignore:Encountered NaN")  # on purpose

ALWAYS = {
    "step",
    *CLOCKS,
    "loss",
    "gradient_norm",
    "learning_rate",
    "temperature",
    "discovery_rate",
    "skipped",
}
PARTS = {f"kl_{kind}_{p}" for kind in ("pres", "where", "depth", "what") for p in ("disc", "prop")}
SHOWN = ALWAYS | PARTS | {"log_likelihood", "objects", "discoveries"}


class Memory(Silent):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.steps: list[int] = []
        self.pictures: list[int] = []

    def began(self, step: int) -> None:
        self.begun.append(step)

    def stepped(self, step: int, figures: Mapping[str, float]) -> None:
        assert figures["step"] == step
        self.steps.append(step)

    def pictured(self, step: int, program: Program) -> None:
        torch.rand(7)  # whatever a watcher draws, training goes on as it would have
        self.pictures.append(step)


class StoppedError(Exception):
    """Ends a training where no signal can."""


class StopAt(Silent):
    """Ends training at a step without a checkpoint, as SIGKILL would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def stepped(self, step: int, figures: Mapping[str, float]) -> None:
        if step == self.step:
            raise StoppedError


def resumed(run: Path, **tables: Any) -> Outcome:
    """Go on with a tiny run."""
    return train(build_program(config_of(**tables), CPU), Square(), run, resume=True)


# ---------------------------------------------------------------------- determinism, resuming


@pytest.mark.parametrize("estimator", ["elbo", "scalor"])
def test_same_seed_same_weights_another_seed_others(tmp_path: Path, estimator: str) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        torch.manual_seed(len(name))
        trained(tmp_path / name, train={"estimator": estimator, "seed": seed})
    first, second, other = (weights_of(tmp_path / name) for name in "abc")
    assert same(first, second)
    assert not same(first, other)
    assert metrics_of(tmp_path / "a", clock=False) == metrics_of(tmp_path / "b", clock=False)


@pytest.mark.parametrize(
    "tables",
    [
        {},
        {
            "model": {"background": "vae", "background_dim": 2},
            "train": {"estimator": "scalor", "optimizer": "rmsprop"},
        },
        {"train": {"frames": {"start": 2, "end": 4}}},
    ],
    ids=["elbo", "background-scalor-rmsprop", "growing"],
)
def test_resumed_run_is_bit_for_bit_the_uninterrupted_one(
    tmp_path: Path, tables: dict[str, Any]
) -> None:
    tables = {**tables, "train": {"steps": 9, "checkpoint_every": 4, **tables.get("train", {})}}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    trained(whole, **tables)
    with pytest.raises(StoppedError):
        trained(broken, watcher=StopAt(7), **tables)
    assert len(metrics_of(broken)) == 7
    assert last_checkpoint(broken).name == "step_0000004"
    outcome = resumed(broken, **tables)
    assert (outcome.step, outcome.interrupted) == (9, False)
    assert same(weights_of(broken), weights_of(whole))
    assert metrics_of(broken, clock=False) == metrics_of(whole, clock=False)


def test_figures_after_the_checkpoint_and_half_lines_are_dropped(tmp_path: Path) -> None:
    run = tmp_path / "run"
    trained(run, train={"steps": 5})
    with (run / METRICS).open("a") as file:
        file.write('{"step": 6, "loss": 1.0}\n{"step": 7, "lo')
    memory = Memory()
    program = build_program(config_of(train={"steps": 6}), CPU)
    train(program, Square(), run, resume=True, watcher=memory)
    assert [line["step"] for line in metrics_of(run)] == [1, 2, 3, 4, 5, 6]
    assert metrics_of(run)[-1]["loss"] != 1.0
    assert memory.begun == [5]


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    run = tmp_path / "run"
    _, before = trained(run)
    written = {path: path.stat().st_mtime_ns for path in (run / "checkpoints").rglob("*")}
    after = resumed(run)
    assert (after.step, after.checkpoint) == (before.step, before.checkpoint)
    assert written == {path: path.stat().st_mtime_ns for path in (run / "checkpoints").rglob("*")}


def test_watchers_do_not_change_what_is_learned(tmp_path: Path) -> None:
    memory = Memory()
    trained(tmp_path / "a", watcher=memory, train={"steps": 4, "image_every": 2, "log_every": 3})
    trained(tmp_path / "b", train={"steps": 4})
    assert same(weights_of(tmp_path / "a"), weights_of(tmp_path / "b"))
    assert (memory.begun, memory.steps, memory.pictures) == ([0], [3, 4], [2, 4])


def test_a_run_is_loaded_with_the_temperature_it_had(tmp_path: Path) -> None:
    program, _ = trained(tmp_path / "run")
    loaded = load_run(tmp_path / "run", CPU)
    for name, part in program.parts.items():
        assert same(part.state_dict(), loaded.parts[name].state_dict())
    assert isinstance(loaded, ScalorProgram)
    train = loaded.config.train
    assert loaded.model.presence.temperature == train.temperature.at(train.steps, train.steps)
    assert loaded.model.discovery.rate == train.discovery_rate.at(train.steps, train.steps)
    assert not loaded.model.training


# ---------------------------------------------------------------------- figures


@pytest.mark.parametrize("estimator", ["elbo", "scalor"])
def test_figures_are_json_lines_with_the_parts_of_the_loss(tmp_path: Path, estimator: str) -> None:
    trained(tmp_path / "run", train={"estimator": estimator})
    text = (tmp_path / "run" / METRICS).read_text()
    assert "NaN" not in text
    assert text.endswith("\n")
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    for line in lines:
        assert line.keys() == SHOWN
        divergence = sum(line[name] for name in PARTS)
        assert line["loss"] == pytest.approx(divergence - line["log_likelihood"], rel=1e-4)
        assert 0 <= line["objects"] <= 3
        assert line["skipped"] == 0
    assert lines[0]["seconds"] < lines[1]["seconds"] < lines[2]["seconds"]


def test_background_has_a_part_of_its_own(tmp_path: Path) -> None:
    trained(tmp_path / "run", model={"background": "vae", "background_dim": 2})
    assert metrics_of(tmp_path / "run")[0].keys() == SHOWN | {"kl_bg"}


def test_log_every_and_the_last_step(tmp_path: Path) -> None:
    _, outcome = trained(tmp_path / "run", train={"steps": 5, "log_every": 2})
    assert [line["step"] for line in metrics_of(tmp_path / "run")] == [2, 4, 5]
    assert outcome.figures == metrics_of(tmp_path / "run")[-1]


# ---------------------------------------------------------------------- schedules


class Annealed:
    """What ``anneal`` of a program is called with."""

    def __init__(self, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
        self.temperatures: list[float] = []
        self.rates: list[float] = []
        self.model = program.model
        self.inner = program.model.anneal
        monkeypatch.setattr(program.model, "anneal", self)

    def __call__(self, *, temperature: float, discovery_rate: float) -> None:
        self.inner(temperature=temperature, discovery_rate=discovery_rate)
        self.temperatures.append(self.model.presence.temperature)
        self.rates.append(self.model.discovery.rate)


def test_schedules_reach_the_model_and_the_optimizer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = fresh(
        tmp_path / "run",
        train={
            "steps": 4,
            "warmup": 2,
            "temperature": {"start": 1.0, "end": 0.5, "steps": 2},
            "discovery_rate": {"start": 0.1, "end": 0.001, "steps": 2, "kind": "geometric"},
            "learning_rate": {"start": 0.3, "end": 0.1, "steps": 2},
        },
    )
    annealed = Annealed(program, monkeypatch)
    train(program, Square(), tmp_path / "run")
    assert annealed.temperatures == pytest.approx([1.0, 0.75, 0.5, 0.5])
    assert annealed.rates == pytest.approx([0.1, 0.01, 0.001, 0.001])
    rates = [line["learning_rate"] for line in metrics_of(tmp_path / "run")]
    assert rates == pytest.approx([0.3 / 3, 0.2 * 2 / 3, 0.1, 0.1])


def test_sequence_length_follows_its_schedule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []

    def watched(frames: np.ndarray, device: torch.device) -> Tensor:
        lengths.append(frames.shape[1])
        return to_video(frames, device)

    to_video = training.to_video
    monkeypatch.setattr(training, "to_video", watched)
    schedule = {"start": 1, "end": 4, "steps": 3}
    trained(tmp_path / "run", train={"steps": 5, "frames": schedule})
    assert lengths == [1, 2, 3, 4, 4]
    config = config_of(train={"frames": {"start": 1, "end": 3.5}}).train
    assert frames_needed(config) == 4
    assert frames_needed(config_of(train={"frames": 7}).train) == 7


def test_a_source_that_is_too_short_for_the_schedule_is_refused_at_once(tmp_path: Path) -> None:
    source = open_source(write_clips(tmp_path / "clips.nc", frames=4))
    check_length(source, config_of(train={"frames": 4}).train)
    with pytest.raises(UserError, match="has 4 frames in a row, fewer than the 6 of a clip"):
        check_length(source, config_of(train={"frames": {"start": 2, "end": 6}}).train)


# ---------------------------------------------------------------------- learning

CONSTANT: dict[str, Any] = {
    "steps": 30,
    "learning_rate": 5e-3,
    "temperature": {"start": 1.0, "end": 1.0},
    "discovery_rate": {"start": 0.1, "end": 0.1},
}


@pytest.mark.parametrize(
    ("tables", "parts"),
    [
        ({"train": {"estimator": "elbo"}}, True),
        ({"train": {"estimator": "scalor"}}, True),
        ({"train": {"estimator": "pyro.infer:Trace_ELBO"}}, False),
        ({"train": {"estimator": "elbo", "optimizer": "rmsprop", "learning_rate": 2e-3}}, True),
        ({"train": {"estimator": "elbo", "precision": "bfloat16"}}, True),
        ({"model": {"presence": "hard"}, "train": {"estimator": "elbo"}}, True),
        ({"model": {"background": "vae", "background_dim": 2}}, True),
    ],
    ids=["elbo", "scalor", "by-name", "rmsprop", "bfloat16", "hard", "background"],
)
def test_the_loss_of_a_constant_clip_falls(
    tmp_path: Path, tables: dict[str, Any], parts: bool
) -> None:
    tables = {**tables, "train": CONSTANT | tables.get("train", {})}
    before, outcome = trained(tmp_path / "run", Square(still=True), **tables)
    lines = metrics_of(tmp_path / "run")
    losses = [line["loss"] for line in lines]
    assert all(map(math.isfinite, losses))
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 10
    assert outcome.skipped == 0
    assert ("log_likelihood" in lines[0]) == parts
    parameters = before.model.parameters()
    assert all(parameter.dtype == torch.float32 for parameter in parameters)


# ---------------------------------------------------------------------- numbers that are not finite


class Poisoned:
    """Makes the video of some steps (counted from 0) not a number."""

    def __init__(self, steps: Iterator[int] | set[int]) -> None:
        self.steps = steps
        self.number = count()
        self.inner = training.to_video

    def __call__(self, frames: np.ndarray, device: torch.device) -> Tensor:
        video = self.inner(frames, device)
        poisoned = next(self.number) in self.steps
        return torch.full_like(video, math.nan) if poisoned else video


class Weights(Silent):
    """Remembers the weights after every step."""

    def __init__(self) -> None:
        self.seen: dict[int, dict[str, Tensor]] = {}

    def pictured(self, step: int, program: Program) -> None:
        state = program.model.state_dict() | program.guide.state_dict()
        self.seen[step] = {name: tensor.clone() for name, tensor in state.items()}


def test_a_step_that_is_not_finite_is_left_out_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "to_video", Poisoned({1, 2, 4}))
    weights = Weights()
    tables = {"steps": 6, "patience": 3, "image_every": 1}
    _, outcome = trained(tmp_path / "run", watcher=weights, train=tables)
    assert (outcome.step, outcome.skipped) == (6, 3)
    assert same(weights.seen[1], weights.seen[3])
    assert not same(weights.seen[3], weights.seen[4])
    assert same(weights.seen[4], weights.seen[5])
    assert not same(weights.seen[5], weights.seen[6])
    lines = metrics_of(tmp_path / "run")
    assert [(line["step"], line["skipped"]) for line in lines] == [(1, 0), (4, 2), (6, 3)]


def test_several_in_a_row_end_training_with_a_diagnosis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    monkeypatch.setattr(training, "to_video", Poisoned(set(range(5, 99))))
    with pytest.raises(TrainingError) as caught:
        trained(run, train={"steps": 20, "patience": 3, "checkpoint_every": 2})
    message = str(caught.value)
    assert "3 steps in a row were not finite (loss nan" in message
    assert "frame 0 of video 0 is nan in 768 of 768 values" in message
    assert f"the last good checkpoint is {run / 'checkpoints' / 'step_0000004'}" in message
    assert "\n" not in message
    # Step 6 was left out: its parameters are not known to be good.
    names = [path.name for path in all_checkpoints(run)]
    assert names == ["step_0000002", "step_0000004"]
    monkeypatch.undo()
    assert resumed(run, train={"steps": 6, "patience": 4}).step == 6
    assert run_config(run).train.patience == 4


def test_patience_before_the_first_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "to_video", Poisoned(set(range(99))))
    with pytest.raises(TrainingError, match="train again: there is no checkpoint yet"):
        trained(tmp_path / "run", train={"patience": 2})
    assert not all_checkpoints(tmp_path / "run")


def test_the_diagnosis_names_parameters_that_are_not_finite(tmp_path: Path) -> None:
    program = fresh(tmp_path / "run", train={"patience": 1})
    name, parameter = next(iter(program.model.named_parameters()))
    with torch.no_grad():
        parameter.fill_(math.nan)
    with pytest.raises(TrainingError, match=f"non-finite value: model.{name}, 1 in all"):
        train(program, Square(), tmp_path / "run")


def test_every_parameter_may_be_not_finite_without_harm(tmp_path: Path) -> None:
    program = fresh(tmp_path / "run", train={"patience": 2})
    with torch.no_grad():
        for part in program.parts.values():
            for parameter in part.parameters():
                parameter.fill_(math.nan)
    with pytest.raises(TrainingError, match="2 steps in a row"):
        train(program, Square(), tmp_path / "run")


# ---------------------------------------------------------------------- pictures, devices


def test_snapshot_is_a_readable_picture(tmp_path: Path) -> None:
    from scalor_ppl.inference.pictures import snapshot, write_tracked

    program, _ = trained(tmp_path / "run")
    path = tmp_path / "pictures" / "a.png"
    pictures = snapshot(program, Square(), 3, path)
    assert pictures.rendered.shape == (3, 16, 16, 3)
    assert pictures.background is None
    with Image.open(path) as image:
        assert image.size[0] > 3 * 16
    for written in write_tracked(program, Square(), 3, tmp_path / "tracked"):
        with Image.open(written) as image:
            image.load()


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pick_device("cpu") == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert pick_device("auto") == CPU
    with pytest.raises(UserError, match="torch sees no GPU here; use --device cpu"):
        pick_device("cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert pick_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(UserError, match="--device cuda:1: torch sees 1 GPU here"):
        pick_device("cuda:1")
    with pytest.raises(UserError, match="no device named 'gpu': use auto, cpu or cuda"):
        pick_device("gpu")
    with pytest.raises(UserError, match="--device meta is not supported"):
        pick_device("meta")
