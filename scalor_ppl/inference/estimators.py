"""Objectives by name: what training maximises, and what it is made of.

``elbo``    Pyro's Trace_ELBO: a lower bound on log p(x).
``scalor``  the paper's own objective: the divergence of presences is that of Bernoullis although
            the samples are relaxed, and the divergences of where, depth and what are multiplied by
            z_pres. Not a bound on anything; never report it as a likelihood.
"""

import importlib
from typing import Any

import torch
from pyro import poutine
from pyro.distributions.util import scale_and_mask
from pyro.infer import ELBO, Trace_ELBO
from pyro.poutine import Trace
from pyro.poutine.replay_messenger import ReplayMessenger
from torch import Tensor
from torch.distributions import kl_divergence

from scalor_ppl.distributions import bernoulli_kl, presence_weight
from scalor_ppl.errors import UserError

# Sites lie in two plate dims: videos, and trackers or cells.
PLATE_DIMS = 2
VIDEO_DIM = -2


class Elbo(Trace_ELBO):
    """Pyro's Trace_ELBO that keeps its last traces, so that the parts of the loss can be shown."""

    last: tuple[Trace, Trace] | None = None

    def __init__(self, num_particles: int = 1) -> None:
        super().__init__(num_particles=num_particles, max_plate_nesting=PLATE_DIMS)

    def _get_trace(self, *args: Any) -> tuple[Trace, Trace]:
        self.last = super()._get_trace(*args)
        for site in self.last[1].nodes.values():
            if site["type"] == "sample" and not site["fn"].has_rsample:
                self._score_by_video(site)
        return self.last

    @staticmethod
    def _score_by_video(site: dict[str, Any]) -> None:
        """Weight a score function (hard presence) by all that its video costs.

        Trace_ELBO weights it by what lies in its own plates. But cells and trackers depend on each
        other (rejection, selection, slots that are given anew): only videos do not. Nor does it
        mask the score of slots that are empty, which adds noise.
        """
        frames = site["cond_indep_stack"]
        site["cond_indep_stack"] = tuple(f for f in frames if f.dim == VIDEO_DIM)
        parts = site["score_parts"]
        score = scale_and_mask(parts.score_function, 1.0, site["mask"])
        site["score_parts"] = parts._replace(score_function=score)

    def parts(self) -> dict[str, float]:
        """Log-likelihood and Monte-Carlo divergences of the last pass, in nats, all videos."""
        assert self.last is not None
        model_trace, guide_trace = self.last
        totals: dict[str, float] = {}
        for name, site in model_trace.nodes.items():
            if site["type"] != "sample":
                continue
            value = site["log_prob_sum"].item()
            if site["is_observed"]:
                _add(totals, "log_likelihood", value)
            elif name in guide_trace.nodes:
                log_q = guide_trace.nodes[name]["log_prob_sum"].item()
                _add(totals, f"kl_{kind_of(name)}", log_q - value)
        return totals


class ScalorObjective(ELBO):
    """The paper's objective (appendix E and the authors' implementation): not a bound."""

    last: tuple[Trace, Trace] | None = None

    def __init__(self, num_particles: int = 1) -> None:
        super().__init__(num_particles=num_particles, max_plate_nesting=PLATE_DIMS)
        self._parts: dict[str, Tensor] = {}

    def differentiable_loss(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Minus the objective, summed over videos, averaged over particles."""
        self._parts = {}
        for traces in self._get_traces(model, guide, args, kwargs):
            self._collect(*traces)
            self.last = traces
        objective = torch.stack(
            [part if name == "log_likelihood" else -part for name, part in self._parts.items()]
        ).sum()
        self._parts = {name: part.detach() for name, part in self._parts.items()}
        return -objective / self.num_particles

    def _get_trace(self, model: Any, guide: Any, args: Any, kwargs: Any) -> tuple[Trace, Trace]:
        """Traces of guide and model without log-densities, which this objective does not need."""
        guide_trace = poutine.trace(guide).get_trace(*args, **kwargs)
        replayed = _Replay(guide_trace)(model)
        return poutine.trace(replayed).get_trace(*args, **kwargs), guide_trace

    def loss(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> float:
        """The same without gradients."""
        with torch.no_grad():
            return self.differentiable_loss(model, guide, *args, **kwargs).item()

    def parts(self) -> dict[str, float]:
        """Log-likelihood and weighted divergences of the last pass, in nats, all videos."""
        return {name: part.item() / self.num_particles for name, part in self._parts.items()}

    def _collect(self, model_trace: Trace, guide_trace: Trace) -> None:
        for name, site in model_trace.nodes.items():
            if site["type"] != "sample" or type(site["fn"]).__name__ == "_Subsample":
                continue
            if site["is_observed"]:
                _add(self._parts, "log_likelihood", _log_prob(site))
            elif name in guide_trace.nodes:
                kl = self._divergence(site, guide_trace)
                _add(self._parts, f"kl_{kind_of(name)}", kl)

    @staticmethod
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
        if site["mask"] is not None:
            kl = torch.where(site["mask"], kl, torch.zeros_like(kl))
        return kl.sum()


class _Replay(ReplayMessenger):
    """Replay that keeps the model's notes on a site; Pyro's puts the guide's in their place."""

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        notes = msg["infer"]
        super()._pyro_sample(msg)
        msg["infer"] = {**msg["infer"], **notes}


def _log_prob(site: dict[str, Any]) -> Tensor:
    """Log-density of a site's value as far as masks and scales let it count."""
    log_prob = site["fn"].log_prob(site["value"])
    return scale_and_mask(log_prob, site["scale"], site["mask"]).sum()


def kind_of(site: str) -> str:
    """The latent kind and phase of a site: ``z_what_prop_3`` is ``what_prop``."""
    return site.removeprefix("z_").rpartition("_")[0]


def _add(totals: dict[str, Any], key: str, value: Any) -> None:
    totals[key] = totals[key] + value if key in totals else value


ESTIMATORS: dict[str, type[ELBO]] = {"elbo": Elbo, "scalor": ScalorObjective}


def make_estimator(name: str, particles: int = 1) -> ELBO:
    """An objective by registered name, or any ``pyro.infer.ELBO`` as ``package.module:Class``.

    Raises:
        UserError: there is none of that name.
    """
    if name in ESTIMATORS:
        return ESTIMATORS[name](num_particles=particles)
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
    return cls(num_particles=particles, max_plate_nesting=PLATE_DIMS)
