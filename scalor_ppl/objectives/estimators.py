"""Objectives by name. With log-weights log w[k] of K particles (see particles), for each video:

* ``elbo``: mean of log w. Pyro's Trace_ELBO, particles vectorised.
* ``elbo-analytic``: the same with divergences in closed form where there is one.
* ``iwae``: log mean w (Burda et al. 2016), between the ELBO and log p(x), rising with K.
* ``vimco``: the same bound for hard presence, its scores weighted by what each particle adds to the
  others (Mnih and Rezende 2016).
* ``stl``: the ELBO, gradient along paths only (Roeder et al. 2017, sticking the landing).
* ``dreg``: the IWAE bound, doubly reparameterised gradient (Tucker et al. 2019).
* ``scalor``: the paper's own objective. Not a bound; never to be reported as a likelihood.

All but ``scalor`` are lower bounds on log p(x), for relaxed presence of the relaxed program and for
hard presence of the hard one: two different models, whose bounds do not compare.
"""

import importlib
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from pyro import poutine
from pyro.distributions.util import scale_and_mask
from pyro.infer import ELBO
from torch import Tensor, nn
from torch.distributions import kl_divergence

from scalor_ppl.errors import UserError
from scalor_ppl.objectives.densities import (
    PLATE_DIMS,
    Stacks,
    evaluate,
    latent_and_observed,
    log_density,
    per_video,
)
from scalor_ppl.objectives.estimate import Estimate
from scalor_ppl.objectives.paper import ScalorObjective
from scalor_ppl.objectives.particles import (
    LogWeights,
    ParticleEstimator,
    Replay,
    kind_of,
    tiled,
    with_values,
)

__all__ = [
    "ESTIMATORS",
    "PLATE_DIMS",
    "AnalyticElbo",
    "Dreg",
    "Elbo",
    "Iwae",
    "ScalorObjective",
    "Stl",
    "Vimco",
    "kind_of",
    "make_estimator",
]


class Elbo(ParticleEstimator):
    """Evidence lower bound: the mean log-weight."""

    takes_scales = True

    def bound(self, weights: Tensor) -> Tensor:
        """``[B]``."""
        return weights.mean(0)

    def advantages(self, weights: Tensor, bound: Tensor) -> Tensor:
        """A particle's own log-weight, less the mean of the others where there are others.

        A score is weighted by all that its *video* costs. Pyro weights it by what lies in its own
        plates; but cells and trackers depend on each other (rejection, selection, slots that are
        given anew), so that is biased here.
        """
        # One more, because the score is also in the log-weight, where it only adds noise.
        return (weights - self.baseline(weights) + 1) / weights.shape[0]

    @staticmethod
    def baseline(weights: Tensor) -> Tensor | float:
        """What does not depend on a particle and is close to its log-weight, ``[K, B]``."""
        return others_mean(weights) if weights.shape[0] > 1 else 0.0


class AnalyticElbo(Elbo):
    """The ELBO with closed-form divergences (Rao-Blackwellised) where there are such.

    Each site's divergence is taken given the latents before it, as they were drawn.
    """

    def advantages(self, weights: Tensor, bound: Tensor) -> Tensor:
        """As the ELBO's; a closed-form divergence has no score in it."""
        return (weights - self.baseline(weights)) / weights.shape[0]

    def log_weights(
        self, model: Any, guide: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> LogWeights:
        """Log-likelihood less divergences, in the place of log-weights."""
        traces = self._get_trace(model, guide, args, kwargs)
        model_trace, guide_trace = traces
        stacks = Stacks()
        for trace in traces:
            evaluate(trace, stacks)
        terms = []
        for name, site in latent_and_observed(model_trace):
            if name not in guide_trace.nodes:
                terms.append(per_video(site))
                continue
            posterior = guide_trace.nodes[name]
            try:
                kl = kl_divergence(posterior["fn"], site["fn"])
            except NotImplementedError:
                terms.append(per_video(site) - per_video(posterior))
                continue
            terms.append(-per_video(site, scale_and_mask(kl, site["scale"], site["mask"])))
        value = self.by_video(torch.stack(terms).sum(0))
        return LogWeights(value, self.score(guide_trace), traces)


class Iwae(ParticleEstimator):
    """Importance-weighted bound: log of the mean weight."""

    def bound(self, weights: Tensor) -> Tensor:
        """``[B]``."""
        return torch.logsumexp(weights, 0) - math.log(weights.shape[0])


class Vimco(Iwae):
    """The importance-weighted bound for hard presence, with leave-one-out baselines.

    A particle's score is weighted by what the bound gains over one in which that particle's
    log-weight is the mean of the others'. The baseline does not depend on the particle: unbiased.
    """

    latents = frozenset({"hard"})
    least_particles = 2

    def advantages(self, weights: Tensor, bound: Tensor) -> Tensor:
        """Bound less the bound without each particle, ``[K, B]``."""
        count = weights.shape[0]
        own = torch.eye(count, dtype=torch.bool, device=weights.device)[..., None]
        without = torch.where(own, others_mean(weights)[:, None], weights[None])
        return bound - (torch.logsumexp(without, 1) - math.log(count))


class Dreg(Iwae):
    """The importance-weighted bound with a doubly reparameterised gradient.

    For whatever the posterior depends on: sum_k v_k^2 * (d log w_k / d z_k) (d z_k / d parameters),
    v the normalised weights; for what the densities depend on otherwise, sum_k v_k * d log w_k.
    log q is evaluated under parameters that are held fixed, at values that are leaves of the graph:
    holding the distributions' own parameters fixed instead would cut the way from one frame's
    latents to the next frame's posterior, and be biased.
    """

    latents = frozenset({"continuous", "relaxed"})

    def shares(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """What multiplies d log w, and along paths multiplies that once more; ``[K, B]`` each."""
        normalised = torch.softmax(weights, 0)
        return normalised, normalised

    def estimate(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> Estimate:
        """Minus the bound, summed over videos; its gradient is that of the surrogate."""
        if not isinstance(guide, nn.Module):
            raise UserError(
                f"{type(self).__name__} holds the guide's parameters fixed for a moment: give a "
                "torch module, not a function or a wrapped one"
            )
        args = tiled(args, self.num_particles)
        drawn = poutine.trace(guide).get_trace(*args, **kwargs)
        leaves, values = with_values(drawn, lambda value: value.detach().requires_grad_())
        model_trace = poutine.trace(Replay(leaves)(model)).get_trace(*args, **kwargs)
        with held_fixed(model, guide):
            guide_trace = poutine.trace(poutine.replay(guide, trace=leaves)).get_trace(
                *args, **kwargs
            )
        traces = self.paired(model_trace, guide_trace)
        weights = self.by_video(log_density(traces.model) - log_density(traces.guide))
        direct, along_paths = self.shares(weights.detach())
        surrogate = (direct * weights).sum()
        slopes = torch.autograd.grad(
            surrogate, list(values.values()), retain_graph=True, allow_unused=True
        )
        for name, slope in zip(values, slopes, strict=True):
            if slope is None:
                continue
            share = along_paths.flatten().view(-1, *[1] * (slope.dim() - 1))
            path = drawn.nodes[name]["value"]
            surrogate = surrogate + ((slope * share).detach() * path).sum()
        bound = self.bound(weights.detach()).sum()
        loss = -(surrogate - surrogate.detach() + bound)
        return Estimate(loss, traces, self.parts)


class Stl(Dreg):
    """The ELBO with a gradient along paths only: no noise where the guide is exact."""

    def bound(self, weights: Tensor) -> Tensor:
        """``[B]``."""
        return weights.mean(0)

    def shares(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """All particles count alike."""
        return torch.full_like(weights, 1 / weights.shape[0]), torch.ones_like(weights)


def others_mean(weights: Tensor) -> Tensor:
    """For each particle the mean log-weight of the others, ``[K, B]``."""
    return (weights.sum(0) - weights) / (weights.shape[0] - 1)


@contextmanager
def held_fixed(*programs: Any) -> Iterator[None]:
    """No gradients to the parameters of modules, for what is computed meanwhile."""
    parameters = {
        parameter
        for program in programs
        if isinstance(program, nn.Module)
        for parameter in program.parameters()
        if parameter.requires_grad
    }
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


ESTIMATORS: dict[str, type[ParticleEstimator]] = {
    "elbo": Elbo,
    "elbo-analytic": AnalyticElbo,
    "iwae": Iwae,
    "vimco": Vimco,
    "stl": Stl,
    "dreg": Dreg,
    "scalor": ScalorObjective,
}


def make_estimator(name: str, particles: int = 1, latents: str | None = None) -> ELBO:
    """An objective by registered name, or any ``pyro.infer.ELBO`` as ``package.module:Class``.

    Args:
        name: of the objective.
        particles: K.
        latents: the program's kind of latents, ``continuous``, ``relaxed`` or ``hard`` presence, to
            check; none checks nothing.

    Raises:
        UserError: there is none of that name, or it cannot do with such latents or so few
            particles.
    """
    if name in ESTIMATORS:
        own = ESTIMATORS[name]
        _check_fits(name, own, particles, latents)
        return own(num_particles=particles)
    cls = _imported(name)
    _check_fits(name, cls, particles, latents)
    try:
        return cls(num_particles=particles, max_plate_nesting=PLATE_DIMS)
    except (TypeError, ValueError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"estimator {name!r} cannot be made: {error}") from None


def _check_fits(name: str, cls: type[ELBO], particles: int, latents: str | None) -> None:
    if not issubclass(cls, ParticleEstimator):
        return
    if latents is not None and latents not in cls.latents:
        needed = "hard" if "hard" in cls.latents else "relaxed"
        if latents == "continuous":
            raise UserError(
                f"estimator {name} needs a program with {needed} presence, and this one has no "
                "presence: use elbo or iwae"
            )
        raise UserError(
            f"estimator {name} needs model.presence {needed}, not {latents}: "
            + WRONG_PRESENCE[latents]
        )
    if particles < cls.least_particles:
        raise UserError(
            f"estimator {name} needs at least {cls.least_particles} particles: "
            f"--particles {max(5, cls.least_particles)}"
        )


WRONG_PRESENCE = {
    "relaxed": "with relaxed presence there are no scores to weight, and it would be iwae; "
    "use iwae, or --set model.presence=hard",
    "hard": "it has no gradient for hard presence; use vimco, or elbo with several particles",
}


def _imported(name: str) -> type[ELBO]:
    module, _, attribute = name.partition(":")
    known = ", ".join(ESTIMATORS)
    if not attribute:
        raise UserError(f"no estimator named {name!r}: use one of {known}, or package.module:Class")
    try:
        cls = getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise UserError(f"estimator {name!r} cannot be imported: {error}") from None
    if not (isinstance(cls, type) and issubclass(cls, ELBO)):
        raise UserError(f"estimator {name!r} is not a subclass of pyro.infer.ELBO")
    if not hasattr(cls, "differentiable_loss"):
        raise UserError(
            f"estimator {name!r} has no differentiable_loss: take another, or define that method"
        )
    return cls
