"""What all objectives share: vectorised particles, and one log-weight per particle and video.

A particle is a draw of all latents. K particles of B videos are K * B videos to the program: the
data is tiled, so nothing in a model or guide has to know of particles, and every site keeps its
rank. Log-densities are then summed over all plates but the one named ``videos``, which gives

    log w[k, b] = log p(x_b, z_kb) - log q(z_kb | x_b)        [K, B]

Nothing here travels to the host: a step can be compiled or captured whole.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from pyro import poutine
from pyro.infer import ELBO
from pyro.poutine import Trace
from pyro.poutine.replay_messenger import ReplayMessenger
from torch import Tensor

from scalor_ppl.errors import UserError
from scalor_ppl.objectives.densities import (
    PLATE_DIMS,
    Stacks,
    latent_and_observed,
    log_density,
    per_video,
)
from scalor_ppl.objectives.estimate import Estimate, Traces


class LogWeights(NamedTuple):
    """Of K particles of B videos.

    Attributes:
        value: ``log p(x, z) - log q(z | x)``, ``[K, B]``, with pathwise gradients.
        score: log q of the sites that have no pathwise gradient (hard presence) ``[K, B]``; none
            where all sites have one.
        traces: of the pass that they are of.
    """

    value: Tensor
    score: Tensor | None
    traces: Traces


class ParticleEstimator(ELBO):
    """Base of the objectives.

    An objective is what :meth:`bound` makes of the log-weights, and, for sites without pathwise
    gradients, the weights of their scores.

    Args:
        num_particles: K.
    """

    latents: frozenset[str] = frozenset({"continuous", "relaxed", "hard"})
    """Kinds of latents for which the gradient is right: without presence, or by its kind."""
    least_particles = 1
    """Fewest particles for which it means anything."""
    takes_scales = False
    """Whether sites may be scaled: a scaled log-density is none, and its exponential no weight."""

    def __init__(self, num_particles: int = 1, max_plate_nesting: int = PLATE_DIMS) -> None:
        super().__init__(
            num_particles=num_particles,
            max_plate_nesting=max_plate_nesting,
            vectorize_particles=True,
        )

    # ------------------------------------------------------------------ to be said by each

    def bound(self, weights: Tensor) -> Tensor:
        """The objective of each video ``[B]`` from log-weights ``[K, B]``."""
        raise NotImplementedError

    def advantages(self, weights: Tensor, bound: Tensor) -> Tensor:
        """What multiplies each particle's score, ``[K, B]``, no gradient: unbiased for the bound.

        By default the bound itself, as differentiating under the integral gives it.
        """
        return bound.expand_as(weights)

    # ------------------------------------------------------------------ Pyro's interface

    def differentiable_loss(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Minus the bound, summed over videos; its gradient is an unbiased estimate."""
        return self.estimate(model, guide, *args, **kwargs).loss

    def estimate(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> Estimate:
        """The same, with what model and guide returned."""
        weights = self.log_weights(model, guide, args, kwargs)
        return Estimate(self.loss_of(weights.value, weights.score), weights.traces, self.parts)

    def loss_of(self, weights: Tensor, score: Tensor | None) -> Tensor:
        """Minus the bound, summed over videos, with its gradient, of log-weights and scores."""
        bound = self.bound(weights)
        surrogate = bound
        if score is not None:
            with torch.no_grad():
                advantages = self.advantages(weights, bound)
            # Adds to the gradient and not to the value.
            term = (advantages * score).sum(0)
            surrogate = bound + term - term.detach()
        return -surrogate.sum()

    @torch.no_grad()
    def loss(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> float:
        """Minus the bound, summed over videos."""
        return -self.bound(self.log_weights(model, guide, args, kwargs).value).sum().item()

    def parts(self, traces: Traces) -> dict[str, float]:
        """Log-likelihood and Monte-Carlo divergences of a pass, in nats, all videos.

        Means over particles. They add up to the mean log-weight, also where the objective takes
        some of them in closed form.
        """
        model_trace, guide_trace = traces
        totals: dict[str, float] = {}
        for name, site in latent_and_observed(model_trace):
            log_p = site["log_prob"].sum().item() / self.num_particles
            if name in guide_trace.nodes:
                log_q = guide_trace.nodes[name]["log_prob"].sum().item() / self.num_particles
                _add(totals, f"kl_{kind_of(name)}", log_q - log_p)
            elif site["is_observed"]:
                _add(totals, "log_likelihood", log_p)
        return totals

    # ------------------------------------------------------------------ log-weights

    def log_weights(
        self, model: Any, guide: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> LogWeights:
        """Draw K particles of each video and weigh them."""
        traces = self._get_trace(model, guide, args, kwargs)
        stacks = Stacks()
        weights = log_density(traces.model, stacks) - log_density(traces.guide, stacks)
        return LogWeights(self.by_video(weights), self.score(traces.guide), traces)

    def _get_trace(
        self, model: Any, guide: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Traces:
        """Traces of the model, replayed, and of the guide, for K * B videos."""
        args = tiled(args, self.num_particles)
        guide_trace = poutine.trace(guide).get_trace(*args, **kwargs)
        replayed = Replay(guide_trace)(model)
        model_trace = poutine.trace(replayed).get_trace(*args, **kwargs)
        return self.paired(model_trace, guide_trace)

    def paired(self, model_trace: Trace, guide_trace: Trace) -> Traces:
        """The traces, of the sites that a density is wanted of.

        Raises:
            UserError: a site is scaled, and this objective has no use for that.
        """
        # Sites that only the model has (frames beyond the video) are drawn from it: they are
        # integrated out, and have no density here.
        beyond = [
            name
            for name, site in latent_and_observed(model_trace)
            if not site["is_observed"] and name not in guide_trace.nodes
        ]
        for name in beyond:
            model_trace.remove_node(name)
        if not self.takes_scales:
            refuse_scales(model_trace)
        return Traces(model_trace, guide_trace)

    def score(self, guide_trace: Trace) -> Tensor | None:
        """log q of the sites without pathwise gradients ``[K, B]``, as far as they exist."""
        scores = [
            per_video(site)
            for _, site in latent_and_observed(guide_trace)
            if not site["fn"].has_rsample
        ]
        return self.by_video(torch.stack(scores).sum(0)) if scores else None

    def by_video(self, tiles: Tensor) -> Tensor:
        """``[K * B]`` to ``[K, B]``."""
        return tiles.unflatten(0, (self.num_particles, -1))


def summed_over_frames(estimator: Any) -> bool:
    """Whether an objective is a function of log-weights that are sums over frames."""
    own = getattr(type(estimator), "estimate", None)
    return own is ParticleEstimator.estimate


def tiled(args: tuple[Any, ...], particles: int) -> tuple[Any, ...]:
    """The arguments, each ``[B, ...]``, with K copies of the videos one after another."""
    if particles == 1:
        return args
    return tuple(each.repeat(particles, *[1] * (each.dim() - 1)) for each in args)


def refuse_scales(trace: Trace) -> None:
    """Complain about sites whose log-density is multiplied by something.

    Raises:
        UserError: there is one.
    """
    for name, site in latent_and_observed(trace):
        if isinstance(site["scale"], Tensor) or site["scale"] != 1.0:
            raise UserError(
                f"site {name} is scaled: a weight needs its density; use elbo, or do not scale"
            )


class Replay(ReplayMessenger):
    """Replay that keeps the model's notes on a site; Pyro's puts the guide's in their place."""

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        notes = msg["infer"]
        super()._pyro_sample(msg)
        msg["infer"] = {**msg["infer"], **notes}


def with_values(
    trace: Trace, change: Callable[[Tensor], Tensor]
) -> tuple[Trace, dict[str, Tensor]]:
    """A trace with each latent's value changed, to replay; and the new values."""
    # Without the plates: replay would hand on their sizes too.
    copy, values = Trace(), {}
    for name, site in latent_and_observed(trace):
        values[name] = change(site["value"])
        copy.add_node(name, **{**site, "value": values[name]})
    return copy, values


def kind_of(site: str) -> str:
    """The latent kind and phase of a site: ``z_what_prop_3`` is ``what_prop``, ``z_3`` is ``z``."""
    return site.rpartition("_")[0].removeprefix("z_")


def _add(totals: dict[str, Any], key: str, value: Any) -> None:
    totals[key] = totals[key] + value if key in totals else value
