"""A sequential VAE on video: a baseline of SCALOR (Jiang et al., ICLR 2020), section 5.2.

    p(x_1:T, z_1:T) = prod_t  p(x_t | z_t)  p(z_t | z_<t)

The paper has no equations for it. It says: "one latent variable z of dimensionality 64, and a
sequential prior p(z_t | z_<t). It is similar to our background module with the same number of
latent variables for encoder and decoder." Taken at its word, that is the background of SCALOR
(section 3.1, p(z_bg_t | z_bg_<t, z_fg_t), and algorithm 3) where nothing is in the foreground:

    z_t ~ N(z_t-1 + mu_p, diag sigma_p^2),  mu_p, sigma_p = head(h_t)     transition
    h_t+1 = GRU(z_t, h_t)
    x_t ~ N(mu_x, sigma^2),                 mu_x = decoder(z_t)           rendering

with a standard normal in the place of the first frame's (z_0 = 0, the head begins at zero and one).
With ``model.prior = "independent"`` all frames have z_t ~ N(0, 1), a VAE of each frame by itself:
what the transition is worth is the difference to that.

Sites, with B videos, frames t = 0 ... T - 1. ``conditioning`` or intervening on any of them is
Pyro's ``condition`` and ``poutine.do``.

===========  ===================  ================================================================
site         value                meaning
===========  ===================  ================================================================
``z_{t}``    ``[B, 1, latent]``   the whole frame
``x_{t}``    ``[B, 1, C, H, W]``  the frame, observed for the frames given
===========  ===================  ================================================================

Plate: ``videos`` (dim -2).
"""

from typing import Literal, NamedTuple

import pyro
import torch
from pydantic import Field
from pyro.distributions import TorchDistribution
from torch import Tensor, nn

from scalor_ppl.config.schema import Config, ModelSettings, Section
from scalor_ppl.nn.distributions import PixelNormal, diagonal_normal
from scalor_ppl.nn.layers import ImageDecoder, mlp, positive
from scalor_ppl.programs import Family, Memory

# softplus^-1(1): the prior starts as a standard normal.
UNIT = 0.5413


class SequentialVaeSettings(ModelSettings):
    """The generative program.

    Attributes:
        latent: dimension of z_t (paper: 64).
        prior: ``sequential``, p(z_t | z_<t), the paper's; or ``independent``, N(0, 1).
        hidden: dimension of the transition's state.
        maps: channels of the decoder's smallest map.
        features: width of the decoder's fully connected layer.
    """

    latent: int = Field(64, ge=1)
    prior: Literal["sequential", "independent"] = "sequential"
    hidden: int = Field(128, ge=1)
    maps: int = Field(64, ge=1)
    features: int = Field(128, ge=1)


class SequentialVaeGuideSettings(Section):
    """The amortized posterior.

    Attributes:
        maps: channels of the encoder's smallest map.
        features: width of the encoder's fully connected layer.
    """

    maps: int = Field(64, ge=1)
    features: int = Field(128, ge=1)


class SequentialVaeConfig(Config):
    """Everything that decides a run of the sequential VAE."""

    model: SequentialVaeSettings = SequentialVaeSettings()
    guide: SequentialVaeGuideSettings = SequentialVaeGuideSettings()


FAMILY = Family("sequential-vae", SequentialVaeConfig)


class TransitionState(NamedTuple):
    """After a frame: the transition's state ``[B, hidden]``, and the frame's z ``[B, latent]``."""

    h: Tensor
    z: Tensor


class Scene(NamedTuple):
    """What one run of the program made.

    Attributes:
        image: ``[B, T, C, H, W]``, the mean of the pixels, in [0, 1].
        latents: z_t ``[B, T, latent]``.
        memory: what the model would go on with.
    """

    image: Tensor
    latents: Tensor
    memory: TransitionState


class SequentialPrior(nn.Module):
    """p(z_t | z_<t): a GRU over the past, and a step from the last z."""

    def __init__(self, latent: int, hidden: int) -> None:
        super().__init__()
        self.gru = nn.GRUCell(latent, hidden)
        self.head = mlp(hidden, hidden, 2 * latent)
        self.beginning = nn.Parameter(torch.zeros(hidden))
        with torch.no_grad():
            last = self.head[-1]
            assert isinstance(last, nn.Linear)
            last.weight.mul_(0.1)
            last.bias.zero_()

    def begin(self, zero: Tensor) -> TransitionState:
        """Before the first frame, z_0 ``[B, latent]`` being zero."""
        return TransitionState(self.beginning.expand(len(zero), -1), zero)

    def forward(self, past: TransitionState) -> TorchDistribution:
        """Of z_t, ``[B, 1]``."""
        step, scale = self.head(past.h)[:, None].chunk(2, -1)
        return diagonal_normal(past.z[:, None] + step, positive(scale, UNIT))

    def update(self, past: TransitionState, z: Tensor) -> TransitionState:
        """After z_t ``[B, latent]``."""
        return TransitionState(self.gru(z, past.h), z)


class IndependentPrior(nn.Module):
    """z_t ~ N(0, 1), whatever came before."""

    def begin(self, zero: Tensor) -> TransitionState:
        """Before the first frame; there is nothing to remember, neither here nor later."""
        return TransitionState(zero, zero)

    def forward(self, past: TransitionState) -> TorchDistribution:
        """Of z_t, ``[B, 1]``."""
        return diagonal_normal(past.z[:, None], torch.ones_like(past.z[:, None]))

    def update(self, past: TransitionState, z: Tensor) -> TransitionState:
        """As before."""
        return past


class SequentialVae(nn.Module):
    """The program.

    Args:
        config: with height, width and channels filled in.
    """

    zero: Tensor

    def __init__(self, config: SequentialVaeSettings) -> None:
        super().__init__()
        self.config = config
        self.size, self.channels = config.known_frames()
        self.prior: SequentialPrior | IndependentPrior = IndependentPrior()
        if config.prior == "sequential":
            self.prior = SequentialPrior(config.latent, config.hidden)
        self.decoder = ImageDecoder(
            config.latent, self.channels, self.size, config.maps, config.features
        )
        self.register_buffer("zero", torch.zeros(config.latent), persistent=False)

    def forward(
        self,
        video: Tensor | None = None,
        *,
        memory: Memory | None = None,
        videos: int = 1,
        frames: int | None = None,
    ) -> Scene:
        """Run the program.

        Args:
            video: observed frames ``[B, T', C, H, W]`` in [0, 1]; none observes nothing.
            memory: after the frames before these, of the same videos; none begins anew.
            videos: B, where no video is given.
            frames: T; frames from T' on are not observed. T' by default.

        Returns:
            The scene.
        """
        observed: tuple[Tensor, ...] = ()
        if video is not None:
            videos = len(video)
            observed = video[:, None].unbind(2)
        length = frames or len(observed)
        if not length:
            raise ValueError("give a video to observe, or the number of frames to sample")
        plate = pyro.plate("videos", videos, dim=-2)
        zero = self.zero.expand(videos, -1)
        past = self.prior.begin(zero) if memory is None else TransitionState(*memory.foreseen)
        codes = []
        for t in range(length):
            with plate:
                z = pyro.sample(f"z_{t}", self.prior(past)).squeeze(1)
            past = self.prior.update(past, z)
            codes.append(z)
        latents = torch.stack(codes, 1)
        image = self.decode(latents)
        for t, mean in enumerate(image.unbind(1)):
            with plate:
                pyro.sample(
                    f"x_{t}",
                    PixelNormal(mean[:, None], self.config.sigma, event_dim=3),
                    obs=observed[t] if t < len(observed) else None,
                )
        return Scene(image, latents, past)

    def decode(self, latents: Tensor) -> Tensor:
        """mu_x ``[B, T, C, H, W]`` in [0, 1], from z ``[B, T, latent]``: all frames at once."""
        pixels = self.decoder(latents.flatten(0, 1)).unflatten(0, latents.shape[:2])
        return torch.sigmoid(pixels)


def build_model(config: SequentialVaeConfig) -> SequentialVae:
    """The program of a configuration."""
    return SequentialVae(config.model)
