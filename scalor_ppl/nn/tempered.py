"""Samples with less noise than the distribution has."""

from typing import Any, Protocol, runtime_checkable

import pyro.distributions as dist
import torch
from pyro.poutine.messenger import Messenger
from torch import Tensor

from scalor_ppl.nn.distributions import LogitRelaxedBernoulli
from scalor_ppl.nn.mixtures import Product


@runtime_checkable
class Temperable(Protocol):
    """A distribution that can be sampled with less noise itself."""

    def tempered(self, temperature: float) -> Tensor:
        """A sample whose noise is scaled by the temperature."""


class Tempered(Messenger):
    """Sample every latent with its noise scaled: 1 is the distribution itself, 0 is no noise.

    What a prior foresees of a latent is as wide as the posterior that it was trained on is unsure,
    and a video that is sampled from it jitters by that. With the noise scaled the objects stay, and
    what differs between videos (how many there are, where they go, which component of a mixture is
    meant) is sampled as it is: presence and the choice of components are not tempered. The result
    is no sample of the program any more, but nearer to what it holds for likely.

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
def tempered(fn: Any, temperature: float) -> Tensor:
    """A sample of a distribution as :class:`Tempered` draws it."""
    if isinstance(fn, Temperable):
        return fn.tempered(temperature)
    if isinstance(fn, Product):
        parts = [tempered(part.expand(fn.batch_shape), temperature) for part in fn.parts]
        return torch.cat(parts, -1)
    if isinstance(fn, dist.MixtureSameFamily):
        chosen = fn.mixture_distribution.sample()
        every = tempered(fn.component_distribution, temperature)
        dim = chosen.dim()
        index = chosen.reshape(*chosen.shape, *[1] * (every.dim() - dim))
        return every.gather(dim, index.expand(*chosen.shape, 1, *every.shape[dim + 1 :])).squeeze(
            dim
        )
    drawn = fn.sample()
    base = fn.base_dist if isinstance(fn, dist.Independent) else fn
    if isinstance(base, LogitRelaxedBernoulli | dist.Bernoulli) or not fn.has_rsample:
        return drawn
    return torch.lerp(fn.mean.expand_as(drawn), drawn, temperature)
