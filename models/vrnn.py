"""The generative program of the VRNN (Chung et al., NeurIPS 2015), section 3, on video.

    p(x_1:T, z_1:T) = prod_t  p(x_t | z_<=t, x_<t)  p(z_t | x_<t, z_<t)

    z_t ~ N(mu_0, diag sigma_0^2),   mu_0, sigma_0 = phi_prior(h_t-1)               equation 5
    x_t ~ N(mu_x, sigma^2),          mu_x = phi_dec(phi_z(z_t), h_t-1)              equation 6
    h_t = f(phi_x(x_t), phi_z(z_t), h_t-1)                                          equation 7

It is the baseline of Jiang et al. (ICLR 2020), section 5.2: an LSTM f of 128 dimensions, a latent
variable of 128, convolutional phi_x and phi_dec. As there, sigma is fixed (Chung et al. learn it).

Sites, with B videos, frames t = 0 ... T - 1. ``conditioning`` or intervening on any of them is
Pyro's ``condition`` and ``poutine.do``.

===========  ===================  ================================================================
site         value                meaning
===========  ===================  ================================================================
``z_{t}``    ``[B, 1, latent]``   what happens in the frame, as far as the past does not tell
``x_{t}``    ``[B, 1, C, H, W]``  the frame, observed for the frames given
===========  ===================  ================================================================

Plate: ``videos`` (dim -2). The recurrence takes in the frames themselves. Where they are not
observed, these are the frames as sampled, with the noise of their pixels, as equation 7 has it:
trained on clean frames, the networks see that noise in imagined videos only.
"""

from typing import NamedTuple

import pyro
import torch
from pydantic import Field
from pyro.distributions import TorchDistribution
from torch import Tensor, nn
from torch.nn import functional as F

from scalor_ppl.config.schema import Config, ModelSettings, Section
from scalor_ppl.nn.distributions import PixelNormal, diagonal_normal
from scalor_ppl.nn.layers import ImageDecoder, ImageEncoder, kept_in_scale, positive
from scalor_ppl.programs import Family, Memory, Once

# Prior and posterior start with this standard deviation (before softplus): about 0.13.
SCALE_SHIFT = -2.0


class VrnnSettings(ModelSettings):
    """The generative program.

    Attributes:
        latent: dimension of z_t (paper: 128).
        hidden: dimension of h_t, the LSTM's state (paper: 128).
        features: dimensions of phi_x(x_t) and of phi_z(z_t).
        maps: channels of the smallest maps of the convolutional phi_x and phi_dec.
    """

    latent: int = Field(128, ge=1)
    hidden: int = Field(128, ge=1)
    features: int = Field(64, ge=1)
    maps: int = Field(64, ge=1)


class VrnnGuideSettings(Section):
    """The amortized posterior.

    Attributes:
        hidden: width of the hidden layer of phi_enc.
    """

    hidden: int = Field(128, ge=1)


class VrnnConfig(Config):
    """Everything that decides a run of the VRNN."""

    model: VrnnSettings = VrnnSettings()
    guide: VrnnGuideSettings = VrnnGuideSettings()


FAMILY = Family("vrnn", VrnnConfig)


class LstmState(NamedTuple):
    """The LSTM after a frame: h_t and its cell, ``[B, hidden]`` each."""

    h: Tensor
    cell: Tensor


class Scene(NamedTuple):
    """What one run of the program made.

    Attributes:
        image: ``[B, T, C, H, W]``, the mean of the pixels, in [0, 1].
        latents: z_t ``[B, T, latent]``.
        memory: what the model would go on with.
    """

    image: Tensor
    latents: Tensor
    memory: LstmState


class Vrnn(nn.Module):
    """The program.

    Args:
        config: with height, width and channels filled in.
    """

    def __init__(self, config: VrnnSettings) -> None:
        super().__init__()
        self.config = config
        (size, channels), seen = config.known_frames(), config.features
        self.phi_x = ImageEncoder(channels, size, seen, config.maps)
        self.phi_z = kept_in_scale(nn.Sequential(nn.Linear(config.latent, seen), nn.CELU()))
        self.phi_prior = nn.Linear(config.hidden, 2 * config.latent)
        self.phi_dec = ImageDecoder(
            seen + config.hidden, channels, size, config.maps, config.hidden
        )
        self.f = nn.LSTMCell(2 * seen, config.hidden)
        # h_0 and its cell.
        self.beginning = nn.Parameter(torch.zeros(2, config.hidden))
        self.once = Once()

    # ------------------------------------------------------------------ the equations
    # Guide and model both call the methods of this part, through ``self.once``.

    def begin(self, videos: int | Tensor) -> LstmState:
        """h_0 of so many videos, or of these, ``[B, hidden]``."""
        count = videos if isinstance(videos, int) else len(videos)
        h, cell = self.beginning[:, None].expand(2, count, -1)
        return LstmState(h, cell)

    def prior(self, past: LstmState) -> TorchDistribution:
        """p(z_t | x_<t, z_<t) ``[B, 1]`` (equation 5)."""
        loc, scale = self.phi_prior(past.h)[:, None].chunk(2, -1)
        return diagonal_normal(loc, positive(scale, SCALE_SHIFT))

    def mean(self, z: Tensor, past: LstmState) -> Tensor:
        """mu_x ``[B, C, H, W]`` in [0, 1], from z_t ``[B, 1, latent]`` (equation 6)."""
        return torch.sigmoid(self.phi_dec(torch.cat((self.once(self.embedded, z), past.h), -1)))

    def recur(self, x: Tensor, z: Tensor, past: LstmState) -> LstmState:
        """h_t, from x_t ``[B, 1, C, H, W]`` and z_t ``[B, 1, latent]`` (equation 7)."""
        seen = torch.cat((self.once(self.seen, x), self.once(self.embedded, z)), -1)
        return LstmState(*self.f(seen, past))

    def seen(self, x: Tensor) -> Tensor:
        """phi_x(x_t) ``[B, features]``, from ``[B, 1, C, H, W]``."""
        return F.celu(self.phi_x(x.squeeze(1)))

    def embedded(self, z: Tensor) -> Tensor:
        """phi_z(z_t) ``[B, features]``, from ``[B, 1, latent]``."""
        return self.phi_z(z.squeeze(1))

    # ------------------------------------------------------------------ the generative program

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
        observed = () if video is None else self.once(each_frame, video)
        length = frames or len(observed)
        if not length:
            raise ValueError("give a video to observe, or the number of frames to sample")
        if memory is None:
            past = self.once(self.begin, videos if video is None else video)
        else:
            past = self.once(LstmState, *memory.foreseen)
        means, latents = [], []
        with pyro.plate("videos", len(past.h), dim=-2):
            for t in range(length):
                z = pyro.sample(f"z_{t}", self.prior(past))
                mean = self.mean(z, past)
                x = pyro.sample(
                    f"x_{t}",
                    PixelNormal(mean[:, None], self.config.sigma, event_dim=3),
                    obs=observed[t] if t < len(observed) else None,
                )
                past = self.once(self.recur, x, z, past)
                means.append(mean)
                latents.append(z)
        self.once.forget()
        return Scene(torch.stack(means, 1), torch.cat(latents, 1), past)


def each_frame(video: Tensor) -> tuple[Tensor, ...]:
    """The frames of a video ``[B, T, C, H, W]``, ``[B, 1, C, H, W]`` each."""
    return video[:, :, None].unbind(1)


def build_model(config: VrnnConfig) -> Vrnn:
    """The program of a configuration."""
    return Vrnn(config.model)
