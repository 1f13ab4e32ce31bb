"""Memory: a video in chunks is the video at once; checkpoints hold it; training carries it on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Build, Pair
from torch import Tensor

from scalor_ppl.config.schema import Config, DataConfig
from scalor_ppl.data import open_source
from scalor_ppl.inference.posterior import follow, infer
from scalor_ppl.programs import Memory
from scalor_ppl.programs.build import build_program
from scalor_ppl.programs.configuration import resolve
from scalor_ppl.scalor import ScalorConfig
from scalor_ppl.scalor.memory import from_tensors, to_tensors
from scalor_ppl.scalor.settings import GuideConfig, ModelConfig
from scalor_ppl.training.loop import train
from scalor_ppl.training.runs import create_run

FRAMES = 7

PROGRAMS: list[dict[str, Any]] = [
    {},
    {"background": "vae", "presence": "hard"},
    {"background": "template", "guide": {"difference": True}},
    {"guide": {"mask": "everywhere", "attention": False}},
]


def in_chunks(pair: Pair, video: Tensor, lengths: list[int], store: bool = False) -> list[Any]:
    """The scenes of consecutive chunks; through a checkpoint's tensors in between if asked for."""
    memory: Memory | None = None
    scenes = []
    for chunk in video.split(lengths, 1):
        scene, memory, _ = follow(pair.program, chunk, memory)
        if store:
            memory = from_tensors(to_tensors(memory))
        scenes.append(scene)
    assert memory is not None
    assert memory.frame == sum(lengths)
    return scenes


@pytest.mark.parametrize("settings", PROGRAMS)
@pytest.mark.parametrize("lengths", [[1] * FRAMES, [3, 4], [6, 1]])
def test_chunks_give_what_the_whole_video_gives(
    build: Build, settings: dict[str, Any], lengths: list[int]
) -> None:
    pair = build(**settings)
    # Frames that resemble each other, so that objects live on.
    video = pair.video(2, 1).expand(-1, FRAMES, -1, -1, -1) * 0.9 + pair.video(2, FRAMES) * 0.1
    whole = infer(pair.model, pair.guide, video)
    scenes = in_chunks(pair, video, lengths, store=lengths == [3, 4])
    trackers = [each for scene in scenes for each in scene.trackers]
    assert any(each.alive.any() for each in whole.trackers)
    for one, other in zip(whole.trackers, trackers, strict=True):
        assert torch.equal(one.ids, other.ids)
        assert torch.equal(one.doubled, other.doubled)
        assert torch.allclose(one.objects.where, other.objects.where, atol=1e-5)
        assert torch.allclose(one.objects.presence, other.objects.presence, atol=1e-5)
    image = torch.cat([scene.image for scene in scenes], 1)
    assert torch.allclose(whole.image, image, atol=1e-5)


def test_a_checkpoint_holds_the_memory_exactly(build: Build, tmp_path: Path) -> None:
    pair = build(background="vae")
    for frames in (1, 2):  # no tracker state yet after one frame
        memory = follow(pair.program, pair.video(2, frames), None).memory
        torch.save(to_tensors(memory), tmp_path / "memory.pt")
        stored = torch.load(tmp_path / "memory.pt", weights_only=True)
        again = to_tensors(from_tensors(stored))
        assert to_tensors(memory).keys() == again.keys()
        for name, value in to_tensors(memory).items():
            assert name == "frame" or torch.equal(value, again[name]), name


@pytest.mark.parametrize("presence", ["relaxed", "hard"])
@pytest.mark.parametrize("proposals", [None, 3])
def test_confidence_is_the_probability_of_what_is_in_the_slot(
    build: Build, presence: str, proposals: int | None
) -> None:
    pair = build(presence=presence, proposals=proposals, rules=False)
    found = follow(pair.program, pair.video(2, 4), None)
    presences = torch.stack([each.objects.presence for each in found.scene.trackers], 1)
    confidence = pair.program.confidence(found.trace, found.scene)
    assert confidence.shape == presences.shape
    assert ((confidence > 0.5) == (presences > 0.5)).all()
    if presence == "relaxed":
        # The most likely logit is that of the probability, divided by the temperature.
        odds = torch.logit(confidence) / pair.model.presence.temperature
        filled = presences > 0
        assert torch.allclose(torch.sigmoid(odds)[filled], presences[filled], atol=1e-4)


def test_detached_memory_has_no_graph(build: Build) -> None:
    pair = build()
    scene = pair.model(pair.video(1, 2))
    seen = pair.guide(pair.video(1, 2)).memory
    memory = Memory(2, scene.memory, seen).detached()
    for name, value in to_tensors(memory).items():
        assert name == "frame" or not value.requires_grad, name


def tiny(**train_settings: Any) -> Config:
    """A program that trains within seconds."""
    return resolve(
        "moving-dsprites-vld",
        [],
        {
            "model": {"height": 64, "width": 64, "channels": 3, "capacity": 4},
            "train": {
                "steps": 6,
                "batch": 2,
                "frames": 2,
                "chunks": 3,
                "learning_rate": 1e-3,
                "log_every": 1,
                "image_every": 0,
                "checkpoint_every": 2,
                **train_settings,
            },
        },
    )


def trained(config: Config, run: Path, resume: bool = False) -> list[float]:
    """The losses of all steps."""
    if not resume:
        create_run(run, config)
    program = build_program(config, torch.device("cpu"))
    train(program, open_source(config.data.source), run, resume=resume)
    return [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_training_goes_on_bit_for_bit_in_the_middle_of_a_clip(tmp_path: Path) -> None:
    whole = trained(tiny(), tmp_path / "whole")
    part = tiny()
    short = part.model_copy(update={"train": part.train.model_copy(update={"steps": 2})})
    first = trained(short, tmp_path / "parts")
    second = trained(part, tmp_path / "parts", resume=True)
    assert first == whole[:2]
    assert second == whole


@pytest.mark.parametrize(
    ("settings", "frames"),
    [({"steps": 3}, [0, 2, 4]), ({"steps": 5, "chunks": 2, "chunks_from": 2}, [0, 0, 0, 2, 0])],
)
def test_later_chunks_know_what_the_earlier_ones_found(
    tmp_path: Path, settings: dict[str, int], frames: list[int]
) -> None:
    config = tiny(**settings)
    create_run(tmp_path / "run", config)
    program = build_program(config, torch.device("cpu"))
    seen: list[int] = []
    forward = program.model.forward

    def watched(*args: Any, memory: Memory | None = None, **options: Any) -> Any:
        seen.append(0 if memory is None else memory.frame)
        return forward(*args, memory=memory, **options)

    program.model.forward = watched
    train(program, open_source(config.data.source), tmp_path / "run")
    assert seen == frames


def test_settings_that_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="perspective wants whole frames"):
        ScalorConfig(model=ModelConfig(perspective=0.5), data=DataConfig(crop=(32, 32)))
    with pytest.raises(ValueError, match="difference wants"):
        ScalorConfig(guide=GuideConfig(difference=True))
    with pytest.raises(ValueError, match="colour_blind wants"):
        ScalorConfig(guide=GuideConfig(colour_blind=True))
