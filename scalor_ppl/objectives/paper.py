"""The paper's own objective, under its own name."""

from typing import Any

import torch
from pyro import poutine
from pyro.distributions.util import scale_and_mask
from pyro.poutine import Trace
from torch import Tensor
from torch.distributions import kl_divergence

from scalor_ppl.nn.distributions import bernoulli_kl, presence_weight
from scalor_ppl.objectives.densities import latent_and_observed
from scalor_ppl.objectives.estimate import Estimate, Traces
from scalor_ppl.objectives.particles import (
    ParticleEstimator,
    Replay,
    kind_of,
    tiled,
)


class ScalorObjective(ParticleEstimator):
    """The paper's objective (appendix E and the authors' implementation): not a bound.

    The divergence of presences is that of Bernoullis although the samples are relaxed, and the
    divergences of where, depth and what are multiplied by z_pres.
    """

    latents = frozenset({"relaxed"})

    def estimate(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> Estimate:
        """Minus the objective, summed over videos, averaged over particles."""
        # Without log-densities of the latents, which this objective does not need.
        args = tiled(args, self.num_particles)
        guide_trace = poutine.trace(guide).get_trace(*args, **kwargs)
        model_trace = poutine.trace(Replay(guide_trace)(model)).get_trace(*args, **kwargs)
        traces = Traces(model_trace, guide_trace)
        loss = -total(self.collect(traces)) / self.num_particles
        return Estimate(loss, traces, self.parts)

    @torch.no_grad()
    def loss(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> float:
        """The same without gradients."""
        return self.differentiable_loss(model, guide, *args, **kwargs).item()

    @torch.no_grad()
    def parts(self, traces: Traces) -> dict[str, float]:
        """Log-likelihood and weighted divergences of a pass, in nats, all videos."""
        found = self.collect(traces)
        return {name: part.item() / self.num_particles for name, part in found.items()}

    def collect(self, traces: Traces) -> dict[str, Tensor]:
        """Log-likelihood and weighted divergences by kind, summed over particles and videos."""
        model_trace, guide_trace = traces
        parts: dict[str, Tensor] = {}
        for name, site in latent_and_observed(model_trace):
            if site["is_observed"]:
                key, value = "log_likelihood", _log_prob(site)
            elif name in guide_trace.nodes:
                key, value = f"kl_{kind_of(name)}", _divergence(site, guide_trace)
            else:
                continue
            parts[key] = parts[key] + value if key in parts else value
        return parts


def total(parts: dict[str, Tensor]) -> Tensor:
    """The log-likelihood less the divergences."""
    signed = [part if name == "log_likelihood" else -part for name, part in parts.items()]
    return torch.stack(signed).sum()


def _divergence(site: dict[str, Any], guide_trace: Trace) -> Tensor:
    posterior = guide_trace.nodes[site["name"]]["fn"]
    prior = site["fn"]
    if hasattr(posterior, "logits"):
        kl = bernoulli_kl(posterior.logits, prior.logits)
    else:
        kl = kl_divergence(posterior, prior)
    exists = site["infer"].get("exists")
    if exists is not None:
        presence = guide_trace.nodes[exists]
        kl = kl * presence_weight(presence["fn"], presence["value"])
    return scale_and_mask(kl, site["scale"], site["mask"]).sum()


def _log_prob(site: dict[str, Any]) -> Tensor:
    """Log-density of a site's value as far as masks and scales let it count."""
    log_prob = site["fn"].log_prob(site["value"])
    return scale_and_mask(log_prob, site["scale"], site["mask"]).sum()
