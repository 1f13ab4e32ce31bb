"""What dynamics foresee of several frames: a bias is told, and nothing is put right in between."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from conftest import Build
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, StudentT

from scalor_ppl.nn.layers import positive
from scalor_ppl.scalor.histories import MOVES, Moment, drawn, foreseen, settled_moves
from scalor_ppl.scalor.overshooting import AHEAD, KNOWN, TAILS, Overshooting, balance, settling
from scalor_ppl.scalor.priors import DynamicsPropagation
from scalor_ppl.scalor.priors.filtering import Filtered
from scalor_ppl.scalor.priors.first_movement import FIRST
from scalor_ppl.scalor.slots import Latents, Objects, Trackers

CLIPS, FRAMES, PACE = 3, 8, 0.02


def without_pushes(model: Any) -> DynamicsPropagation:
    prior = DynamicsPropagation(model.config)
    for part in (prior.push, prior.pairs.network, prior.trust, prior.change):
        for parameter in part.parameters():
            torch.nn.init.zeros_(parameter)
    model.propagation = prior
    return prior


def straight(model: Any, late: float = 0.0) -> list[Moment]:
    """One object a clip goes to the right, and from the frame after KNOWN on is ahead by `late`."""
    history = []
    for t in range(FRAMES):
        x = PACE * t - 0.1 + late * (t > KNOWN)
        move = torch.zeros(4)
        move[0] = (PACE + late * (t == KNOWN + 1)) / torch.as_tensor(model.config.max_step).max()
        where = torch.tensor([x, 0.0, 0.2, 0.2]).expand(CLIPS, 1, 4)
        nothing = torch.zeros(CLIPS, 1, model.config.what)
        flat = torch.zeros(CLIPS, 1)
        objects = Objects(
            flat + 1,
            where,
            torch.atanh(move).expand_as(where),
            flat,
            nothing,
            torch.zeros(CLIPS, 1, 0),
            where,
        )
        alive, ids = flat < 1, flat.long()
        trackers = Trackers(objects, alive, ids, ids < 0, ids[:, 0], ids, ids)
        proposed = Latents(torch.zeros(CLIPS, model.proposals), where, flat, nothing)
        history.append(Moment(trackers, None, None, proposed, None))
    return history


def of_a_guide(build: Build) -> tuple[Any, list[Moment]]:
    """A model with dynamics, and what its guide draws."""
    torch.manual_seed(0)
    pair = build(presence="hard", discovery_rate=0.3, proposals=3, grid=(2, 3))
    pair.model.propagation = DynamicsPropagation(pair.model.config)
    return pair.model, drawn(pair.model, pair.guide, pair.video(4, 6))


def in_one_slot(build: Build) -> Any:
    return build(presence="hard", capacity=1).model


def nats(width: Tensor, error: Tensor) -> Tensor:
    return -StudentT(TAILS, 0.0, width).log_prob(error).sum()


def test_nats_are_those_of_the_errors_ahead(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    model = in_one_slot(build)
    prior = without_pushes(model)
    overshooting = Overshooting(prior)
    # Always from the frame after which the velocity of the object is known.
    monkeypatch.setattr(torch, "randint", lambda *asked: torch.tensor(KNOWN))
    ahead = min(AHEAD, FRAMES - 1 - KNOWN)
    widths = positive(overshooting.widths())[:ahead]
    for late in (0.0, 0.02, -0.015):
        history = straight(model, late)
        known = foreseen(model, history)
        found = overshooting(model, history, known)
        # It goes on as the filter has it when it starts, and is never put right.
        start = prior.filtered(known[KNOWN].state)
        error = torch.zeros_like(widths)
        for n, moment in enumerate(history[KNOWN + 1 :]):
            seen, way = moment.trackers.objects, start.velocity[0, 0]
            place = start.centre[0, 0] + (n + 1) * prior.step * way
            error[n, :2] = (seen.where[0, 0, :2] - place) / prior.step
            error[n, 2] = way.norm() - torch.tanh(seen.raw[0, 0, :2]).norm()
        assert error[:, 0].mean().item() == pytest.approx(late / prior.step[0].item(), abs=5e-3)
        assert found.item() == pytest.approx(nats(widths, error).item() / ahead, abs=2e-4)
    assert not prior.blind
    found.backward()
    assert overshooting.widths.change.grad is not None
    assert overshooting.widths.change.grad[:ahead].abs().min() > 0
    assert prior.push[-1].bias.grad.abs().max() > 0  # type: ignore[union-attr, operator]
    assert "prior" not in dict(overshooting.named_children())


@torch.no_grad()
def test_what_is_seen_puts_nothing_right_while_it_is_blind(build: Build) -> None:
    model = in_one_slot(build)
    prior = without_pushes(model)
    history = straight(model)
    state, trackers = foreseen(model, history)[KNOWN]
    objects = history[KNOWN + 1].trackers.objects
    off = objects.where + torch.tensor([0.004, -0.003, 0.0, 0.0])
    looks = objects.what + 0.3
    seen = trackers._replace(objects=objects._replace(where=off, what=looks))
    sighted = Filtered(*prior.update(state, seen).split(prior.widths, -1))
    prior.blind = True
    blind = Filtered(*prior.update(state, seen).split(prior.widths, -1))
    before = Filtered(*state.split(prior.widths, -1))
    step = before.velocity * prior.step
    torch.testing.assert_close(blind.velocity, before.velocity, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(blind.centre, before.centre + step, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(blind.rest, before.rest)
    assert (sighted.velocity - blind.velocity).abs().max() > 1e-3
    assert (sighted.rest - blind.rest).abs().max() > 1e-3


def test_what_is_foreseen_to_leave_is_not_followed(build: Build) -> None:
    """Of those that come to an edge the slow ones are still there."""
    model = in_one_slot(build)
    prior = without_pushes(model)
    overshooting = Overshooting(prior)
    history = straight(model)
    here = overshooting(model, history, foreseen(model, history))
    assert here.item() != 0
    beyond = []
    for moment in history:
        objects = moment.trackers.objects
        where = objects.where + torch.tensor([0.9, 0.0, 0.0, 0.0])
        trackers = moment.trackers._replace(objects=objects._replace(where=where))
        beyond.append(moment._replace(trackers=trackers))
    assert overshooting(model, beyond, foreseen(model, beyond)).item() == 0


def test_velocities_that_new_objects_settle_at_are_told(build: Build) -> None:
    """As a mixture of the likely velocities has them, as sharp as these lie dense."""
    model, history = of_a_guide(build)
    prior = model.propagation
    known = foreseen(model, history)
    wanted, number = torch.zeros(()), 0
    kinds = prior.first.velocity.detach()
    apart = (kinds[:, None] - kinds).norm(dim=-1) + 1e9 * torch.eye(FIRST)
    width = apart.amin(-1).median() / 2
    for t, (state, trackers) in enumerate(known):
        velocity = settled_moves(history[t].trackers, history[t:])
        for video, slot in trackers.alive.nonzero().tolist():
            now = prior.filtered(state[video : video + 1, slot : slot + 1])
            if now.age.item() > 1 or velocity[video, slot].isnan().any():
                continue
            first = prior.first_moves(now)
            mixture = MixtureSameFamily(
                Categorical(logits=first.logits[0, 0, :FIRST]),
                Independent(Normal(first.loc[0, 0, :FIRST], width), 1),
            )
            wanted, number = wanted - mixture.log_prob(velocity[video, slot]), number + 1
    assert number > 5
    found = settling(model, history, known)
    torch.testing.assert_close(found, MOVES * wanted / 4, atol=1e-3, rtol=1e-4)
    found.backward()
    assert prior.first.velocity.grad is not None
    assert prior.first.velocity.grad.abs().sum() > 0
    assert prior.first.noise.change.grad is None


@torch.no_grad()
def test_first_velocities_are_on_average_as_likely_as_draws_say(build: Build) -> None:
    """A network that makes some too likely is put right, and what lies astray stays as it is."""
    model, history = of_a_guide(build)
    prior = model.propagation
    first, told = prior.first, torch.randn(3000, 6 + prior.rest)
    last = first.network[-1]
    assert isinstance(last, nn.Linear)
    bias = last.bias
    speeds = first.velocity.norm(dim=-1)
    bias[:FIRST] -= 3 * speeds
    before = first(told).logits
    velocity = first.velocity[torch.randint(FIRST, (3000,))]
    truth = velocity.norm(dim=-1).mean()
    assert (chances(before) * speeds).sum() < 0.7 * truth
    first.balance(before, velocity)
    after = first(told).logits
    torch.testing.assert_close((chances(after) * speeds).sum(), truth, rtol=0.02, atol=0)
    share = [logits.softmax(-1)[:, FIRST:].sum(-1).mean() for logits in (before, after)]
    torch.testing.assert_close(*share, rtol=0.02, atol=0)
    # Of draws, in batches; none of them move where there is only one frame.
    whole = bias.clone()
    balance(model, [history])
    assert not torch.equal(bias, whole)
    whole = bias.clone()
    balance(model, [history[:1]])
    assert torch.equal(bias, whole)


def chances(logits: Tensor) -> Tensor:
    """Of the velocities, on average."""
    return logits[:, :FIRST].softmax(-1).mean(0)
