"""A decoder trained alone: all else as it is, and painted as the model paints."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Build
from tiny import Square, fresh

from scalor_ppl.inference.posterior import infer
from scalor_ppl.scalor import ScalorConfig
from scalor_ppl.scalor.decoder_training import (
    composed,
    decoded,
    frames_of,
    train_decoder,
    unevenness,
)
from scalor_ppl.scalor.histories import drawn
from scalor_ppl.scalor.prior_training import Draws


def test_a_finer_decoder_is_trained_with_everything_else_as_it_is(tmp_path: Path) -> None:
    settings = {"steps": 150, "clips": 24, "frames": 3, "batch": 8}
    program = fresh(tmp_path / "run", train={"decoder": settings})
    presence: Any = program.guide.proposal.presence[-1]
    presence.bias.data.fill_(3.0)
    assert isinstance(program.config, ScalorConfig)
    finer = program.config.with_model(glimpse=(9, 10), occlusion=2.0)
    assert isinstance(finer, ScalorConfig)
    trained, record = train_decoder(program, finer, Square(), lambda *told: None)
    assert record.after["mse"] < 0.9 * record.before["mse"]
    assert isinstance(trained.config, ScalorConfig)
    assert trained.config.model.glimpse == (9, 10)
    assert trained.config.model.occlusion == 2.0
    assert trained.config.guide.glimpse == (6, 6)  # what it reads stays
    guide = zip(program.guide.parameters(), trained.guide.parameters(), strict=True)
    assert all(torch.equal(*pair) for pair in guide)
    assert trained.model.decode(torch.zeros(1, 2, 4)).shape == (1, 2, 4, 9, 10)
    scene = infer(trained.model, trained.guide, torch.rand(2, 3, 3, 16, 16))
    assert torch.isfinite(scene.image).all()
    plain = finer.train.decoder.model_copy(update={"sharpness": 0.0})
    smooth = finer.model_copy(update={"train": finer.train.model_copy(update={"decoder": plain})})
    _, without = train_decoder(program, smooth, Square(), lambda *told: None)
    gap, gap_without = (abs(1 - each.after["sharpness"]) for each in (record, without))
    assert gap < gap_without, (gap, gap_without)


def test_backgrounds_are_behind_what_a_decoder_is_trained_on(build: Build) -> None:
    pair = build(background="vae", presence="hard", discovery_rate=0.4)
    video = pair.video(2, 3)
    history = drawn(pair.model, pair.guide, video)
    frames = frames_of(pair.program, Draws(history, video, None))
    with torch.no_grad():
        found = composed(pair.program, frames, decoded(pair.program, frames)).image
        _, mask, foreground = pair.decoded(history)
        codes = torch.stack([m.backdrop for m in history if m.backdrop is not None], 1)
        expected = foreground + (1 - mask) * pair.model.decode_background(codes)
    torch.testing.assert_close(found, expected.flatten(0, 1), atol=1e-5, rtol=1e-4)


def test_frames_without_objects_are_painted_and_teach_nothing(build: Build) -> None:
    pair = build(presence="hard", discovery_rate=0.4)
    video = pair.video(2, 2)
    frames = frames_of(pair.program, Draws(drawn(pair.model, pair.guide, video), video, None))
    empty = frames._replace(presence=torch.zeros_like(frames.presence))
    image = composed(pair.program, empty, decoded(pair.program, empty)).image
    torch.testing.assert_close(image, torch.zeros_like(image))
    image.sum().backward()
    slopes = [weight.grad for weight in pair.model.decoder.parameters()]
    assert all(slope is None or not slope.any() for slope in slopes)


def test_how_uneven_colours_are() -> None:
    glimpse = torch.zeros(1, 2, 4, 4, 4)
    glimpse[0, 0, :3] = 0.7
    glimpse[0, 0, 3, 1:3] = 1.0  # of a mask it says nothing
    where = torch.tensor([[[0.0, 0.0, 0.25, 0.5], [0.5, 0.5, 0.25, 0.5]]])
    assert unevenness(glimpse, where, (16, 32)).item() == 0
    # Half of the second object's glimpse is red: four differences of 1, of pixels of 4 x 8 / 16.
    glimpse[0, 1, 0, :, 2:] = 1.0
    assert unevenness(glimpse, where, (16, 32)).item() == pytest.approx(4 * 0.125 * 512 / 16)


def test_an_even_colour_leaves_the_rim_to_the_mask(tmp_path: Path) -> None:
    settings = {"steps": 150, "clips": 24, "frames": 3, "batch": 8}
    program = fresh(tmp_path / "run", train={"decoder": settings})
    presence: Any = program.guide.proposal.presence[-1]
    presence.bias.data.fill_(3.0)
    found = []
    for weight in (0.0, 1.0):
        assert isinstance(program.config, ScalorConfig)
        decoder = program.config.train.decoder.model_copy(update={"evenness": weight})
        train = program.config.train.model_copy(update={"decoder": decoder})
        config = program.config.model_copy(update={"train": train})
        trained, _ = train_decoder(program, config, Square(), lambda *told: None)
        with torch.no_grad():
            glimpse = trained.model.decode(torch.randn(1, 20, 4, generator=a_seed()))
        where = torch.full((1, 20, 4), 0.5)
        found.append(unevenness(glimpse, where, (16, 16)).item())
    assert found[1] < 0.5 * found[0]


def a_seed() -> torch.Generator:
    return torch.Generator().manual_seed(0)
