"""Kernel densities of looks, and priors that begin in the units of their draws."""

from __future__ import annotations

import math
from itertools import pairwise

import pyro.distributions as dist
import pytest
import torch
from conditioned import Mixture
from conftest import Build

from scalor_ppl.nn.distributions import diagonal_normal
from scalor_ppl.nn.kernels import ROWS, KernelDensity, KernelNormals, Kernels
from scalor_ppl.nn.mixtures import Product
from scalor_ppl.nn.tempered import tempered
from scalor_ppl.scalor.histories import (
    accepted,
    drawn,
    found_objects,
    seen_whole,
    transitions_of,
    without_rejected,
)
from scalor_ppl.scalor.priors import (
    Discovered,
    DynamicsPropagation,
    MixtureDiscovery,
    Transitions,
)
from scalor_ppl.scalor.priors.absence import PresentOrAbsent
from scalor_ppl.scalor.priors.filtering import Filtered
from scalor_ppl.scalor.priors.first_movement import FIRST, FirstMovement
from scalor_ppl.scalor.priors.turning_points import TrackedStretches
from scalor_ppl.scalor.slots import Objects, Trackers


def test_kernels_stand_on_draws_and_are_as_wide_as_others_say() -> None:
    torch.manual_seed(0)
    centres = torch.tensor([[-3.0, 0.0, 9.0], [3.0, 1.0, -9.0]])
    deviation = torch.tensor([0.2, 0.5, 3.0])
    draws = centres[torch.arange(600) % 2] + deviation * torch.randn(600, 3)
    kernels = KernelNormals(200, 3, 1)
    kernels.begin(draws, draws, torch.zeros(len(draws), 1))
    apart = (kernels.loc.detach()[:, None] - draws).abs().amax(-1)
    assert apart.amin(1).max() == 0
    fresh = centres[torch.arange(400) % 2] + deviation * torch.randn(400, 3)
    with torch.no_grad():
        found = kernels(torch.zeros(1)).first(3).log_prob(fresh).mean()
    true = dist.Normal(0.0, deviation).to_event(1).entropy() + math.log(2)
    assert -found < true + 0.6  # nats: what 200 of 600 draws cost against the density itself
    assert all(p.grad is None or not p.grad.any() for p in kernels.parameters())


def a_density(count: int = 5, n: int = 4) -> tuple[Kernels, Mixture]:
    """The same density as kernels and as a mixture, at two places."""
    torch.manual_seed(0)
    tril = (0.3 * torch.randn(n, n)).tril(-1) + torch.diag(torch.rand(n) + 0.3)
    logits, loc = torch.randn(2, count), 20 + 3 * torch.randn(count, n)
    return Kernels(logits, loc, tril), Mixture(logits, loc, tril.expand(count, -1, -1))


def test_kernels_have_the_densities_of_a_mixture_coordinate_by_coordinate() -> None:
    kernels, mixture = a_density()
    value = 20 + 3 * torch.randn(2, 4)
    for known in (0, 1, 3):
        if known:
            kernels = a_density()[0].given(value[:, :1]).given(value[:, 1:known])
            mixture = a_density()[1].given(value[:, :known])
        ours, theirs = kernels.scalar(), mixture.scalar()
        one = value[:, known]
        torch.testing.assert_close(ours.log_prob(one), theirs.log_prob(one), rtol=1e-4, atol=1e-4)
        n = 4 - known
        ours, theirs = kernels.first(n), mixture.first(n)
        rest = value[:, known:]
        torch.testing.assert_close(ours.log_prob(rest), theirs.log_prob(rest), rtol=1e-4, atol=1e-4)


def test_kernels_at_many_places_have_the_densities_that_are_computed_one_by_one() -> None:
    """As many places as are not done in one go."""
    torch.manual_seed(0)
    count, n, places = 40, 5, 2 * ROWS + 7
    tril = (0.3 * torch.randn(n, n)).tril(-1) + torch.diag(torch.rand(n) + 0.3)
    logits, loc = torch.randn(places, count), 3 * torch.randn(count, n)
    value = loc[torch.arange(places) % count] + torch.randn(places, n) @ tril.T
    tril, logits, loc, exact = (each.double() for each in (tril, logits, loc, value))
    for known in (2, n):
        normals = dist.MultivariateNormal(loc[:, :known], scale_tril=tril[:known, :known])
        each = normals.log_prob(exact[:, None, :known]) + logits.log_softmax(-1)
        found = Kernels(logits, loc, tril).first(known).log_prob(exact[:, :known])
        torch.testing.assert_close(found, each.logsumexp(-1), rtol=1e-9, atol=1e-9)
        single = Kernels(logits.float(), loc.float(), tril.float()).first(known)
        rounded = single.log_prob(value[:, :known]).double()
        torch.testing.assert_close(rounded, found, rtol=0, atol=1e-3)


def test_samples_of_kernels_are_those_of_a_mixture() -> None:
    kernels, mixture = a_density()
    known = torch.full((2, 2), 19.0)
    ours = kernels.given(known).first(2).expand((20000, 2)).sample()
    theirs = mixture.given(known).first(2)
    torch.testing.assert_close(ours.mean(0), theirs.mean, rtol=0.0, atol=0.1)
    torch.testing.assert_close(ours.var(0), theirs.variance, rtol=0.1, atol=0.05)


def test_without_noise_a_sample_of_kernels_is_one_of_their_means() -> None:
    kernels, _ = a_density()
    fn = kernels.first(4).expand((50, 2))
    assert isinstance(fn, KernelDensity)
    found = tempered(fn, 0.0)
    assert (found[..., None, :] - kernels.loc).abs().amax(-1).amin(-1).max() == 0
    assert len(found.flatten(0, 1).unique(dim=0)) > 3
    torch.testing.assert_close(kernels.first(4).mode, kernels.loc[kernels.logits.argmax(-1)])


@pytest.mark.parametrize("temperature", [0.0, 0.2])
def test_what_is_sampled_piece_by_piece_is_of_one_kernel(temperature: float) -> None:
    torch.manual_seed(0)
    # Wide kernels, near to each other: by their whole widths they are not told apart.
    loc = torch.tensor([[0.0, -5.0], [1.0, 5.0]])
    kernels = Kernels(torch.zeros(4000, 2), loc, torch.diag(torch.tensor([1.5, 1.0])))
    first = tempered(kernels.first(1), temperature)
    # At full width both kernels are still likely, whichever the first coordinate came from.
    other = tempered(kernels.given(first).first(1), temperature)
    joint = tempered(kernels.first(2), temperature)
    for both in (torch.cat((first, other), -1), joint):
        of_second = both[:, 1] > 0
        assert abs(of_second.float().mean().item() - 0.5) < 0.03
        assert abs(both[~of_second, 0].mean().item()) < 0.04
        assert abs(both[of_second, 0].mean().item() - 1) < 0.04


def test_what_enters_keeps_its_place_and_loses_the_jitter_of_its_looks() -> None:
    torch.manual_seed(0)
    kernels, _ = a_density(n=2)
    kernels = Kernels(kernels.logits[:1].expand(4000, -1), kernels.loc, kernels.tril)
    place = dist.Normal(torch.zeros(4000, 1), 3.0).to_event(1)
    present = Product((place, kernels.first(2)))
    found = tempered(PresentOrAbsent(torch.full((4000,), 20.0), present), 0.0)
    assert abs(found[:, 0].std().item() - 3) < 0.15
    assert (found[:, None, 1:] - kernels.loc).abs().amax(-1).amin(-1).max() == 0


def test_kernels_made_under_other_circumstances_count_less() -> None:
    """Two kinds of looks, each under circumstances of its own: asked about one, it gives that."""
    torch.manual_seed(0)
    about = (torch.arange(400) % 2).float()[:, None]
    draws = torch.where(about > 0, 4.0, -4.0) + 0.3 * torch.randn(400, 2)
    kernels = KernelNormals(100, 2, 1)
    kernels.begin(draws, draws, about)
    with torch.no_grad():
        drawn_under = kernels(torch.tensor([[0.0], [1.0]])).first(2).expand((500, 2)).sample()
    assert (drawn_under[:, 0] < 0).float().mean() > 0.97
    assert (drawn_under[:, 1] > 0).float().mean() > 0.97


def test_kernels_of_fewer_draws_than_there_are_use_half_of_them() -> None:
    torch.manual_seed(0)
    kernels = KernelNormals(64, 2, 1)
    draws = torch.randn(9, 2)
    kernels.begin(draws, draws, torch.zeros(len(draws), 1))
    assert len(kernels.loc.detach().unique(dim=0)) == 4
    assert torch.isfinite(kernels(torch.zeros(1)).first(2).log_prob(torch.zeros(2)))


def test_the_kernels_are_not_trained_at_the_draws_they_stand_on(build: Build) -> None:
    discovery = MixtureDiscovery(build().model.config)
    learned = {id(p) for p in discovery.learned()}
    assert learned.isdisjoint(id(p) for p in discovery.rest.parameters())
    assert len(learned) == len([*discovery.parameters()]) - len([*discovery.rest.parameters()])


@pytest.mark.parametrize("wholes", [0, 200])
def test_kernels_stand_on_what_was_seen_whole_where_there_is_enough(
    build: Build, wholes: int
) -> None:
    torch.manual_seed(0)
    config = build().model.config
    discovery = MixtureDiscovery(config)
    rows = 400
    whole = torch.arange(rows) < wholes
    looks = torch.randn(rows, 3 + config.what) + torch.where(whole, 10.0, -10.0)[:, None]
    cell = torch.randint(0, config.grid[0] * config.grid[1], (rows,))
    discovery.begin(Discovered(looks, looks, whole, cell, torch.rand(rows) < 0.5), None)
    assert ((discovery.rest.loc > 0) == (wholes > 0)).all()


def nowhere(steps: Transitions) -> TrackedStretches:
    """No stretches of objects that look like those."""
    return TrackedStretches(torch.zeros(4, 0, 2), torch.zeros(0, 2), steps.rest[:0])


def steps(rows: int, dim: int) -> Transitions:
    turn = 2 * torch.pi * torch.rand(rows)
    ring = 0.5 * torch.stack((turn.cos(), turn.sin()), -1)
    middle = torch.linspace(-20, 20, dim)
    rest = middle + 4 * torch.randn(rows, dim)
    first = torch.ones(rows, dtype=torch.bool)
    return Transitions(rest, ring, 3 * torch.randn(rows, dim), first, ring)


def newborn(prior: DynamicsPropagation, rows: int, rest: torch.Tensor) -> Trackers:
    where = torch.zeros(rows, 1, 4)
    raw = torch.cat((where[..., :2], rest[:, None, :2]), -1)
    alive = torch.ones(rows, 1, dtype=torch.bool)
    objects = Objects(
        alive.float(), where, raw, rest[:, None, 2], rest[:, None, 3:], where[..., :0], where
    )
    ids = torch.zeros(rows, 1, dtype=torch.long)
    return Trackers(objects, alive, ids, alive, ids[:, 0], ids, ids.flatten())


def test_what_is_new_moves_as_new_objects_did(build: Build) -> None:
    """On a ring of one speed all around, where one normal would put most at rest."""
    torch.manual_seed(0)
    model = build(presence="hard").model
    prior = DynamicsPropagation(model.config)
    seen = steps(2000, 3 + model.config.what)
    prior.begin(seen, nowhere(seen))
    trackers = newborn(prior, 500, seen.rest[:500])
    with torch.no_grad():
        state = prior.update(prior.initial((500, 1)), trackers)
        movement = prior(model.presence, state, trackers).where.sample()[:, 0, :2]
    speed = movement.norm(dim=-1)
    assert 0.45 < speed.mean() < 0.55
    assert speed.std() < 0.1
    share = (movement[:, 0] > 0).float().mean()
    assert 0.4 < share < 0.6
    # They begin where draws have settled.
    assert prior.first.velocity.shape == (FIRST, 2)
    assert torch.cdist(prior.first.velocity, seen.settled).min(1).values.max() < 1e-3


def test_first_velocities_are_learned() -> None:
    """Those that they begin with are too slow, and noise would make up for it."""
    torch.manual_seed(0)
    angle = 2 * torch.pi * torch.rand(2000)
    ring = torch.stack((angle.cos(), angle.sin()), -1)
    moves = 0.5 * ring + 0.02 * torch.randn(2000, 2)
    first = FirstMovement(3, 16)
    first.begin(moves, 0.45 * ring)
    told = torch.zeros(1, 3)

    def speed() -> float:
        found = first(told)
        weight = found.logits.softmax(-1)[0]
        return float((weight * found.loc[0].norm(dim=-1)).sum())

    with torch.no_grad():
        assert speed() < 0.46
    optimizer = torch.optim.Adam(first.parameters(), 3e-3)
    for _ in range(150):
        found = first(told)
        normal = diagonal_normal(found.loc, found.scale)
        density = normal.log_prob(moves[:, None]) + found.logits.log_softmax(-1)
        optimizer.zero_grad()
        (-density.logsumexp(-1).mean()).backward()
        optimizer.step()
    with torch.no_grad():
        assert 0.49 < speed() < 0.51


def test_first_velocities_are_as_fast_as_what_objects_settle_at() -> None:
    """Not slower, as they would be if the noise of a first movement made up for it."""
    torch.manual_seed(0)
    settled = torch.randn(2000, 2)
    settled = (0.2 + 0.3 * torch.rand(2000, 1)) * settled / settled.norm(dim=-1, keepdim=True)
    first = FirstMovement(3, 16)
    first.begin(settled + 0.1 * torch.randn(2000, 2), settled)
    told = torch.zeros(1, 3)
    optimizer = torch.optim.Adam(first.parameters(), 3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        (-first(told).of_velocity(settled, first.spacing()).mean()).backward()
        optimizer.step()
    found = first(told)
    weight = found.logits[0, :FIRST].softmax(-1)
    speed = (weight * found.loc[0, :FIRST].norm(dim=-1)).sum()
    torch.testing.assert_close(speed, settled.norm(dim=-1).mean(), rtol=0.01, atol=0)


def test_networks_are_told_looks_in_units_of_the_draws(build: Build) -> None:
    """And the noise begins as wide as the draws change, whatever their units are."""
    torch.manual_seed(0)
    model = build(presence="hard").model
    seen = steps(2000, 3 + model.config.what)
    prior = DynamicsPropagation(model.config)
    prior.begin(seen, nowhere(seen))
    trackers = newborn(prior, 500, seen.rest[:500])
    with torch.no_grad():
        state = prior.update(prior.initial((500, 1)), trackers)
        told = Filtered(*state.split(prior.widths, -1)).rest[:, 0]
        foreseen = prior(model.presence, state, trackers)
    assert told.mean(0).abs().max() < 0.2
    assert (told.std(0) - 1).abs().max() < 0.1
    assert (foreseen.what.mean[:, 0] - seen.rest[:500, 3:]).abs().mean() < 1.0
    assert (foreseen.what.stddev / 3 - 1).abs().mean() < 0.2


def test_a_prior_that_is_loaded_begins_as_it_was_kept(build: Build) -> None:
    torch.manual_seed(0)
    model = build(presence="hard").model
    prior = DynamicsPropagation(model.config)
    drawn = steps(500, 3 + model.config.what)
    prior.begin(drawn, nowhere(drawn))
    other = DynamicsPropagation(model.config)
    other.load_state_dict(prior.state_dict())
    torch.testing.assert_close(other.first.velocity, prior.first.velocity)
    torch.testing.assert_close(other.extent, prior.extent)


@torch.no_grad()
def test_steps_of_a_history_are_those_of_its_tracks(build: Build) -> None:
    pair = build(presence="hard", discovery_rate=0.3, proposals=3, grid=(2, 3))
    history = drawn(pair.model, pair.guide, pair.video(4, 4))
    seen = transitions_of(history)
    rows = 0
    for before, now in pairwise(history):
        assert now.moved is not None
        for video, slot in before.trackers.alive.nonzero().tolist():
            if now.moved.presence[video, slot] < 0.5:
                continue
            what = before.trackers.objects.what[video, slot]
            torch.testing.assert_close(seen.rest[rows, 3:], what)
            torch.testing.assert_close(seen.changes[rows, 3:], now.moved.what[video, slot] - what)
            torch.testing.assert_close(seen.moves[rows], now.moved.where[video, slot, :2])
            assert seen.first[rows] == before.trackers.discovered[video, slot]
            rows += 1
    assert rows == len(seen.moves) > 0


@torch.no_grad()
def test_objects_found_are_those_that_are_tracked_and_settle_over_their_frames(
    build: Build,
) -> None:
    pair = build(presence="hard", discovery_rate=0.3, proposals=3, grid=(2, 3))
    history = drawn(pair.model, pair.guide, pair.video(4, 4))
    found = found_objects(history)
    row = wholes = 0
    for t, now in enumerate(history):
        for video, cell, slot in accepted(now).nonzero().tolist():
            assert now.trackers.discovered[video, slot]
            number = now.trackers.ids[video, slot]
            looks, whole = [], []
            for later in history[t : t + 12]:
                same = later.trackers.alive[video] & (later.trackers.ids[video] == number)
                looks += [*later.trackers.objects.what[video, same]]
                same = same & seen_whole(later.trackers)[video]
                whole += [*later.trackers.objects.what[video, same]]
            torch.testing.assert_close(found.rest[row, 3:], looks[0])
            settled = torch.stack((whole or looks)[:5]).mean(0)
            torch.testing.assert_close(found.settled[row, 3:], settled)
            wholes += len(whole)
            assert found.whole[row] == bool(whole)
            assert found.first[row] == (t == 0)
            assert found.cell[row] == cell
            assert torch.equal(now.proposed.what[video, cell], looks[0])
            row += 1
    assert row == len(found.rest) > 2
    assert wholes
    assert row == sum(int(now.trackers.discovered.sum()) for now in history)


@torch.no_grad()
def test_what_is_cut_by_an_edge_or_covered_is_not_seen_whole(build: Build) -> None:
    pair = build(presence="hard")
    trackers = drawn(pair.model, pair.guide, pair.video(1, 1))[0].trackers
    centres = torch.tensor([[[0.0, 0.0], [0.3, 0.1], [-0.8, 0.0], [0.5, -0.7]]])
    where = torch.cat((centres, torch.full_like(centres, 0.25)), -1)

    def whole(*alive: bool) -> list[bool]:
        objects = trackers.objects._replace(where=where)
        there = trackers._replace(objects=objects, alive=torch.tensor([alive]))
        return [bool(each) for each in seen_whole(there)[0]]

    # The first two overlap; the third reaches over the left edge.
    assert whole(True, True, True, True) == [False, False, False, True]
    assert whole(True, False, True, True) == [True, False, False, True]


@torch.no_grad()
def test_a_history_without_what_was_rejected_has_what_was_not(build: Build) -> None:
    pair = build(presence="hard", discovery_rate=0.3, proposals=3, grid=(2, 3))
    history = drawn(pair.model, pair.guide, pair.video(6, 4))
    left_out = 0
    for before, now in zip(history, without_rejected(history), strict=True):
        accepted = before.trackers.discovered.sum(-1)
        assert now.proposed.presence.sum(-1).tolist() == accepted.tolist()
        assert (now.proposed.presence <= before.proposed.presence).all()
        torch.testing.assert_close(now.proposed.what, before.proposed.what)
        left_out += int(before.proposed.presence.sum() - now.proposed.presence.sum())
    assert left_out > 0
