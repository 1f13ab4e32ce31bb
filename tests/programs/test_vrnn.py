"""The VRNN: its equations, its sites, and its bound against the exact evidence."""

from __future__ import annotations

import math
from typing import Any

import pyro
import pytest
import torch
from pyro import poutine
from torch import Tensor
from torch.nn import functional as F

from scalor_ppl.guides.vrnn import VrnnGuide, build_guide
from scalor_ppl.models.vrnn import (
    LstmState,
    Vrnn,
    VrnnConfig,
    VrnnGuideSettings,
    VrnnSettings,
    build_model,
)
from scalor_ppl.objectives.estimators import Elbo, Iwae
from scalor_ppl.objectives.particles import ParticleEstimator
from scalor_ppl.programs import Memory

TINY: dict[str, Any] = {"latent": 3, "hidden": 5, "features": 4, "maps": 16}


def pair(
    height: int = 11, width: int = 9, channels: int = 3, **model: Any
) -> tuple[Vrnn, VrnnGuide]:
    size = {"height": height, "width": width, "channels": channels}
    config = VrnnConfig(
        model=VrnnSettings(**(TINY | size | model)), guide=VrnnGuideSettings(hidden=6)
    )
    program = build_model(config)
    return program, build_guide(config, program)


def traced(model: Vrnn, guide: VrnnGuide, video: Tensor, **how: Any) -> tuple[Any, Any]:
    seen = poutine.trace(guide).get_trace(video, **how)
    return seen, poutine.trace(poutine.replay(model, trace=seen)).get_trace(video, **how)


def test_the_equations_step_by_step() -> None:
    model, guide = pair()
    video = torch.rand(2, 3, 3, 11, 9)
    seen, foreseen = traced(model, guide, video)
    h, cell = (row.expand(2, -1) for row in model.beginning)
    for t in range(3):
        z = seen.nodes[f"z_{t}"]["value"][:, 0]
        # Equation 9: the posterior sees the frame and the state before it.
        phi_x = F.celu(model.phi_x(video[:, t]))
        loc, scale = guide.phi_enc(torch.cat((phi_x, h), -1)).chunk(2, -1)
        posterior = seen.nodes[f"z_{t}"]["fn"].base_dist
        torch.testing.assert_close(posterior.loc[:, 0], loc)
        torch.testing.assert_close(posterior.scale[:, 0], F.softplus(scale - 2) + 0.001)
        # Equation 5: the prior sees the state alone.
        loc, scale = model.phi_prior(h).chunk(2, -1)
        prior = foreseen.nodes[f"z_{t}"]["fn"].base_dist
        torch.testing.assert_close(prior.loc[:, 0], loc)
        torch.testing.assert_close(prior.scale[:, 0], F.softplus(scale - 2) + 0.001)
        # Equation 6.
        phi_z = F.celu(model.phi_z[0](z))
        pixels = foreseen.nodes[f"x_{t}"]
        mean = torch.sigmoid(model.phi_dec(torch.cat((phi_z, h), -1)))
        torch.testing.assert_close(pixels["fn"].loc[:, 0], mean)
        assert pixels["fn"].sigma == model.config.sigma
        assert torch.equal(pixels["value"][:, 0], video[:, t])
        # Equation 7.
        h, cell = model.f(torch.cat((phi_x, phi_z), -1), (h, cell))
    scene, inferred = foreseen.nodes["_RETURN"]["value"], seen.nodes["_RETURN"]["value"]
    torch.testing.assert_close(scene.memory, LstmState(h, cell))
    assert inferred.memory is scene.memory  # computed once, for both
    assert torch.equal(scene.latents, inferred.latents)


def test_the_past_matters_and_the_future_does_not() -> None:
    _, guide = pair()
    video = torch.rand(1, 4, 3, 11, 9)
    changed = video.clone()
    changed[:, 1] += 0.5
    first, second = (
        poutine.trace(poutine.condition(guide, {f"z_{t}": torch.zeros(1, 1, 3) for t in range(4)}))
        .get_trace(each)
        .nodes
        for each in (video, changed)
    )
    same = [
        torch.equal(first[f"z_{t}"]["fn"].base_dist.loc, second[f"z_{t}"]["fn"].base_dist.loc)
        for t in range(4)
    ]
    assert same == [True, False, False, False]


def test_the_recurrence_takes_in_what_was_sampled_or_conditioned_on() -> None:
    model, _ = pair(sigma=0.3)
    given = torch.rand(2, 1, 3, 11, 9)
    for data in ({}, {"x_0": given}):
        trace = poutine.trace(poutine.condition(model, data)).get_trace(videos=2, frames=2)
        x = trace.nodes["x_0"]["value"]
        assert torch.equal(x, given) == bool(data)
        past = model.recur(x, trace.nodes["z_0"]["value"], model.begin(2))
        prior = trace.nodes["z_1"]["fn"].base_dist
        torch.testing.assert_close(prior.loc[:, 0], model.phi_prior(past.h).chunk(2, -1)[0])
        assert not torch.equal(x[:, 0], trace.nodes["_RETURN"]["value"].image[:, 0])


def test_an_unseen_frame_is_sampled_from_the_prior_of_what_was_seen() -> None:
    model, guide = pair()
    video = torch.rand(2, 2, 3, 11, 9)
    _, short = traced(model, guide, video)
    seen, long = traced(model, guide, video, frames=4)
    assert [name for name in seen.nodes if name.startswith("z_")] == ["z_0", "z_1"]
    assert long.nodes["_RETURN"]["value"].image.shape == (2, 4, 3, 11, 9)
    assert not long.nodes["x_2"]["is_observed"]
    memory = Memory(2, long.nodes["_RETURN"]["value"].memory, None)
    assert memory.foreseen.h.shape == short.nodes["_RETURN"]["value"].memory.h.shape


def exact_evidence(model: Vrnn, video: Tensor) -> Tensor:
    """log p(x) of single frames of a program with one latent number, by a sum over a fine grid."""
    places = torch.linspace(-8, 8, 4001, dtype=video.dtype)
    past = model.begin(len(places))
    z = places[:, None, None]
    with torch.no_grad():
        prior = model.prior(past).log_prob(z)[:, 0]
        mean = model.mean(z, past)
        squares = (video[:, 0, None] - mean[None]).square().flatten(2).sum(-1)
        sigma, pixels = model.config.sigma, mean[0].numel()
        likelihood = -squares / (2 * sigma**2) - pixels * math.log(sigma * math.sqrt(2 * math.pi))
        step = (places[1] - places[0]).log()
        return torch.logsumexp(prior + likelihood, -1) + step


def test_bounds_lie_below_the_exact_evidence_and_reach_it() -> None:
    torch.manual_seed(1)
    model, guide = pair(height=4, width=4, channels=1, latent=1)
    with torch.no_grad():  # a posterior that covers all that is likely: near N(0, 1)
        guide.phi_enc[-1].weight.mul_(0.1)
        guide.phi_enc[-1].bias.copy_(torch.tensor([0.0, 2.5]))
    video = torch.rand(3, 1, 1, 4, 4)
    exact = exact_evidence(model, video)
    with torch.no_grad():
        weights = [
            ParticleEstimator(num_particles=5000).log_weights(model, guide, (video,), {}).value
            for _ in range(4)
        ]
    joined = torch.cat(weights)
    elbo = Elbo().bound(joined)
    few = Iwae().bound(joined.unflatten(0, (-1, 5)).transpose(0, 1)).mean(0)
    many = Iwae().bound(joined)
    assert (elbo < few).all()
    assert (few < many).all()
    assert (few < exact).all()
    torch.testing.assert_close(many, exact, atol=0.05, rtol=0)


def test_two_runs_from_one_seed_are_the_same() -> None:
    model, guide = pair()
    video = torch.rand(2, 3, 3, 11, 9)
    results = []
    for _ in range(2):
        torch.manual_seed(4)
        results.append(Elbo(num_particles=2)(model, guide)(video))
    assert torch.equal(*results)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("estimator", [Elbo, Iwae])
def test_a_gradient_reaches_every_parameter(estimator: Any, channels: int) -> None:
    model, guide = pair(height=17, width=23, channels=channels)
    with pyro.settings.context(module_local_params=True):
        loss = estimator(num_particles=2)(model, guide)(torch.rand(2, 3, channels, 17, 23))
    loss.backward()
    for part in (model, guide):
        for name, parameter in part.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_size_of_the_papers() -> None:
    """In thousands, beside the 370 of SCALOR's preset of the same data."""
    size = {"height": 64, "width": 64, "channels": 3}
    config = VrnnConfig(model=VrnnSettings(**size))
    assert (config.model.latent, config.model.hidden) == (128, 128)
    model = build_model(config)
    parameters = [*model.parameters(), *build_guide(config, model).parameters()]
    assert 300_000 < sum(p.numel() for p in parameters) < 700_000
