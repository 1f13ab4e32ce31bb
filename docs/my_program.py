"""A program of one's own in one file: a deep Markov model (Krishnan et al. 2017), on video.

z_t ~ N(A z_t-1, diag s^2),   z_0 ~ N(0, 1),   x_t ~ N(decoder(z_t), sigma^2)
q(z_t | x_t, z_t-1) = N(mu, diag tau^2),       mu, tau = encoder(x_t), z_t-1
"""

from typing import Any, NamedTuple

import pyro
import torch
from pydantic import Field
from pyro.distributions import TorchDistribution
from torch import Tensor, nn

from scalor_ppl.config.schema import Config, ModelSettings, Section
from scalor_ppl.nn.distributions import PixelNormal, diagonal_normal
from scalor_ppl.nn.layers import GridEncoder, ImageDecoder, mlp, positive
from scalor_ppl.programs import Family, Memory


class MarkovSettings(ModelSettings):
    """The table ``model``: its size and sigma are those of every program.

    Attributes:
        latent: dimension of z_t.
    """

    latent: int = Field(16, ge=1)


class MarkovGuideSettings(Section):
    """The table ``guide``.

    Attributes:
        hidden: width of the encoder.
    """

    hidden: int = Field(64, ge=1)


class MarkovConfig(Config):
    """All tables of the configuration."""

    model: MarkovSettings = MarkovSettings()
    guide: MarkovGuideSettings = MarkovGuideSettings()


FAMILY = Family("deep-markov", MarkovConfig)


class Scene(NamedTuple):
    """What the model returns.

    Attributes:
        image: ``[B, T, C, H, W]``, the mean of the pixels, in [0, 1].
        memory: z of the last frame, ``[B, latent]``: all that the model goes on with.
    """

    image: Tensor
    memory: Tensor


class Inferred(NamedTuple):
    """What the guide returns.

    Attributes:
        memory: z of the last frame, ``[B, latent]``.
    """

    memory: Tensor


class Markov(nn.Module):
    """The model."""

    def __init__(self, settings: MarkovSettings) -> None:
        super().__init__()
        assert settings.height is not None
        assert settings.width is not None
        assert settings.channels is not None
        self.settings = settings
        self.size = (settings.height, settings.width)
        self.channels = settings.channels
        self.dynamics = nn.Linear(settings.latent, settings.latent, bias=False)
        nn.init.eye_(self.dynamics.weight)
        self.noise = nn.Parameter(torch.zeros(settings.latent))
        self.decoder = ImageDecoder(settings.latent, self.channels, self.size)

    def transition(self, last: Tensor | None, videos: int) -> TorchDistribution:
        """p(z_t | z_t-1), batch ``[B, 1]``, event ``[latent]``."""
        if last is None:
            loc = self.noise.new_zeros(videos, 1, self.settings.latent)
            return diagonal_normal(loc, torch.ones_like(loc))
        loc = self.dynamics(last)[:, None]
        return diagonal_normal(loc, positive(self.noise).expand_as(loc))

    def forward(
        self,
        video: Tensor | None = None,
        *,
        memory: Memory | None = None,
        videos: int = 1,
        frames: int | None = None,
    ) -> Scene:
        """Observe the frames of a video ``[B, T, C, H, W]``; sample those beyond from the prior."""
        seen = () if video is None else video[:, :, None].unbind(1)
        count = videos if video is None else len(video)
        last = None if memory is None else memory.foreseen
        images = []
        with pyro.plate("videos", count, dim=-2):
            for t in range(frames or len(seen)):
                last = pyro.sample(f"z_{t}", self.transition(last, count)).squeeze(1)
                image = torch.sigmoid(self.decoder(last))
                pixels = PixelNormal(image[:, None], self.settings.sigma, event_dim=3)
                pyro.sample(f"x_{t}", pixels, obs=seen[t] if t < len(seen) else None)
                images.append(image)
        assert last is not None
        return Scene(torch.stack(images, 1), last)


class MarkovGuide(nn.Module):
    """The guide: a site of the model's for each observed frame."""

    def __init__(self, settings: MarkovGuideSettings, model: Markov) -> None:
        super().__init__()
        latent = model.settings.latent
        self.latent = latent
        self.encoder = nn.Sequential(
            GridEncoder(model.channels, 32, model.size, grid=(4, 4)),
            nn.Flatten(),
            nn.Linear(32 * 4 * 4, settings.hidden),
            nn.CELU(),
        )
        self.head = mlp(settings.hidden + latent, settings.hidden, 2 * latent)

    def forward(self, video: Tensor, *, memory: Memory | None = None, **_: Any) -> Inferred:
        """Sample the posterior of a video ``[B, T, C, H, W]``."""
        last = video.new_zeros(len(video), self.latent) if memory is None else memory.seen
        features = self.encoder(video.flatten(0, 1)).unflatten(0, video.shape[:2])
        with pyro.plate("videos", len(video), dim=-2):
            for t, feature in enumerate(features.unbind(1)):
                loc, scale = self.head(torch.cat((feature, last), -1))[:, None].chunk(2, -1)
                posterior = diagonal_normal(loc, positive(scale, -2.0))
                last = pyro.sample(f"z_{t}", posterior).squeeze(1)
        return Inferred(last)


def build_model(config: MarkovConfig) -> Markov:
    """The model of a configuration."""
    return Markov(config.model)


def build_guide(config: MarkovConfig, model: Markov) -> MarkovGuide:
    """The guide of a configuration."""
    return MarkovGuide(config.guide, model)
