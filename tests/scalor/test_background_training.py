"""A background trained alone: the bound of single frames falls, and nothing else moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Build
from tiny import Square, fresh, same

from scalor_ppl.errors import UserError
from scalor_ppl.inference.posterior import infer
from scalor_ppl.programs import Program
from scalor_ppl.scalor import ScalorConfig
from scalor_ppl.scalor.background_training import behind, bound, train_background
from scalor_ppl.scalor.histories import drawn
from scalor_ppl.scalor.prior_training import Draws
from scalor_ppl.scalor.program import ScalorProgram

SETTINGS = {"steps": 150, "clips": 24, "frames": 2, "batch": 8}


def seeing(run: Path, **model: Any) -> ScalorProgram:
    """A tiny program that finds objects at once."""
    program = fresh(run, model=model, train={"background": SETTINGS})
    presence: Any = program.guide.proposal.presence[-1]
    presence.bias.data.fill_(3.0)
    assert isinstance(program, ScalorProgram)
    return program


def train(program: ScalorProgram, **model: Any) -> tuple[Program, dict[str, Any]]:
    config = program.config.with_model(**model)
    assert isinstance(config, ScalorConfig)
    trained, record = train_background(program, config, Square(), lambda *told: None)
    return trained, record._asdict()


@pytest.mark.parametrize("numbers", [2, 5])
def test_a_background_is_trained_with_all_else_as_it_is(tmp_path: Path, numbers: int) -> None:
    program = seeing(tmp_path / "run", background="vae", background_dim=2)
    before = {part: dict(module.state_dict()) for part, module in program.parts.items()}
    trained, record = train(program, background_dim=numbers)
    # It goes on from its weights, or begins anew where there are more numbers.
    assert record["after"]["bound"] < (0.9 if numbers == 2 else 1.0) * record["before"]["bound"]
    assert record["after"]["mse"] > 0
    learned = ("background", "background_decoder")
    for part, module in trained.parts.items():
        after = module.state_dict()
        kept = {n: w for n, w in before[part].items() if n.split(".")[0] not in learned}
        assert same(kept, {n: after[n] for n in kept})
        network = "background_decoder" if part == "model" else "background"
        moved = [n for n in after if n.split(".")[0] == network and n.endswith("weight")]
        assert moved
        assert not any(torch.equal(after[n], before[part][n]) for n in moved)
    assert isinstance(trained.config, ScalorConfig)
    assert trained.config.model.background_dim == numbers
    assert trained.config.prior.background == "recurrent"
    scene = infer(trained.model, trained.guide, torch.rand(2, 3, 3, 16, 16))
    assert torch.isfinite(scene.image).all()


@torch.no_grad()
def test_frames_are_put_together_as_the_program_does(build: Build) -> None:
    pair = build(background="vae", presence="hard", discovery_rate=0.4)
    video = pair.video(2, 3)
    history = drawn(pair.model, pair.guide, video)
    frames = behind(pair.program, Draws(history, video, None))
    _, mask, foreground = pair.decoded(history)
    torch.testing.assert_close(frames.objects, foreground.flatten(0, 1), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(frames.mask, mask.flatten(0, 1), atol=1e-5, rtol=1e-4)
    # Nats: of pixels, and of z_bg under a standard normal, each against its plain sum.
    loc, scale = pair.guide.background_posterior(frames.image, None, frames.mask)
    torch.manual_seed(0)
    found = bound(pair.program, frames)
    torch.manual_seed(0)
    z_bg = loc + scale * torch.randn_like(loc)
    image = frames.objects + (1 - frames.mask) * pair.model.decode_background(z_bg[:, None])[:, 0]
    squares = (image - frames.image).square().sum((1, 2, 3))
    rate = (scale.square() + loc.square() - 1 - 2 * scale.log()).sum(-1) / 2
    torch.testing.assert_close(found.squares, squares)
    nats = squares / (2 * pair.model.config.sigma**2) + rate
    torch.testing.assert_close(found.nats, nats)


@pytest.mark.parametrize("background", ["none", "template"])
def test_a_background_without_networks_is_refused(tmp_path: Path, background: str) -> None:
    program = seeing(tmp_path / "run", background=background)
    with pytest.raises(UserError, match=f'the run has "{background}"'):
        train(program)
