"""The priors beside the paper's: their maths, and who can influence whom."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from scalor_ppl.nn.distributions import Presence, PresenceKind
from scalor_ppl.scalor.priors import (
    IndependentBackground,
    InteractionPropagation,
    LearnedDiscovery,
    MomentumPropagation,
    ObjectDistributions,
    RecurrentPropagation,
    VelocityPropagation,
)
from scalor_ppl.scalor.priors.check import made_up
from scalor_ppl.scalor.priors.interaction import relations
from scalor_ppl.scalor.priors.tables import SPEED, Table
from scalor_ppl.scalor.settings import ModelConfig
from scalor_ppl.scalor.slots import Objects, Trackers

KINDS: tuple[PresenceKind, ...] = ("relaxed", "hard")
TINY = ModelConfig(what=3, hidden=8, background_dim=2, capacity=5, grid=(2, 3), discovery_rate=0.2)


def softplus(value: float) -> float:
    return math.log1p(math.exp(value))


def put(table: Table, values: Tensor) -> None:
    """Values as if learned."""
    with torch.no_grad():
        table.change.copy_((values - table.start) / SPEED)


def every_parameter_learns(module: nn.Module, found: ObjectDistributions) -> None:
    values = [found.presence.rsample(), *(fn.rsample() for fn in found[1:])]
    sum((v * torch.randn_like(v)).sum() for v in values).backward()  # type: ignore[union-attr]
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


# ---------------------------------------------------------------------- velocity


def moving() -> Trackers:
    """Trackers of which the first two slots were there before, and the others were just found."""
    trackers = made_up(TINY)
    found = torch.tensor([False, False, True, True, True]).expand(2, 5)
    raw = trackers.objects.raw.clone()
    raw[:, 2:, :2] = 0
    return trackers._replace(
        objects=trackers.objects._replace(raw=raw),
        alive=torch.ones_like(found),
        discovered=found,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_velocity(kind: PresenceKind) -> None:
    prior = VelocityPropagation(TINY)
    trackers = moving()
    last = trackers.objects
    found = prior(Presence(kind), prior.initial((2, 5)), trackers)
    # Before training: the same movement again, all else as it was.
    torch.testing.assert_close(found.where.mean, last.raw)
    assert torch.equal(found.where.mean[:, 2:, :2], torch.zeros(2, 3, 2))
    torch.testing.assert_close(found.depth.mean, last.depth)
    torch.testing.assert_close(found.what.mean, last.what)
    torch.testing.assert_close(found.presence.logits, torch.full((2, 5), 5.0))
    narrow = softplus(-1) + 1e-3
    scale = torch.full((2, 5, 4), narrow)
    scale[:, 2:, :2] = 1 + 1e-3  # the first step of what was just found
    torch.testing.assert_close(found.where.stddev, scale, rtol=1e-4, atol=0)
    torch.testing.assert_close(found.depth.stddev, torch.full((2, 5), narrow))
    torch.testing.assert_close(found.what.stddev, torch.full((2, 5, 3), narrow))


def test_velocity_is_scaled_by_what_is_learned() -> None:
    prior = VelocityPropagation(TINY)
    put(prior.gain, torch.tensor([0.5, -1.0]))
    put(prior.survival, torch.tensor(1.0))
    put(prior.first, torch.tensor([2.0, 2.0]))
    put(prior.scale, torch.tensor([3.0] + [0.0] * 7))
    trackers = moving()
    found = prior(Presence("hard"), prior.initial((2, 5)), trackers)
    raw = trackers.objects.raw
    expected = torch.stack((raw[..., 0] / 2, -raw[..., 1]), -1)
    torch.testing.assert_close(found.where.mean[..., :2], expected)
    torch.testing.assert_close(found.presence.logits, torch.ones(2, 5))
    scale = found.where.stddev[..., 0]
    torch.testing.assert_close(scale[:, :2], torch.full((2, 2), softplus(2.0) + 1e-3))
    torch.testing.assert_close(scale[:, 2:], torch.full((2, 3), softplus(2.5413) + 1e-3))


def test_gradients_reach_velocity() -> None:
    prior = VelocityPropagation(TINY)
    every_parameter_learns(prior, prior(Presence(), prior.initial((2, 5)), moving()))


# ---------------------------------------------------------------------- momentum


def test_momentum_expects_the_last_movement_to_go_on() -> None:
    prior = MomentumPropagation(TINY)
    with torch.no_grad():
        prior.head[-1].weight.zero_()  # type: ignore[union-attr,operator]
    trackers = moving()
    found = prior(Presence(), prior.initial((2, 5)), trackers)
    torch.testing.assert_close(found.where.mean, trackers.objects.raw)
    torch.testing.assert_close(found.what.mean, trackers.objects.what)


def test_momentum_remembers_movements() -> None:
    prior = MomentumPropagation(TINY)
    trackers = moving()
    raw = trackers.objects.raw.clone()
    raw[:, 0, 0] += 1
    other = trackers._replace(objects=trackers.objects._replace(raw=raw))
    before = prior.initial((2, 5))
    one, two = prior.update(before, trackers), prior.update(before, other)
    assert (one[:, 0] != two[:, 0]).any()
    assert torch.equal(one[:, 1:], two[:, 1:])
    # The paper's prior does not see them.
    paper = RecurrentPropagation(TINY)
    before = paper.initial((2, 5))
    assert torch.equal(paper.update(before, trackers), paper.update(before, other))


# ---------------------------------------------------------------------- interaction


def meeting() -> tuple[InteractionPropagation, Tensor, Trackers]:
    """A prior, the trackers' states, and trackers of which slots 1 and 4 are dead."""
    prior = InteractionPropagation(TINY)
    trackers = made_up(TINY)
    alive = torch.tensor([True, False, True, True, False]).expand(2, 5)
    return prior, torch.randn(2, 5, 8), trackers._replace(alive=alive)


def seen(found: ObjectDistributions) -> Tensor:
    """All parameters of the distributions side by side, ``[B, K, ...]``."""
    flat = [found.presence.logits[..., None]]
    for fn in found[1:]:
        flat += [p if fn.event_dim else p[..., None] for p in (fn.mean, fn.stddev)]
    return torch.cat(flat, -1)


def test_interaction_is_equivariant_in_the_slots() -> None:
    prior, state, trackers = meeting()
    order = torch.tensor([3, 0, 4, 1, 2])
    shuffled = trackers._replace(
        objects=Objects(*(x[:, order] for x in trackers.objects)),
        alive=trackers.alive[:, order],
        discovered=trackers.discovered[:, order],
    )
    before = seen(prior(Presence(), state, trackers))
    after = seen(prior(Presence(), state[:, order], shuffled))
    torch.testing.assert_close(after, before[:, order])


def test_dead_slots_influence_nobody() -> None:
    prior, state, trackers = meeting()
    alive = trackers.alive
    other = made_up(TINY).objects
    objects = Objects(
        *(
            torch.where(alive.reshape(2, 5, *[1] * (x.dim() - 2)), x, 3 * y)
            for x, y in zip(trackers.objects, other, strict=True)
        )
    )
    changed = torch.where(alive[..., None], state, 10 * torch.randn(2, 5, 8))
    before = seen(prior(Presence(), state, trackers))
    after = seen(prior(Presence(), changed, trackers._replace(objects=objects)))
    assert torch.equal(before[alive], after[alive])
    assert not torch.equal(before, after)


def test_live_trackers_influence_each_other_within_a_video() -> None:
    prior, state, trackers = meeting()
    before = prior.message(state, trackers)
    moved = state.clone()
    moved[0, 2] += 1
    after = prior.message(moved, trackers)
    assert not torch.isclose(before[0, 0], after[0, 0]).all()
    assert torch.equal(before[1], after[1])
    # Where the other is matters too, not only what it remembers.
    where = trackers.objects.where.clone()
    where[0, 2, :2] += 0.3
    near = trackers._replace(objects=trackers.objects._replace(where=where))
    assert not torch.isclose(before[0, 0], prior.message(state, near)[0, 0]).all()


def test_a_tracker_alone_moves_as_the_recurrent_prior_says() -> None:
    prior, state, trackers = meeting()
    alone = torch.tensor([True, False, False, False, False]).expand(2, 5)
    trackers = trackers._replace(alive=alone)
    assert torch.equal(prior.message(state, trackers)[:, 0], torch.zeros(2, 8))
    found = seen(prior(Presence(), state, trackers))
    recurrent = seen(RecurrentPropagation.forward(prior, Presence(), state, trackers))
    assert torch.equal(found[:, 0], recurrent[:, 0])
    # And a video without any object has finite densities.
    nobody = trackers._replace(alive=torch.zeros_like(alone))
    assert torch.isfinite(seen(prior(Presence(), state, nobody))).all()


def test_relations() -> None:
    objects = made_up(TINY).objects
    found = relations(objects)
    i, j = objects.where[1, 0], objects.where[1, 3]
    offset = j[:2] - i[:2]
    step = torch.tanh(objects.raw[1, :, :2])
    expected = torch.cat((offset, torch.tanh(offset / (i[2:] + j[2:])), step[3] - step[0]))
    torch.testing.assert_close(found[1, 0, 3], expected)
    torch.testing.assert_close(found, -found.transpose(1, 2))


@pytest.mark.parametrize("hidden", [1, 6, 8])
def test_gradients_reach_interaction(hidden: int) -> None:
    config = TINY.model_copy(update={"hidden": hidden})
    prior = InteractionPropagation(config)
    trackers = made_up(config)._replace(alive=torch.ones(2, 5, dtype=torch.bool))
    state = prior.update(prior.update(prior.initial((2, 5)), trackers), trackers)
    every_parameter_learns(prior, prior(Presence(), state, trackers))


# ---------------------------------------------------------------------- learned discovery


def odds(rate: float) -> float:
    return math.log(rate / (1 - rate))


def learned() -> tuple[LearnedDiscovery, Tensor]:
    """A prior with maps as if learned, and the maps about their means."""
    prior = LearnedDiscovery(TINY)
    maps = torch.randn(2, 6) * 2
    put(prior.map, maps)
    put(prior.level, torch.tensor([1.5, -0.5]))
    return prior, maps - maps.mean(1, keepdim=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("frame", "row"), [(0, 0), (1, 1), (7, 1)])
def test_learned_discovery(kind: PresenceKind, frame: int, row: int) -> None:
    prior, maps = learned()
    level = (1.5, -0.5)[row]
    presence = Presence(kind)
    logits = prior(presence, (4, 6), None, frame).presence.logits
    torch.testing.assert_close(logits, (maps[row] + level + odds(0.2)).expand(4, 6))
    prior.rate = 1e-4  # what the training's schedule does
    logits = prior(presence, (4, 6), None, frame).presence.logits
    torch.testing.assert_close(logits, (maps[row] + level + odds(1e-4)).expand(4, 6))
    # A rate that is given says how often; the map goes on to say where.
    found = prior(presence, (4, 6), 0.3, frame)
    torch.testing.assert_close(found.presence.logits, (maps[row] + odds(0.3)).expand(4, 6))
    torch.testing.assert_close(found.presence.logits.mean().item(), odds(0.3))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_no_map_turns_a_discovery_that_is_switched_off(kind: PresenceKind, rate: float) -> None:
    prior, _ = learned()
    put(prior.map, 100 * prior.map())
    presence = Presence(kind)
    fn = prior(presence, (500, 6), rate, 1).presence
    assert ((presence.weight(fn.sample()) > 0.5) == bool(rate)).all()
    assert (fn.logits == fn.logits[0, 0]).all()
    assert torch.isfinite(fn.log_prob(fn.sample())).all()


def test_learned_discovery_begins_as_the_constant_one() -> None:
    found = LearnedDiscovery(TINY)(Presence(), (2, 6))
    torch.testing.assert_close(found.presence.logits, torch.full((2, 6), odds(0.2)))
    for fn in found[1:]:
        assert (fn.mean == 0).all()
        assert (fn.stddev == 1).all()


def test_gradients_reach_learned_discovery() -> None:
    prior, _ = learned()
    logits = [prior(Presence(), (2, 6), None, frame).presence.logits for frame in (0, 1)]
    (torch.stack(logits) * torch.randn(2, 2, 6)).sum().backward()
    for parameter in prior.parameters():
        assert parameter.grad is not None
        assert (parameter.grad != 0).all()


# ---------------------------------------------------------------------- independent background


def test_independent_background() -> None:
    prior = IndependentBackground(TINY)
    objects = made_up(TINY).objects
    state: Any = prior.initial(2)
    for last in (None, torch.randn(2, 2)):
        found = prior(state, last, objects)
        assert (found.batch_shape, found.event_shape) == ((2, 1), (2,))
        zero = torch.zeros(2, 1, 2)
        torch.testing.assert_close(found.log_prob(zero), torch.full((2, 1), -math.log(2 * math.pi)))
        state = prior.update(state, zero[:, 0])
    assert list(prior.parameters()) == []
