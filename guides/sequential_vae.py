"""The amortized posterior of the sequential VAE.

    q(z_1:T | x_1:T) = prod_t  q(z_t | x_t),    mu_q, sigma_q = encoder(x_t)

It is that of SCALOR's background (Jiang et al., ICLR 2020, equation 8 and algorithm 3) where
nothing is in the foreground: each frame is encoded by itself, all frames at once. What a frame
leaves open the transition cannot fill in here; it only weighs z_t in the bound.
"""

from typing import Any, NamedTuple

import pyro
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scalor_ppl.models.sequential_vae import (
    SequentialVae,
    SequentialVaeConfig,
    SequentialVaeGuideSettings,
)
from scalor_ppl.nn.distributions import diagonal_normal
from scalor_ppl.nn.layers import ImageEncoder, kept_in_scale, mlp, positive

# The posterior starts with this standard deviation (before softplus): about 0.13.
SCALE_SHIFT = -2.0


class Inferred(NamedTuple):
    """What one run of the guide made.

    Attributes:
        latents: z_t ``[B, T, latent]``.
        memory: empty: a frame's posterior knows that frame only.
    """

    latents: Tensor
    memory: tuple[()]


class SequentialVaeGuide(nn.Module):
    """The guide.

    Args:
        config: of the guide.
        model: the program whose posterior this is.
    """

    def __init__(self, config: SequentialVaeGuideSettings, model: SequentialVae) -> None:
        super().__init__()
        self.encoder = ImageEncoder(model.channels, model.size, config.features, config.maps)
        self.head = kept_in_scale(mlp(config.features, 2 * model.config.latent))

    def forward(self, video: Tensor, **_: Any) -> Inferred:
        """Sample the posterior of the observed frames.

        Args:
            video: ``[B, T, C, H, W]`` in [0, 1]. The model's other arguments change nothing here.

        Returns:
            The latents, and what to go on with.
        """
        seen = F.celu(self.encoder(video.flatten(0, 1)))
        raw = self.head(seen).unflatten(0, video.shape[:2])
        latents = []
        with pyro.plate("videos", len(video), dim=-2):
            for t, frame in enumerate(raw.unbind(1)):
                loc, scale = frame[:, None].chunk(2, -1)
                posterior = diagonal_normal(loc, positive(scale, SCALE_SHIFT))
                latents.append(pyro.sample(f"z_{t}", posterior))
        return Inferred(torch.cat(latents, 1), ())


def build_guide(config: SequentialVaeConfig, model: SequentialVae) -> SequentialVaeGuide:
    """The guide of a configuration."""
    return SequentialVaeGuide(config.guide, model)
