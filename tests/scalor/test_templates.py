"""Where a template starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Build
from PIL import Image

from scalor_ppl.config.settings import merged, read_preset
from scalor_ppl.data import open_source
from scalor_ppl.errors import UserError
from scalor_ppl.inference.generation import imagine
from scalor_ppl.inference.posterior import infer
from scalor_ppl.programs.configuration import checked
from scalor_ppl.scalor import ScalorConfig
from scalor_ppl.scalor.template import begin_template
from scalor_ppl.scalor.views import difference_to_template
from scalor_ppl.training.runs import load_run, run_config
from scalor_ppl.training.start import start_training


def write_frames(folder: Path, frames: np.ndarray) -> Path:
    folder.mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{number:03d}.png")
    return folder


def test_a_template_starts_without_who_stands_in_it(build: Build, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scene = rng.integers(60, 200, (16, 16, 3))
    frames = np.broadcast_to(scene, (60, 16, 16, 3)).copy()
    for t in range(40):  # somebody walks, stands for a quarter of the video, and is gone
        x = min(t // 2, 12)
        frames[t, 4:10, x : x + 4] = (250, 10, 10)
    noise = rng.integers(-2, 3, frames.shape)
    frames = (frames + noise).clip(0, 255).astype(np.uint8)
    model = build(background="template", guide={"difference": True}).model
    begin_template(model, open_source(write_frames(tmp_path / "walk", frames)))
    assert model.template is not None
    shown = torch.sigmoid(model.template.image).detach().permute(1, 2, 0).numpy()
    assert np.abs(255 * shown - scene).max() < 6


def test_a_template_is_mirrored_with_its_clips(build: Build) -> None:
    pair = build(background="template", guide={"difference": True})
    model = pair.model
    assert model.template is not None
    torch.nn.init.normal_(model.template.image)
    video = torch.rand(2, 3, model.channels, *model.size)
    shown = torch.stack((video[0], video[1].flip(-1)))
    corner = torch.tensor([[0, 0, 0], [0, 0, 1]])
    plain = difference_to_template(model, video, None)
    mirrored = difference_to_template(model, shown, corner)
    assert plain is not None
    assert mirrored is not None
    torch.testing.assert_close(mirrored[0], plain[0])
    torch.testing.assert_close(mirrored[1], plain[1].flip(-1))
    crops = model.template.logits(torch.tensor([[2, 3, 1], [2, 3, 0]]), (4, 6))
    torch.testing.assert_close(crops[0], crops[1].flip(-1))
    torch.testing.assert_close(crops[1], model.template.image[:, 2:6, 3:9])


def test_a_template_is_of_one_scene(build: Build, tmp_path: Path) -> None:
    model = build(background="template").model
    with pytest.raises(UserError, match="is none: use"):
        begin_template(model, open_source("moving-dsprites-vld"))
    for name in ("a", "b"):
        write_frames(tmp_path / name, np.zeros((3, 16, 16, 3), np.uint8))
    with pytest.raises(UserError, match="2 sequences of different scenes"):
        begin_template(model, open_source(tmp_path))


@pytest.mark.parametrize("augment", [False, True])
def test_a_template_is_trained_on_crops_with_pictures(tmp_path: Path, augment: bool) -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(100, 140, (12, 40, 48, 1)).astype(np.uint8)
    for t in range(12):
        frames[t, 10:16, 3 * t : 3 * t + 6] = 250
    recording = write_frames(tmp_path / "video", frames[..., 0])
    settings = {
        "data": {"source": str(recording), "crop": [16, 16], "channels": 1, "augment": augment},
        "model": {"grid": [2, 2], "capacity": 3, "proposals": 4, "anywhere": True},
        "guide": {"window": [2, 2], "features": 8, "lstm": 4, "hidden": 8},
        "train": {"steps": 2, "batch": 2, "frames": 2, "chunks": 1, "image_every": 1},
    }
    preset = read_preset("natural")
    del preset["data"]["resize"]
    config = checked(merged(preset, settings))
    run = tmp_path / "run"
    start_training(config, run, device="cpu")
    fitted = run_config(run)
    assert isinstance(fitted, ScalorConfig)
    assert fitted.model.frame == (40, 48)
    assert len(list((run / "images").iterdir())) == 2
    program = load_run(run, torch.device("cpu"))
    scene = imagine(program, videos=2, frames=2, seed=0)
    assert scene.background.shape[-2:] == (16, 16)
    whole = program.for_size((40, 48))
    assert infer(whole.model, whole.guide, torch.rand(1, 2, 1, 40, 48)).image.shape[-1] == 48
