"""Most likely values in place of samples."""

from typing import Any

import pyro.distributions as dist
import torch
from pyro.poutine.messenger import Messenger
from torch import Tensor

from scalor_ppl.nn.distributions import ModalDistribution
from scalor_ppl.nn.mixtures import Product, heaviest
from scalor_ppl.nn.tempered import FreeMixture
from scalor_ppl.nn.unfolded import Unfolded


class MostLikely(Messenger):
    """Give every latent site the mode of its distribution in place of a sample.

    For tracks and pictures, where noise helps nobody. For a Normal the mode is the mean; for a
    mixture, the mean of its heaviest component that is not noise itself; for presence, hard or
    relaxed, the side of 1/2 on which its probability lies.
    """

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        if msg["is_observed"] or msg["done"] or msg["value"] is not None:
            return
        msg["value"] = mode_of(msg["fn"])


def mode_of(fn: Any) -> Tensor | None:
    """The mode of a distribution as :class:`MostLikely` has it; none where it has none."""
    if isinstance(fn, Unfolded):
        mode = mode_of(fn.base_dist)
        return None if mode is None else fn.unfolded(mode)
    if isinstance(fn, dist.MixtureSameFamily):
        return heaviest(fn.with_noise(0.0) if isinstance(fn, FreeMixture) else fn)
    if isinstance(fn, Product):
        modes = [mode_of(part.expand(fn.batch_shape)) for part in fn.parts]
        known = [mode for mode in modes if mode is not None]
        return torch.cat(known, -1) if len(known) == len(modes) else None
    if isinstance(fn, ModalDistribution):
        return fn.mode
    if hasattr(fn, "logits"):
        # Not Bernoulli.mode, which is NaN at an even chance.
        return (fn.logits > 0).to(fn.logits)
    try:
        return fn.mean
    except (AttributeError, NotImplementedError):
        return None
