"""Refinement by gradient: nearer to the frame, still a posterior, off while training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Build, Pair
from pyro import poutine
from tiny import ALONE, CPU, CommandLine, run_beside_clips
from torch import Tensor

from scalor_ppl.inference.posterior import follow, infer
from scalor_ppl.models.scalor import Latents
from scalor_ppl.programs import Memory
from scalor_ppl.scalor import ScalorProgram, descent
from scalor_ppl.scalor.refinement import Guess, refine
from scalor_ppl.scalor.settings import GuideConfig
from scalor_ppl.scalor.slots import Trackers
from scalor_ppl.training.runs import load_run

PROGRAMS: list[dict[str, Any]] = [
    {},
    {"presence": "hard", "proposals": 3},
    {"background": "vae"},
    {"background": "template", "guide": {"difference": True}},
    {"guide": {"mask": "everywhere", "attention": False}, "proposals": 2},
    {"perspective": 0.5},
    {"occlusion": 2.0, "proposals": 3},
]


def refining(build: Build, steps: int, settings: dict[str, Any]) -> Pair:
    """A tiny program with two objects or so in every frame, ready for inference."""
    settings = dict(settings)
    guide = settings.pop("guide", {}) | {"refine": steps}
    pair = build(guide=guide, rules=False, **settings)
    with torch.no_grad():
        pair.guide.proposal.presence[-1].bias.fill_(1.0)  # type: ignore[union-attr]
    pair.model.eval()
    pair.guide.eval()
    return pair


def guessed(pair: Pair, presence: Tensor, where: Tensor) -> tuple[Guess, Trackers]:
    """Proposals of a first frame with random looks, as wide as the prior, and their trackers."""
    looks = torch.randn(*presence.shape, pair.model.config.what)
    latents = Latents(presence, where, torch.zeros_like(presence), looks)
    after = pair.model.updated_trackers(None, None, *latents)
    return Guess(latents, torch.ones_like(where), torch.ones_like(looks)), after


def alike(pair: Pair, frames: int) -> Tensor:
    """Frames that resemble each other, so that objects live on."""
    still = pair.video(2, 1).expand(-1, frames, -1, -1, -1)
    return still * 0.9 + pair.video(2, frames, seed=1) * 0.1


@pytest.mark.parametrize("settings", PROGRAMS, ids=str)
def test_the_frames_are_explained_better(build: Build, settings: dict[str, Any]) -> None:
    errors = []
    for steps in (0, 5, 40):
        pair = refining(build, steps, settings)
        video = alike(pair, 3)
        scene = infer(pair.model, pair.guide, video)
        assert all(each.alive.any() for each in scene.trackers)
        errors.append((scene.image - video).square().mean().item())
    assert errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize("settings", PROGRAMS, ids=str)
def test_training_knows_nothing_of_it(build: Build, settings: dict[str, Any]) -> None:
    traces = []
    for steps in (0, 5):
        pair = refining(build, steps, settings)
        pair.guide.train()
        torch.manual_seed(3)
        traces.append(poutine.trace(pair.guide).get_trace(alike(pair, 2)))
    one, other = traces
    assert list(one.nodes) == list(other.nodes)
    for name in one.stochastic_nodes:
        assert torch.equal(one.nodes[name]["value"], other.nodes[name]["value"]), name


@pytest.mark.parametrize("settings", PROGRAMS, ids=str)
def test_chunks_give_what_the_whole_video_gives(build: Build, settings: dict[str, Any]) -> None:
    pair = refining(build, 5, settings)
    video = alike(pair, 5)
    whole = infer(pair.model, pair.guide, video)
    memory: Memory | None = None
    images = []
    for chunk in video.split([2, 1, 2], 1):
        scene, memory, _ = follow(pair.program, chunk, memory)
        images.append(scene.image)
    torch.testing.assert_close(torch.cat(images, 1), whole.image, atol=1e-4, rtol=1e-4)


def test_videos_of_a_batch_do_not_know_of_each_other(build: Build) -> None:
    pair = refining(build, 5, {"background": "vae"})
    video = alike(pair, 3)
    together = infer(pair.model, pair.guide, video).image
    alone = torch.cat([infer(pair.model, pair.guide, each[None]).image for each in video])
    torch.testing.assert_close(alone, together, atol=1e-4, rtol=1e-4)


def test_it_is_a_function_of_the_frame(build: Build) -> None:
    """In the first frame nothing was sampled before: posteriors are the same for every draw."""
    pair = refining(build, 5, {"presence": "hard"})
    found = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        found.append(poutine.trace(pair.guide).get_trace(alike(pair, 1)).nodes)
    one, other = found
    presence = one["z_pres_disc_0"]["value"]
    same = presence == other["z_pres_disc_0"]["value"]
    assert (same & (presence == 1)).any()
    for site in ("z_where_disc_0", "z_what_disc_0"):
        assert not torch.equal(one[site]["value"], other[site]["value"])
        assert torch.equal(one[site]["fn"].mean[same], other[site]["fn"].mean[same])


def test_a_place_is_found_again(build: Build) -> None:
    """Objects rendered by the model itself, guessed beside where they are."""
    pair = refining(build, 0, {"grid": (1, 1), "capacity": 1, "object_width": (6.0, 8.0)})
    model = pair.model
    torch.manual_seed(1)
    true = Latents(
        torch.full((3, 1), 9.0), torch.zeros(3, 1, 4), torch.zeros(3, 1), torch.randn(3, 1, 3)
    )
    trackers = model.updated_trackers(None, None, *true)
    image = model.rendered(trackers).image[:, 0].detach()
    beside = true._replace(where=true.where + torch.tensor([0.1, -0.1, 0.0, 0.0]))
    after = model.updated_trackers(None, None, *beside)
    wide = Guess(beside, torch.ones(3, 1, 4), torch.ones(3, 1, 3))
    better = refine(model, image, None, None, None, wide, after, GuideConfig(refine=60))
    assert better.tracked is None
    assert better.proposed.found.all()
    left = better.proposed.where[..., :2].abs().max()
    assert left < 0.02


@pytest.mark.parametrize("occlusion", [None, 4.0])
def test_who_hides_whom_is_found(build: Build, occlusion: float | None) -> None:
    """Two objects that overlap, guessed in the wrong order; without occlusion depth stays."""
    pair = refining(build, 0, {"grid": (1, 2), "capacity": 2, "occlusion": occlusion})
    model = pair.model
    torch.manual_seed(0)
    place = torch.tensor([[[0.5, 0.0, 2.0, 2.0], [-0.5, 0.0, 2.0, 2.0]]])
    depth, looks = torch.tensor([[0.5, -0.5]]), 3 * torch.randn(1, 2, 3)
    true = Latents(torch.full((1, 2), 9.0), place, depth, looks)
    image = model.rendered(model.updated_trackers(None, None, *true)).image[:, 0].detach()
    wrong = true._replace(depth=-depth)
    spread = None if occlusion is None else torch.ones(1, 2)
    guess = Guess(wrong, torch.full((1, 2, 4), 0.1), torch.full((1, 2, 3), 0.1), spread)
    after = model.updated_trackers(None, None, *wrong)
    better = refine(model, image, None, None, None, guess, after, GuideConfig(refine=40)).proposed
    assert better.found.all()
    if occlusion is None:
        assert better.depth is None
    else:
        assert better.depth is not None
        assert better.depth[0, 0] > better.depth[0, 1]


def test_what_is_absent_is_left_alone(build: Build) -> None:
    pair = refining(build, 0, {"proposals": 3})
    torch.manual_seed(0)
    presence = torch.tensor([[9.0, -9.0, 9.0, -9.0], [-9.0, -9.0, -9.0, -9.0]])
    guess, after = guessed(pair, presence, torch.randn(2, 4, 4))
    better = refine(
        pair.model, pair.video(2, 1)[:, 0], None, None, None, guess, after, GuideConfig(refine=3)
    )
    found = better.proposed.found.squeeze(-1)
    assert found.tolist() == [[True, False, True, False], [False] * 4]
    moved = (better.proposed.where != guess.latents.where).any(-1)[found]
    assert moved.any()


def test_the_pull_of_the_networks_holds(build: Build) -> None:
    """With all the weight on the networks' posterior nothing moves from its mean."""
    pair = refining(build, 0, {})
    torch.manual_seed(0)
    guess, after = guessed(pair, torch.full((2, 4), 9.0), torch.randn(2, 4, 4))
    far = []
    for pull in (0.0, 1e6):
        config = GuideConfig(refine=40, refine_pull=pull)
        better = refine(pair.model, pair.video(2, 1)[:, 0], None, None, None, guess, after, config)
        change = (better.proposed.what - guess.latents.what) * better.proposed.found
        far.append(change.abs().max().item())
    assert far[1] < 0.05 * far[0]


def test_what_nobody_covers_pulls_less(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects before a white frame: how far they stretch depends on the pixels beside them."""
    pair = refining(build, 0, {})
    torch.manual_seed(0)
    guess, after = guessed(pair, torch.full((2, 4), 9.0), torch.zeros(2, 4, 4))
    white = torch.ones(2, 3, *pair.model.size)
    sizes = []
    for share in (0.0, 0.3, 1.0):
        monkeypatch.setattr(descent, "UNCOVERED", share)
        config = GuideConfig(refine=20, refine_pull=0.0)
        better = refine(pair.model, white, None, None, None, guess, after, config).proposed
        sizes.append(better.where[..., 2:][better.found.expand(2, 4, 2)].mean().item())
    assert sizes[0] < sizes[1] < sizes[2]


# ---------------------------------------------------------------- from the command line


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_beside_clips(tmp_path_factory)


def test_in_place_of_the_runs_own(run: Path) -> None:
    assert load_run(run, CPU).guide.config.refine == 0
    program = load_run(run, CPU, refine=4)
    assert program.guide.config.refine == 4
    assert isinstance(program, ScalorProgram)
    assert program.config.guide.refine == 4
    assert not program.guide.training


def test_evaluate_takes_it(cli: CommandLine, run: Path, tmp_path: Path) -> None:
    clips, out = run.parent / "clips.nc", tmp_path / "figures.json"
    said = cli(
        "evaluate", run, "--data", clips, "--frames", 3, "--refine", 3, "--json", out, *ALONE
    )
    assert said.code == 0, said
    assert out.is_file()
    said = cli("evaluate", run, "--data", clips, "--refine", -1, *ALONE)
    assert said.code == 2
    assert "--refine" in said.err
