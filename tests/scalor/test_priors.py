"""The paper's priors: shapes, statistics, and persistence."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from scalor_ppl.nn.distributions import Presence, PresenceKind
from scalor_ppl.scalor.priors import (
    ConstantDiscovery,
    ObjectDistributions,
    RecurrentBackground,
    RecurrentPropagation,
    persistence,
)
from scalor_ppl.scalor.settings import ModelConfig
from scalor_ppl.scalor.slots import Objects, Trackers

KINDS: tuple[PresenceKind, ...] = ("relaxed", "hard")
TINY = ModelConfig(what=3, hidden=8, background_dim=2)


def random_objects(videos: int, slots: int, what: int) -> Objects:
    where = torch.rand(videos, slots, 4)
    return Objects(
        presence=torch.rand(videos, slots),
        where=where,
        raw=torch.randn(videos, slots, 4),
        depth=torch.randn(videos, slots),
        what=torch.randn(videos, slots, what),
        glimpse=torch.rand(videos, slots, 4, 5, 5),
        box=where,
    )


def random_trackers(videos: int, slots: int, what: int) -> Trackers:
    objects = random_objects(videos, slots, what)
    alive = torch.ones(videos, slots, dtype=torch.bool)
    ids = torch.arange(slots).expand(videos, slots)
    next_id = torch.full((videos,), slots)
    return Trackers(
        objects, alive, ids, alive, next_id, torch.zeros_like(ids), torch.arange(videos * slots)
    )


def assert_shapes(fns: ObjectDistributions, videos: int, slots: int, what: int) -> None:
    for fn, event in zip(fns, ((), (4,), (), (what,)), strict=True):
        assert fn.batch_shape == (videos, slots)
        assert fn.event_shape == event
        assert fn.sample().shape == (videos, slots, *event)


@pytest.mark.parametrize("kind", KINDS)
def test_discovery(kind: PresenceKind) -> None:
    prior = ConstantDiscovery(ModelConfig(what=5, discovery_rate=0.15))
    presence = Presence(kind, 0.5)
    fns = prior(presence, (400, 100))
    assert_shapes(fns, 400, 100, 5)
    count = 40_000
    found = (presence.weight(fns.presence.sample()) > 0.5).float().mean().item()
    assert abs(found - 0.15) < 4 * math.sqrt(0.15 * 0.85 / count)
    # Where, depth and what: standard normal (appendix E), in every coordinate.
    for fn in fns[1:]:
        sample = fn.sample().flatten(0, 1).flatten(1 if fn.event_dim else 0)
        assert (sample.mean(0).abs() < 4.5 / math.sqrt(count)).all()
        assert ((sample.var(0) - 1).abs() < 4.5 * math.sqrt(2 / count)).all()
        zero = torch.zeros(400, 100, *fn.event_shape)
        exact = -0.5 * math.log(2 * math.pi) * fn.event_shape.numel()
        torch.testing.assert_close(fn.log_prob(zero), torch.full((400, 100), exact))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", [0.0, 1e-9, 0.3, 1.0])
def test_discovery_rate_override(kind: PresenceKind, rate: float) -> None:
    prior = ConstantDiscovery(ModelConfig(what=2, discovery_rate=0.5))
    presence = Presence(kind)
    fn = prior(presence, (200, 200), rate).presence
    clipped = min(max(rate, 1e-12), 1 - 1e-12)
    expected = math.log(clipped / (1 - clipped))
    torch.testing.assert_close(fn.logits, torch.full((200, 200), expected))
    found = (presence.weight(fn.sample()) > 0.5).float().mean().item()
    assert abs(found - rate) <= 4 * math.sqrt(rate * (1 - rate) / 40_000) + 1e-4 * (rate == 1e-9)
    if rate in (0.0, 1.0):
        assert found == rate
        assert torch.isfinite(fn.log_prob(fn.sample())).all()


def test_the_annealed_rate_is_used() -> None:
    prior = ConstantDiscovery(ModelConfig(what=2, discovery_rate=0.5))
    prior.rate = 1e-4
    logits = prior(Presence("relaxed"), (1, 3)).presence.logits
    torch.testing.assert_close(torch.sigmoid(logits), torch.full((1, 3), 1e-4))


def still(prior: RecurrentPropagation) -> RecurrentPropagation:
    """The prior with its head at zero: nothing learned."""
    last = prior.head[-1]
    assert isinstance(last, nn.Linear)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return prior


@pytest.mark.parametrize("kind", KINDS)
def test_propagation_keeps_what_an_object_is(kind: PresenceKind) -> None:
    prior = still(RecurrentPropagation(TINY, survival=2.0))
    trackers = random_trackers(4, 5, 3)
    state = torch.randn(4, 5, 8)
    fns = prior(Presence(kind), state, trackers)
    assert_shapes(fns, 4, 5, 3)
    last = trackers.objects
    assert torch.equal(fns.where.mean[..., :2], torch.zeros(4, 5, 2))
    assert torch.equal(fns.where.mean[..., 2:], last.raw[..., 2:])
    assert torch.equal(fns.depth.mean, last.depth)
    assert torch.equal(fns.what.mean, last.what)
    torch.testing.assert_close(fns.presence.logits, torch.full((4, 5), 2.0))
    deviation = math.log1p(math.exp(-1)) + 0.001
    for fn in fns[1:]:
        torch.testing.assert_close(fn.variance.sqrt(), torch.full_like(fn.mean, deviation))


def test_persistence() -> None:
    last = random_objects(2, 3, 4)
    value = persistence(last)
    assert value.shape == (2, 3, 9)
    expected = (torch.zeros(2, 3, 2), last.raw[..., 2:], last.depth[..., None], last.what)
    assert torch.equal(value, torch.cat(expected, -1))


def test_propagation_begins_near_persistence_and_survival() -> None:
    # High survival before training, against propagation collapse (paper 3.2).
    prior = RecurrentPropagation(TINY)
    trackers = random_trackers(4, 5, 3)
    fns = prior(Presence("relaxed"), prior.initial((4, 5)), trackers)
    assert (torch.sigmoid(fns.presence.logits) > 0.98).all()
    assert ((fns.what.mean - trackers.objects.what).abs() < 0.5).all()


def test_propagation_state() -> None:
    prior = RecurrentPropagation(TINY)
    state = prior.initial((4, 5))
    assert state.shape == (4, 5, 8)
    trackers = random_trackers(4, 5, 3)
    later = prior.update(state, trackers)
    assert later.shape == (4, 5, 8)
    # Slots are independent of each other: one at a time gives the same.
    for k in range(5):
        alone = trackers._replace(objects=Objects(*(x[:, k : k + 1] for x in trackers.objects)))
        torch.testing.assert_close(prior.update(state[:, k : k + 1], alone), later[:, k : k + 1])


def learns_all(module: nn.Module, *outputs: Tensor) -> None:
    sum((o * torch.randn_like(o)).sum() for o in outputs).backward()  # type: ignore[union-attr]
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_gradients_reach_propagation() -> None:
    prior = RecurrentPropagation(TINY)
    trackers = random_trackers(2, 3, 3)
    # Twice: the first state is zero, and so is the gradient of what multiplies it.
    state = prior.update(prior.update(prior.initial((2, 3)), trackers), trackers)
    fns = prior(Presence("relaxed"), state, trackers)
    learns_all(prior, fns.presence.rsample(), *(fn.rsample() for fn in fns[1:]))


def test_background_shapes_and_first_frame() -> None:
    prior = RecurrentBackground(TINY)
    last = prior.head[-1]
    assert isinstance(last, nn.Linear)
    nn.init.zeros_(last.weight)
    objects = random_objects(4, 5, 3)
    state = prior.initial(4)
    assert state.shape == (4, 8)
    first = prior(state, None, objects)
    assert first.batch_shape == (4, 1)
    assert first.event_shape == (2,)
    # Nothing learned: the first frame is standard normal, later ones a random walk.
    torch.testing.assert_close(first.mean, torch.zeros(4, 1, 2))
    torch.testing.assert_close(first.variance, torch.ones(4, 1, 2), rtol=5e-3, atol=0)
    z = torch.randn(4, 2)
    state = prior.update(state, z)
    assert state.shape == (4, 8)
    torch.testing.assert_close(prior(state, z, objects).mean, z[:, None])


def test_background_sees_present_objects_only() -> None:
    prior = RecurrentBackground(TINY)
    objects = random_objects(4, 5, 3)
    state = prior.initial(4)
    seen = prior(state, None, objects).mean
    there = objects.presence.clone()
    there[:, 2] = 0
    absent = objects._replace(presence=there)
    assert (prior(state, None, absent).mean != seen).any()
    # What an absent object looks like, and in which slot it is, does not matter.
    what = objects.what.clone()
    what[:, 2] += 5
    torch.testing.assert_close(
        prior(state, None, absent._replace(what=what)).mean, prior(state, None, absent).mean
    )
    order = torch.tensor([3, 0, 4, 1, 2])
    shuffled = Objects(*(x[:, order] for x in objects))
    torch.testing.assert_close(prior(state, None, shuffled).mean, seen)


def test_background_without_any_object() -> None:
    prior = RecurrentBackground(TINY)
    objects = random_objects(1, 5, 3)
    nothing = objects._replace(presence=torch.zeros(1, 5))
    fn = prior(prior.initial(1), None, nothing)
    assert torch.isfinite(fn.mean).all()


def test_gradients_reach_background() -> None:
    prior = RecurrentBackground(TINY)
    objects = random_objects(4, 5, 3)
    state = prior.update(prior.update(prior.initial(4), torch.randn(4, 2)), torch.randn(4, 2))
    learns_all(prior, prior(state, torch.randn(4, 2), objects).rsample())
