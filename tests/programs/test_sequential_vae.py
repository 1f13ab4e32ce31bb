"""The sequential VAE: its transition, its posterior, and its bound against the exact evidence."""

from __future__ import annotations

import math
from typing import Any

import pyro
import pytest
import torch
from pyro import poutine
from torch import Tensor
from torch.nn import functional as F

from scalor_ppl.guides.sequential_vae import SequentialVaeGuide, build_guide
from scalor_ppl.models.sequential_vae import (
    SequentialPrior,
    SequentialVae,
    SequentialVaeConfig,
    SequentialVaeGuideSettings,
    SequentialVaeSettings,
    TransitionState,
    build_model,
)
from scalor_ppl.objectives.estimators import Elbo, Iwae
from scalor_ppl.objectives.particles import ParticleEstimator

PRIORS = ["sequential", "independent"]


def pair(
    height: int = 11, width: int = 9, channels: int = 3, **model: Any
) -> tuple[SequentialVae, SequentialVaeGuide]:
    tiny = {"latent": 3, "hidden": 5, "maps": 16, "features": 8}
    size = {"height": height, "width": width, "channels": channels}
    config = SequentialVaeConfig(
        model=SequentialVaeSettings(**(tiny | size | model)),
        guide=SequentialVaeGuideSettings(maps=16, features=8),
    )
    program = build_model(config)
    return program, build_guide(config, program)


def traced(model: Any, guide: Any, video: Tensor, **how: Any) -> tuple[Any, Any]:
    seen = poutine.trace(guide).get_trace(video, **how)
    return seen, poutine.trace(poutine.replay(model, trace=seen)).get_trace(video, **how)


def test_the_program_step_by_step() -> None:
    model, guide = pair()
    prior = model.prior
    assert isinstance(prior, SequentialPrior)
    with torch.no_grad():
        prior.head[-1].bias.normal_()
    video = torch.rand(2, 3, 3, 11, 9)
    seen, foreseen = traced(model, guide, video)
    h, last = prior.beginning.expand(2, -1), torch.zeros(2, 3)
    for t in range(3):
        z = seen.nodes[f"z_{t}"]["value"][:, 0]
        loc, scale = prior.head(h).chunk(2, -1)
        site = foreseen.nodes[f"z_{t}"]["fn"].base_dist
        torch.testing.assert_close(site.loc[:, 0], last + loc)
        torch.testing.assert_close(site.scale[:, 0], F.softplus(scale + 0.5413) + 0.001)
        pixels = foreseen.nodes[f"x_{t}"]
        torch.testing.assert_close(pixels["fn"].loc[:, 0], torch.sigmoid(model.decoder(z)))
        assert torch.equal(pixels["value"][:, 0], video[:, t])
        # Each frame is encoded by itself.
        loc, scale = guide.head(F.celu(guide.encoder(video[:, t]))).chunk(2, -1)
        site = seen.nodes[f"z_{t}"]["fn"].base_dist
        torch.testing.assert_close(site.loc[:, 0], loc)
        torch.testing.assert_close(site.scale[:, 0], F.softplus(scale - 2) + 0.001)
        h, last = prior.gru(z, h), z
    scene = foreseen.nodes["_RETURN"]["value"]
    torch.testing.assert_close(scene.memory, TransitionState(h, last))
    assert torch.equal(scene.latents, seen.nodes["_RETURN"]["value"].latents)


@pytest.mark.parametrize("kind", PRIORS)
def test_the_first_prior_is_standard_normal(kind: str) -> None:
    model, _ = pair(prior=kind)
    trace = poutine.trace(model).get_trace(videos=4, frames=3)
    first = trace.nodes["z_0"]["fn"].base_dist
    torch.testing.assert_close(first.loc, torch.zeros(4, 1, 3), atol=0.3, rtol=0)
    torch.testing.assert_close(first.scale, torch.ones(4, 1, 3), atol=0.3, rtol=0)
    later = trace.nodes["z_2"]["fn"].base_dist.loc
    assert (later.abs().max() > 0.3) == (kind == "sequential")


@pytest.mark.parametrize("kind", PRIORS)
@pytest.mark.parametrize("estimator", [Elbo, Iwae])
def test_a_gradient_reaches_every_parameter(estimator: Any, kind: str) -> None:
    model, guide = pair(height=17, width=23, channels=1, prior=kind)
    with pyro.settings.context(module_local_params=True):
        loss = estimator(num_particles=2)(model, guide)(torch.rand(2, 3, 1, 17, 23))
    loss.backward()
    for part in (model, guide):
        for name, parameter in part.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def exact_evidence(model: SequentialVae, video: Tensor) -> Tensor:
    """log p(x) of two frames of a program with one latent number, by a sum over a fine grid."""
    places = torch.linspace(-5, 5, 201)
    step = (places[1] - places[0]).log()
    with torch.no_grad():
        z = places[:, None, None]
        past = model.prior.begin(torch.zeros(len(places), 1))
        first = model.prior(past).log_prob(z)[:, 0]
        after = model.prior.update(past, places[:, None])
        # [z_0, z_1]
        wide = TransitionState(after.h[:, None], after.z[:, None])
        second = model.prior(wide).log_prob(places[None, None, :, None])[:, 0]
        mean = model.decode(places[:, None, None])[:, 0]
        squares = (video[:, :, None] - mean).square().flatten(3).sum(-1)
        sigma, pixels = model.config.sigma, mean[0].numel()
        likelihood = -squares / (2 * sigma**2) - pixels * math.log(sigma * math.sqrt(2 * math.pi))
        joint = first[:, None] + second + likelihood[:, 0, :, None] + likelihood[:, 1, None]
        return torch.logsumexp(joint.flatten(1), -1) + 2 * step


def test_bounds_lie_below_the_exact_evidence_and_reach_it() -> None:
    torch.manual_seed(1)
    model, guide = pair(height=4, width=4, channels=1, latent=1, sigma=0.4)
    with torch.no_grad():  # a posterior that covers all that is likely
        guide.head[-1].weight.mul_(0.1)
        guide.head[-1].bias.copy_(torch.tensor([0.0, 3.0]))
    video = torch.rand(3, 2, 1, 4, 4)
    exact = exact_evidence(model, video)
    with torch.no_grad():
        weights = ParticleEstimator(num_particles=20_000).log_weights(model, guide, (video,), {})
    elbo = Elbo().bound(weights.value)
    few = Iwae().bound(weights.value.unflatten(0, (-1, 5)).transpose(0, 1)).mean(0)
    many = Iwae().bound(weights.value)
    assert (elbo < few).all()
    assert (few < many).all()
    assert (few < exact).all()
    torch.testing.assert_close(many, exact, atol=0.05, rtol=0)


def test_size_of_the_papers() -> None:
    config = SequentialVaeConfig(model=SequentialVaeSettings(height=64, width=64, channels=3))
    assert config.model.latent == 64
    model = build_model(config)
    parameters = [*model.parameters(), *build_guide(config, model).parameters()]
    assert 300_000 < sum(p.numel() for p in parameters) < 700_000
