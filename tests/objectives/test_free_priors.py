"""Priors of any kind in a bound that stays one: mixtures, dynamics, a flow."""

from __future__ import annotations

import math
from typing import Any

import pyro.distributions as dist
import pyro.distributions.transforms as transforms
import pytest
import torch
from conftest import Build, Pair
from pyro import poutine
from test_estimators import broad_guide, log_likelihoods, log_mean, log_weights
from torch import Tensor, nn

from scalor_ppl.nn.distributions import Presence
from scalor_ppl.scalor.priors import (
    DiscoveryPrior,
    DynamicsPropagation,
    JointDistribution,
    MixtureBackground,
    MixtureDiscovery,
    log_density,
    log_odds,
)
from scalor_ppl.scalor.priors.absence import PresentObjects, PresentOrAbsent, log_odds_there
from scalor_ppl.scalor.priors.base import Site
from scalor_ppl.scalor.settings import ModelConfig
from scalor_ppl.scalor.slots import Latents, Objects


class FlowDiscovery(DiscoveryPrior):
    """Where, depth and what of what is there from a spline flow each, as somebody may write it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.flows = nn.ModuleList(transforms.Spline(n) for n in (4, 1, config.what))
        with torch.no_grad():
            for parameter in self.flows.parameters():
                parameter.normal_(0, 0.3)

    def forward(
        self,
        presence: Presence,
        shape: tuple[int, int],
        rate: float | None = None,
        frame: int = 0,
        tracked: Objects | None = None,
    ) -> JointDistribution:
        logits = torch.full(shape, log_odds(self.rate if rate is None else rate))

        def looks(site: Site) -> tuple[Tensor, Tensor, Tensor]:
            where, depth, what = (self._flow(n, shape) for n in range(3))
            return site("where", where), site("depth", First(depth)), site("what", what)

        return PresentObjects(presence, presence.distribution(logits), looks)

    def _flow(self, number: int, shape: tuple[int, int]) -> Any:
        flow: Any = self.flows[number]
        base = dist.Normal(torch.zeros(*shape, flow.input_dim), 1.0).to_event(1)
        return dist.TransformedDistribution(base, [flow])


class First(dist.TorchDistribution):
    """A distribution of vectors of one number, of the number."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012
    support = dist.constraints.real

    def __init__(self, base: Any) -> None:
        self.base = base
        super().__init__(base.batch_shape, torch.Size(), validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> First:
        return First(self.base.expand(batch_shape))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self.base.sample(sample_shape).squeeze(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        return self.base.log_prob(value[..., None])


def off_their_start(*modules: nn.Module) -> None:
    """Parameters as after some training: a prior that does nothing would pass too easily."""
    with torch.no_grad():
        for module in modules:
            for parameter in module.parameters():
                parameter.add_(0.15 * torch.randn_like(parameter))


def with_free_priors(
    build: Build, kind: str, discovery: type[DiscoveryPrior], frames: int, background: str = "none"
) -> Pair:
    """A tiny program whose posteriors are broader than its priors: importance sampling is sound."""
    pair = build(
        seed=1, guide={"correct": True}, centred=True, presence=kind, background=background,
        background_dim=1, grid=(1, 1) if frames == 1 else (1, 2), capacity=1 if frames == 1 else 2,
        height=8, width=8, channels=1, what=1, glimpse=(4, 4), sigma=0.6, discovery_rate=0.4,
    )  # fmt: skip
    model = pair.model
    torch.manual_seed(3)
    model.discovery = discovery(model.config)
    if isinstance(model.discovery, MixtureDiscovery):
        model.discovery.rest.loc.data.mul_(0.5)
        model.discovery.rest.about.data.normal_(0, 0.5)
        off_their_start(model.discovery.chain, model.discovery.offset)
    propagation = DynamicsPropagation(model.config, survival=1.0)
    off_their_start(propagation.head)
    *_, bias = propagation.head.parameters()
    bias.data.clamp_(max=0.3)  # no component is as wide as it would be before training
    propagation.noise.start.fill_(-1.0)
    model.propagation = propagation
    if background != "none":
        model.background = MixtureBackground(model.config)
        model.background.noise.start.fill_(-1.0)
        model.background.first.loc.data.mul_(0.5)
    broad_guide(pair)
    return pair


KINDS = pytest.mark.parametrize("kind", ["hard", "relaxed"])


@KINDS
@pytest.mark.parametrize("discovery", [MixtureDiscovery, FlowDiscovery])
@torch.no_grad()
def test_priors_and_guide_tell_the_same_evidence(
    build: Build, kind: str, discovery: type[DiscoveryPrior]
) -> None:
    # log p(x) by brute force from the priors, and by importance from the guide.
    pair = with_free_priors(build, kind, discovery, 1)
    trace = poutine.trace(pair.model).get_trace(videos=1, frames=1)
    video = trace.nodes["x_0"]["value"].expand(24_000, -1, -1, -1, -1)
    from_priors, error = log_mean(log_likelihoods(pair, video))
    weights = log_weights(pair, video)
    from_guide, other_error = log_mean(weights)
    combined = math.hypot(error, other_error)
    assert combined < 0.1
    assert abs(from_priors - from_guide) < 4 * combined
    assert weights.double().mean().item() < from_priors


@KINDS
@pytest.mark.parametrize("discovery", [MixtureDiscovery, FlowDiscovery])
@torch.no_grad()
def test_every_site_has_a_density_where_the_guide_draws(
    build: Build, kind: str, discovery: type[DiscoveryPrior]
) -> None:
    # E_q[p(z) / q(z)] = 1 for each site, given those before it.
    pair = with_free_priors(build, kind, discovery, 2, "vae")
    video = pair.video(1, 2).expand(8000, -1, -1, -1, -1)
    guided = poutine.trace(pair.guide).get_trace(video)
    traced = poutine.trace(poutine.replay(pair.model, trace=guided)).get_trace(video)
    traced.compute_log_prob()
    guided.compute_log_prob()
    sites = [name for name in guided.stochastic_nodes if name.startswith("z_")]
    assert len(sites) == 2 * 5 + 4
    for name in sites:
        ratio = traced.nodes[name]["log_prob"] - guided.nodes[name]["log_prob"]
        weight = ratio.sum(-1).double().exp()
        error = weight.std().item() / math.sqrt(len(weight))
        assert error < 0.1, name
        assert abs(weight.mean().item() - 1) < 4.5 * error + 1e-6, name


@pytest.mark.parametrize("weight", [0.0, 0.1, 0.35, 0.5, 1.0])
def test_what_is_there_or_not_has_a_density_for_every_presence(weight: float) -> None:
    present = dist.Normal(torch.tensor([2.0]), 0.3)
    fn = PresentOrAbsent(log_odds_there(torch.tensor([weight])), present)
    grid = torch.linspace(-8, 8, 4001)
    assert torch.trapezoid(fn.log_prob(grid).exp(), grid).item() == pytest.approx(1, abs=1e-4)
    torch.manual_seed(0)
    drawn = fn.expand((20000,)).sample()
    expected = min(2 * weight, 1) * 2.0
    assert drawn.mean().item() == pytest.approx(expected, abs=0.04)


def test_an_absent_proposal_is_standard_normal_in_all_of_its_latents(build: Build) -> None:
    model = build(presence="hard").model
    prior = MixtureDiscovery(model.config)
    shape = (2, model.cells)
    latents = Latents(
        torch.zeros(shape), torch.randn(*shape, 4), torch.randn(shape),
        torch.randn(*shape, model.config.what),
    )  # fmt: skip
    joint = prior(model.presence, shape)
    found = log_density(joint, latents)
    value = torch.cat((latents.where, latents.depth[..., None], latents.what), -1)
    absent = dist.Normal(0.0, 1.0).log_prob(value).sum(-1)
    chain = joint.sample(lambda name, fn: getattr(latents, name)) and joint.presence  # type: ignore[attr-defined]
    torch.testing.assert_close(found, absent + chain.log_prob(latents.presence), atol=1e-3, rtol=0)


def test_nothing_enters_where_something_is_once_that_is_learned(build: Build) -> None:
    # What the chain can see of the tracked objects suffices for the rule to be learned.
    model = build(presence="hard", grid=(4, 4)).model
    prior = MixtureDiscovery(model.config)
    optimizer = torch.optim.Adam(prior.chain.parameters(), 1e-2)
    slots = model.config.capacity
    torch.manual_seed(0)
    for _ in range(150):
        where = torch.rand(64, slots, 4) * 2 - 1
        nothing = where.new_zeros(64, slots, 0)
        there = torch.zeros(64, slots)
        there[:, 0] = 1
        objects = Objects(there, where, where, there, nothing, nothing, where)
        occupied = (model.centres - where[:, :1, :2]).abs().amax(-1) < 0.25
        values = (~occupied & (torch.rand(64, 16) < 0.5)).float()
        about = prior.about((64, 16), 3, objects)
        fn = prior(model.presence, (64, 16), None, 3, objects)
        loss = -fn.presence.log_prob(values).mean()  # type: ignore[attr-defined]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert about.shape[:2] == (64, 16)
    logits = torch.sigmoid(prior._logits(about)(values, slice(None)))
    assert logits[occupied].mean() < 0.15
    assert logits[~occupied].mean() > 0.4
