"""Where a template starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Build
from PIL import Image

from scalor_ppl.data import open_source
from scalor_ppl.errors import UserError
from scalor_ppl.inference.templates import begin_template


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


def test_a_template_is_of_one_scene(build: Build, tmp_path: Path) -> None:
    model = build(background="template").model
    with pytest.raises(UserError, match="is none: use"):
        begin_template(model, open_source("moving-dsprites-vld"))
    for name in ("a", "b"):
        write_frames(tmp_path / name, np.zeros((3, 16, 16, 3), np.uint8))
    with pytest.raises(UserError, match="2 sequences of different scenes"):
        begin_template(model, open_source(tmp_path))
