"""Priors trained alone: on the program's own density, and nothing else moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from conftest import Build, Pair
from pyro import poutine
from tiny import Square, fresh
from torch import Tensor

from scalor_ppl.errors import UserError
from scalor_ppl.nn.mixtures import Product
from scalor_ppl.programs import PartRecord, Program, TrainsParts, require
from scalor_ppl.scalor import prior_training
from scalor_ppl.scalor.histories import Moment, chosen, density_by_part, drawn, joined
from scalor_ppl.scalor.prior_training import train_priors
from scalor_ppl.scalor.priors import DynamicsPropagation, MixtureBackground, MixtureDiscovery
from scalor_ppl.scalor.priors.bodies import Body
from scalor_ppl.scalor.priors.contacts import Collisions, Walls
from scalor_ppl.scalor.priors.dynamics import Filtered
from scalor_ppl.scalor.priors.futures import LEAST_CHANCE, Futures
from scalor_ppl.scalor.priors.pairs import PairForces
from scalor_ppl.scalor.program import ScalorProgram
from scalor_ppl.scalor.slots import Objects, Trackers


def with_priors(pair: Pair, new: bool) -> None:
    if new:
        pair.model.discovery = MixtureDiscovery(pair.model.config)
        pair.model.propagation = DynamicsPropagation(pair.model.config)
        pair.model.background = MixtureBackground(pair.model.config)


@pytest.mark.parametrize("new", [False, True])
@torch.no_grad()
def test_the_density_of_a_history_is_that_of_the_program(build: Build, new: bool) -> None:
    pair = build(presence="hard", background="vae", discovery_rate=0.3, proposals=3, grid=(2, 3))
    with_priors(pair, new)
    video = pair.video(4, 4)
    torch.manual_seed(1)
    guided = poutine.trace(pair.guide).get_trace(video)
    torch.manual_seed(1)
    history = drawn(pair.model, pair.guide, video)
    traced = poutine.trace(poutine.replay(pair.model, trace=guided)).get_trace(video)
    traced.compute_log_prob()
    expected: dict[str, Tensor] = {}
    for name, site in traced.nodes.items():
        if site["type"] != "sample" or not name.startswith("z_"):
            continue
        part = "background" if "bg" in name else "discovery" if "disc" in name else "propagation"
        found = site["log_prob"]
        if part == "discovery" and "pres" not in name:
            # Standard normal, if absent: that is left out.
            there = guided.nodes[f"z_pres_{name.split('_', 2)[2]}"]["value"]
            value = guided.nodes[name]["value"]
            absent = dist.Normal(0.0, 1.0).log_prob(value)
            absent = absent if absent.dim() == 2 else absent.sum(-1)
            found = found - absent * (1 - there)
        expected[part] = expected.get(part, 0.0) + found.sum(-1)
    assert any(moment.proposed.presence.any() for moment in history)
    for part, value in density_by_part(pair.model, history).items():
        torch.testing.assert_close(value, expected[part], atol=2e-3, rtol=1e-4)


@torch.no_grad()
def test_histories_are_chosen_and_joined_by_clip(build: Build) -> None:
    pair = build(presence="hard", discovery_rate=0.3)
    with_priors(pair, True)
    pair.model.background = None
    first, second = (drawn(pair.model, pair.guide, pair.video(n, 3, n)) for n in (2, 3))
    apart = [density_by_part(pair.model, part)["propagation"] for part in (first, second)]
    both = joined([first, second])
    rows = torch.tensor([4, 0, 2])
    found = density_by_part(pair.model, chosen(both, rows))["propagation"]
    torch.testing.assert_close(found, torch.cat(apart)[rows])


def a_program(folder: Path, **phase: Any) -> Program:
    """One that finds the square, with a phase for its priors."""
    settings = {"steps": 60, "clips": 24, "frames": 6, "batch": 8, **phase}
    program = fresh(folder / "run", train={"priors": settings})
    presence: Any = program.guide.proposal.presence[-1]
    presence.bias.data.fill_(1.0)  # untrained, it finds nothing
    return program


def trained_alone(program: Program) -> tuple[Program, PartRecord]:
    assert isinstance(program, ScalorProgram)
    return train_priors(program, program.config, Square(), lambda *told: None)


def test_priors_come_nearer_to_the_draws_and_nothing_else_moves(tmp_path: Path) -> None:
    program = a_program(tmp_path)
    before = {name: value.clone() for name, value in program.model.state_dict().items()}
    told: list[tuple[int, int]] = []
    able = require(program, TrainsParts, "test")
    trained, record = able.with_trained_priors(
        program.config, Square(), lambda n, of, text: told.append((n, of))
    )
    assert sum(record.after.values()) < sum(record.before.values()) - 5
    assert (record.steps, record.clips, record.frames) == (60, 24, 6)
    assert told[0] == (0, 24)
    assert told[-1] == (60, 60)
    after = trained.model.state_dict()
    kept = [name for name in before if not name.startswith(("discovery", "propagation"))]
    assert kept
    assert all(torch.equal(before[name], after[name]) for name in kept)
    guide = zip(program.guide.parameters(), trained.guide.parameters(), strict=True)
    assert all(torch.equal(*pair) for pair in guide)
    chosen_priors = trained.config.prior.model_dump()  # type: ignore[attr-defined]
    assert chosen_priors["discovery"] == "mixture"
    assert isinstance(trained.model.propagation, DynamicsPropagation)
    assert not trained.model.propagation.together

    # Once more: they go on from where they are.
    further, again = trained_alone(trained)
    assert sum(again.after.values()) < sum(record.after.values()) + 1
    assert sum(again.before.values()) == pytest.approx(sum(record.after.values()), abs=3)
    assert type(further.model.discovery) is MixtureDiscovery


@pytest.mark.parametrize(
    ("own", "asked", "then"),
    [
        ("velocity", "dynamics", "velocity"),
        ("momentum", "dynamics", "dynamics"),  # it is what `fit` tracks with
        ("momentum", "momentum", "momentum"),
    ],
)
def test_a_prior_that_was_chosen_stays(tmp_path: Path, own: str, asked: str, then: str) -> None:
    settings = {"steps": 4, "clips": 8, "frames": 3, "batch": 4, "propagation": asked}
    chosen_prior = {"propagation": own}
    program = fresh(tmp_path / "run", prior=chosen_prior, train={"priors": settings})
    presence: Any = program.guide.proposal.presence[-1]
    presence.bias.data.fill_(1.0)
    trained, _ = trained_alone(program)
    assert trained.config.prior.model_dump()["propagation"] == then  # type: ignore[attr-defined]
    assert trained.config.prior.model_dump()["discovery"] == "mixture"  # type: ignore[attr-defined]


def test_the_papers_own_priors_can_be_trained_alone(tmp_path: Path) -> None:
    names = {"discovery": "constant", "propagation": "recurrent", "background": "recurrent"}
    program = a_program(tmp_path, **names)
    trained, record = trained_alone(program)
    assert record.after["propagation"] < record.before["propagation"]
    assert trained.config == program.config


def test_a_program_that_finds_nothing_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blind(model: Any, guide: Any, *inputs: Tensor) -> list[Moment]:
        found = drawn(model, guide, *inputs)
        nothing = [torch.zeros_like(moment.proposed.presence) for moment in found]
        return [
            moment._replace(proposed=moment.proposed._replace(presence=none))
            for moment, none in zip(found, nothing, strict=True)
        ]

    program = a_program(tmp_path)
    monkeypatch.setattr(prior_training, "drawn", blind)
    with pytest.raises(UserError, match="finds nothing in square"):
        trained_alone(program)


# ---------------------------------------------------------------------- dynamics


def on_average(ahead: Futures) -> Tensor:
    """The centre ``[..., 2]`` on average over what may come."""
    return (ahead.log_chance.exp()[..., None] * ahead.centre).sum(-2)


def seen_at(places: Tensor, config: Any) -> Trackers:
    """Trackers of objects at places ``[B, K, 2]`` whose looks are nothing."""
    shape = places.shape[:2]
    where = torch.cat((places, torch.full_like(places, 0.2)), -1)
    nothing = torch.zeros(*shape, config.what)
    objects = Objects(
        torch.ones(shape), where, torch.zeros_like(where), torch.zeros(shape), nothing,
        torch.zeros(*shape, 0), where,
    )  # fmt: skip
    alive = torch.ones(shape, dtype=torch.bool)
    ids = torch.arange(shape[1]).expand(shape)
    return Trackers(objects, alive, ids, ~alive, ids[:, 0], ids, ids.flatten())


@torch.no_grad()
def test_velocities_are_filtered_before_anything_is_learned(build: Build) -> None:
    config = build().model.config
    prior = DynamicsPropagation(config)
    for part in (prior.push, prior.pairs.network, prior.trust):
        for parameter in part.parameters():
            parameter.zero_()
    torch.manual_seed(0)
    start, pace = torch.rand(64, 1, 2) - 0.5, 0.01 * torch.randn(64, 1, 2)
    noise = 0.02 * torch.randn(9, 64, 1, 2)
    frames = [start + t * pace + noise[t] for t in range(9)]
    state = prior.initial((64, 1))
    for place in frames:
        state = prior.update(state, seen_at(place, config))
    known = Filtered(*state.split(prior.widths, -1))
    truth = start + 9 * pace
    filtered = (on_average(known.ahead) - truth).square().mean().sqrt()
    extrapolated = (2 * frames[-1] - frames[-2] - truth).square().mean().sqrt()
    # The deviations of a line through nine points, and of one through the last two.
    assert filtered < 0.02 * 1.1
    assert extrapolated > 0.02 * 1.8


@torch.no_grad()
def test_pair_forces_turn_with_the_pair_and_act_on_live_neighbours_only() -> None:
    torch.manual_seed(0)
    forces = PairForces(5)
    for parameter in forces.network.parameters():
        parameter.mul_(2)
    place, velocity, rest = torch.randn(2, 4, 2), torch.randn(2, 4, 2), torch.randn(2, 4, 5)
    alive = torch.tensor([[True, True, True, False]] * 2)
    angle = torch.tensor(0.7)
    turn = torch.stack((angle.cos(), -angle.sin(), angle.sin(), angle.cos())).view(2, 2)
    body = Body(torch.zeros(2, 4, 2), torch.full((2, 4, 1), 0.36))
    found = forces(place, velocity, body, rest, alive)
    turned = forces(place @ turn.T, velocity @ turn.T, body, rest, alive)
    torch.testing.assert_close(turned.velocity, found.velocity @ turn.T, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(turned.position, found.position @ turn.T, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(turned.message, found.message, atol=1e-4, rtol=1e-4)
    assert (found.velocity[:, 3] == 0).all()
    gone = place.clone()
    gone[:, 3] += 1.0
    same = forces(gone, velocity, body, rest, alive)
    torch.testing.assert_close(same.velocity[:, :3], found.velocity[:, :3])
    assert found.velocity[:, :3].abs().max() > 0.1


def test_dynamics_learn_a_wall(build: Build) -> None:
    # Objects run to and fro between two walls: constant velocity is wrong by far at each.
    config = build().model.config
    torch.manual_seed(0)
    prior = DynamicsPropagation(config)
    optimizer = torch.optim.Adam(prior.parameters(), 5e-3)

    def course(videos: int) -> Tensor:
        phase = torch.rand(videos, 1, 2) * 4 + 0.12 * torch.arange(12)[:, None, None, None]
        return 0.8 * (1 - (phase % 4 - 2).abs())

    def error(places: Tensor) -> tuple[Tensor, Tensor]:
        state = prior.initial((places.shape[1], 1))
        errors, naive = [], []
        for t in range(len(places) - 1):
            state = prior.update(state, seen_at(places[t], config))
            if t >= 2:
                ahead = on_average(prior.filtered(state).ahead)
                errors.append((ahead - places[t + 1]).abs())
                naive.append((2 * places[t] - places[t - 1] - places[t + 1]).abs())
        return torch.stack(errors).mean(), torch.stack(naive).mean()

    for _ in range(100):
        loss, _ = error(course(32))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    learned, naive = error(course(128))
    assert learned < 0.5 * naive


def test_elastic_discs_come_out_as_simulated() -> None:
    # Two discs of equal mass meet head on and off the middle, within one frame.
    collisions = Collisions(3)
    with torch.no_grad():
        *_, bias = collisions.odds.parameters()
        bias.fill_(20.0)  # they collide
    offset = torch.tensor([[[[1.5, 0.0]], [[1.5, 0.5]], [[1.5, 1.2]]]])
    velocity = torch.tensor([-1.0, 0.0]).expand(1, 3, 1, 2)
    rest = torch.zeros(1, 3, 3)
    half = torch.full((1, 3, 1), 0.5)
    found, chance = collisions(offset, velocity, half, half[:, :, None], rest, rest[:, :, None])
    # Head on: contact at half of the frame, and all of the velocity is handed over.
    torch.testing.assert_close(found.velocity[0, 0], torch.tensor([-1.0, 0.0]))
    torch.testing.assert_close(found.position[0, 0], torch.tensor([-0.5, 0.0]))
    # Off the middle: along the line of centres at contact, x = sqrt(1 - 1/4).
    line = torch.tensor([0.75**0.5, 0.5])
    torch.testing.assert_close(found.velocity[0, 1], -line[0] * line)
    moment = 1.5 - 0.75**0.5
    torch.testing.assert_close(found.position[0, 1], -(1 - moment) * line[0] * line)
    # Past each other.
    assert (found.velocity[0, 2] == 0).all()
    torch.testing.assert_close(chance[0, :, 0], torch.tensor([1.0, 1.0, 0.0]))
    (found.velocity.sum() + chance.sum()).backward()
    assert all(torch.isfinite(p.grad).all() for p in collisions.parameters() if p.grad is not None)


def test_which_discs_pass_through_is_learned_from_their_looks(build: Build) -> None:
    """Of four meetings one is of two of a kind, and only these collide."""
    model = build(presence="hard").model
    config = model.config
    torch.manual_seed(0)
    prior = DynamicsPropagation(config)
    # As the phase trains: without the cycle and the clip, rounding decides how it ends.
    optimizer = torch.optim.Adam(prior.parameters(), 5e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=240, pct_start=0.1)
    alike = torch.arange(56) % 4 == 0
    chance = torch.zeros(56)
    for _ in range(240):
        kinds = torch.stack((torch.ones(56), torch.where(alike, 1.0, -1.0)), 1)
        kinds = kinds * torch.where(torch.rand(56, 1) < 0.5, 1.0, -1.0)
        start = 0.5 + 0.03 * torch.rand(56)
        # Anywhere: a place where things turn round is no collision.
        middle = 0.6 * torch.rand(56, 1, 2) - 0.3
        before: Trackers | None = None
        state, density = prior.initial((56, 2)), torch.zeros(())
        for t in range(7):
            # Half of their distance; they touch at the sum of their sides.
            apart = start - 0.06 * t
            apart = torch.where(alike & (apart < 0.2), 0.4 - apart, apart)
            line = torch.stack((apart, -apart), 1)
            places = middle + torch.stack((line, torch.zeros_like(line)), -1)
            now = seen_at(places, config)
            what = kinds[..., None].expand(-1, -1, config.what)
            now = now._replace(objects=now.objects._replace(what=what))
            if before is not None and t > 2:
                moved = (now.objects.where - before.objects.where)[..., :2] / prior.step
                where = prior(model.presence, state, before).where
                assert isinstance(where, Product)
                density = density + where.parts[0].log_prob(torch.atanh(moved)).mean()
                known = Filtered(*state.split(prior.widths, -1)).ahead
                told = known.log_chance[:, 0, 1].detach().exp()
                chance = torch.where(told > LEAST_CHANCE, told, chance)
            state, before = prior.update(state, now), now
        optimizer.zero_grad()
        (-density).backward()
        torch.nn.utils.clip_grad_norm_(prior.parameters(), prior_training.CLIP)
        optimizer.step()
        schedule.step()
    assert chance[alike].min() > 0.8
    assert chance[~alike].max() < 0.2


def test_a_wall_gives_back_what_its_strength_says() -> None:
    walls = Walls(torch.tensor([4.0, 4.0]))
    with torch.no_grad():
        walls.reach.start.fill_(1.0)
        # Right: elastic; top: none.
        walls.strength.put(torch.tensor([[0.0, -20.0], [20.0, 0.0]]))
    place = torch.tensor([[[2.8, 0.0], [0.0, -2.9], [1.0, 1.0]]])
    velocity = torch.tensor([[[0.5, 0.1], [0.0, -0.5], [0.5, 0.5]]])
    found, chance = walls(place, velocity, torch.ones(1, 3, 2))
    torch.testing.assert_close(chance[0, :, 0], torch.tensor([0.5, 0.5, 0.0]))
    torch.testing.assert_close(found.position[0, 0], torch.tensor([-0.6, 0.0]))
    torch.testing.assert_close(found.velocity[0, 0], torch.tensor([-1.0, 0.0]))
    assert found.position[0, 1:].abs().max() < 1e-6
