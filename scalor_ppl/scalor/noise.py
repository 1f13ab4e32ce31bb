"""The same noise for the same object, whatever happens to the others."""

from typing import Any

import numpy as np
import pyro.distributions as dist
import torch
from torch import Tensor

from scalor_ppl.nn.distributions import LogitRelaxedBernoulli
from scalor_ppl.nn.mixtures import Product, of_component
from scalor_ppl.scalor.occupancy import TrackerWatch, propagation_site

# Quantiles stay this far from 0 and 1, where those of a Normal are infinite.
_MARGIN = 1e-6


class SameNoise(TrackerWatch):
    """Draw the noise of tracked objects by identity, not by slot (common random numbers).

    Slots are ordered by z_pres: take one object away, and the others move up and would each get
    another's noise. Under this handler two runs with the same ``torch.manual_seed`` differ only by
    what an intervention brings about. The distribution of each run is as before.

    One number of torch's generator is spent at each site, in every run; the noise of an object is
    derived from that number and from its identity. Sites that have a value already (replayed,
    conditioned) keep it; distributions without quantiles are sampled as usual.
    """

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        if msg["is_observed"] or msg["done"] or msg["value"] is not None:
            return
        if self.trackers is None or propagation_site(msg) is None:
            return
        fn = msg["fn"]
        # On the CPU: the default generator of every program, and no value has to travel back.
        key = int(torch.randint(2**62, (), device="cpu"))
        ids = self.trackers.ids.cpu().numpy()
        noise = identity_noise(key, ids, tuple(fn.event_shape))
        msg["value"] = quantile(fn, torch.from_numpy(noise).to(self.trackers.objects.where))


def identity_noise(key: int, ids: np.ndarray, event: tuple[int, ...]) -> np.ndarray:
    """Uniform numbers ``[B, K, *event]`` that depend on key, video and identity alone.

    Args:
        key: of the site.
        ids: ``[B, K]``; empty slots (-1) get 1/2, they are not drawn.
        event: shape of one object's latent.
    """
    noise = np.full((*ids.shape, *event), 0.5)
    for video, slot in np.argwhere(ids >= 0):
        seeds = (key, int(video), int(ids[video, slot]))
        noise[video, slot] = np.random.default_rng(seeds).random(event)
    return noise.clip(_MARGIN, 1 - _MARGIN)


def quantile(fn: Any, share: Tensor) -> Tensor | None:
    """Values of a distribution below which ``share`` of it lies; none where it cannot say."""
    base = fn.base_dist if isinstance(fn, dist.Independent) else fn
    if isinstance(base, Product):
        parts = zip(base.parts, share.split(base.widths, -1), strict=True)
        values = [quantile(part, each) for part, each in parts]
        known = [value for value in values if value is not None]
        return torch.cat(known, -1) if len(known) == len(values) else None
    if isinstance(base, dist.MixtureSameFamily) and base.event_shape:
        return _mixture_quantile(base, share)
    if isinstance(base, LogitRelaxedBernoulli):
        return (base.logits + torch.logit(share)) / base.temperature
    if isinstance(base, dist.Bernoulli):
        return (share > 1 - base.probs).to(base.probs)
    try:
        return base.icdf(share)
    except NotImplementedError:
        return None


def _mixture_quantile(mixture: Any, share: Tensor) -> Tensor | None:
    """A value of a mixture of independent coordinates.

    The first coordinate's share chooses the component too: within the component's part of the
    unit interval it is uniform again.
    """
    weights = torch.softmax(mixture.mixture_distribution.logits, -1).expand(*share.shape[:-1], -1)
    ends = weights.cumsum(-1)
    first = share[..., :1]
    chosen = (first > ends).sum(-1, keepdim=True).clamp(max=weights.shape[-1] - 1)
    weight = weights.gather(-1, chosen)
    own = (first - (ends.gather(-1, chosen) - weight)) / weight
    share = torch.cat((own.clamp(_MARGIN, 1 - _MARGIN), share[..., 1:]), -1)
    every = quantile(mixture.component_distribution, share[..., None, :])
    return None if every is None else of_component(every, chosen.squeeze(-1))
