"""Samples with less noise than the distribution has."""

from typing import Any, Protocol, runtime_checkable

import pyro.distributions as dist
import torch
from pyro.poutine.messenger import Messenger
from torch import Tensor

from scalor_ppl.nn.distributions import LogitRelaxedBernoulli
from scalor_ppl.nn.mixtures import Product, of_component


class FreeMixture(dist.MixtureSameFamily):
    """A mixture some of whose noise is no jitter, but what the future has in store.

    Args:
        weights: a Categorical of C.
        components: normals.
        free: bool, batch shape and C: the noise of which components is never scaled.
        about: what that of the others is drawn to ``[..., C, n]``, where it is not their own mean:
            a component that tells of outliers lies off it by jitter.
        seldom: bool, likewise: which components are noise themselves, so that their weight is
            scaled; none where it is not given.
    """

    def __init__(
        self,
        weights: Any,
        components: Any,
        free: Tensor,
        about: Tensor | None = None,
        seldom: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self.free, self.about = free, components.mean if about is None else about
        self.seldom = torch.zeros_like(free) if seldom is None else seldom
        super().__init__(weights, components, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "FreeMixture":
        """The same distribution over a larger batch shape."""
        shape = torch.Size(batch_shape)
        weights, components = self.mixture_distribution, self.component_distribution
        count = components.batch_shape[-1:]
        return FreeMixture(
            weights.expand(shape),
            components.expand(shape + count),
            self.free.expand(shape + count),
            self.about.expand(shape + count + components.event_shape),
            self.seldom.expand(shape + count),
            False,
        )

    def with_noise(self, temperature: float) -> dist.MixtureSameFamily:
        """The mixture with the weights of what is noise itself scaled by this."""
        weights = self.mixture_distribution.probs
        weights = torch.where(self.seldom, temperature * weights, weights)
        return dist.MixtureSameFamily(dist.Categorical(weights), self.component_distribution)


@runtime_checkable
class TemperedByItself(Protocol):
    """A distribution that knows which of its noise is jitter."""

    def tempered(self, temperature: float) -> Tensor:
        """A sample with that noise scaled."""


class Tempered(Messenger):
    """Sample every latent with its noise scaled: 1 is the distribution itself, 0 is no noise.

    What a prior foresees of a latent is as wide as the posterior that it was trained on is unsure,
    and a video that is sampled from it jitters by that. With the noise scaled the objects stay.
    What makes videos differ is sampled as it is: presence, which component of a mixture is meant,
    what enters, and where a prior says that the noise is no jitter (:class:`FreeMixture`). The
    result is no sample of the program any more, but nearer to what it holds for likely.

    Args:
        temperature: factor of the noise, in 0..1.
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        if msg["is_observed"] or msg["done"] or msg["value"] is not None:
            return
        msg["value"] = tempered(msg["fn"], self.temperature)


@torch.no_grad()
def tempered_by_itself(fn: Any, temperature: float) -> Tensor:
    """A sample with that noise scaled that the distribution itself calls jitter, and no other."""
    if isinstance(fn, Product):
        parts = [tempered_by_itself(part.expand(fn.batch_shape), temperature) for part in fn.parts]
        return torch.cat(parts, -1)
    return fn.tempered(temperature) if isinstance(fn, TemperedByItself) else fn.sample()


@torch.no_grad()
def tempered(fn: Any, temperature: float) -> Tensor:
    """A sample of a distribution as :class:`Tempered` draws it."""
    if isinstance(fn, Product):
        parts = [tempered(part.expand(fn.batch_shape), temperature) for part in fn.parts]
        return torch.cat(parts, -1)
    if isinstance(fn, dist.MixtureSameFamily):
        components, weights = fn.component_distribution, fn.mixture_distribution
        every = components.sample()
        means = components.mean.expand_as(every)
        scale = torch.full(components.batch_shape, temperature).to(every)
        if isinstance(fn, FreeMixture):
            weights = fn.with_noise(temperature).mixture_distribution
            scale, means = torch.where(fn.free, torch.ones_like(scale), scale), fn.about
        scale = scale.reshape(*scale.shape, *[1] * (every.dim() - scale.dim()))
        every = torch.lerp(means, every, scale.expand_as(every))
        return of_component(every, weights.sample())
    if isinstance(fn, TemperedByItself):
        return fn.tempered(temperature)
    drawn = fn.sample()
    base = fn.base_dist if isinstance(fn, dist.Independent) else fn
    if isinstance(base, LogitRelaxedBernoulli | dist.Bernoulli) or not fn.has_rsample:
        return drawn
    return torch.lerp(fn.mean.expand_as(drawn), drawn, temperature)
