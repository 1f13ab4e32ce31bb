"""The amortized posterior of the VRNN (Chung et al., NeurIPS 2015), section 3.

    q(z_1:T | x_1:T) = prod_t  q(z_t | x_<=t, z_<t)                                 equation 10

    z_t ~ N(mu_z, diag sigma_z^2),   mu_z, sigma_z = phi_enc(phi_x(x_t), h_t-1)     equation 9

The guide has the site ``z_{t}`` of every frame given. h_t is the model's own recurrence, computed
once for both (``model.once``): the posterior sees what the prior sees, and the frame.
"""

from typing import Any, NamedTuple

import pyro
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn

from scalor_ppl.models.vrnn import LstmState, Vrnn, VrnnConfig, VrnnGuideSettings, each_frame
from scalor_ppl.nn.distributions import diagonal_normal
from scalor_ppl.nn.layers import kept_in_scale, mlp, positive
from scalor_ppl.programs import Memory

# The posterior starts with this standard deviation (before softplus): about 0.13.
SCALE_SHIFT = -2.0


class Inferred(NamedTuple):
    """What one run of the guide made.

    Attributes:
        latents: z_t ``[B, T, latent]``.
        memory: what the guide would go on with: the model's recurrence is all it has.
    """

    latents: Tensor
    memory: LstmState


class VrnnGuide(nn.Module):
    """The guide. Holds the model by reference, not as a part of itself.

    Args:
        config: of the guide.
        model: the program whose posterior this is.
    """

    def __init__(self, config: VrnnGuideSettings, model: Vrnn) -> None:
        super().__init__()
        # In a list, so that the model's parameters are not counted as the guide's.
        self._model = [model]
        shape = model.config
        seen = shape.features + shape.hidden
        self.phi_enc = kept_in_scale(mlp(seen, config.hidden, 2 * shape.latent))

    @property
    def model(self) -> Vrnn:
        """The program."""
        return self._model[0]

    def posterior(self, x: Tensor, past: LstmState) -> TorchDistribution:
        """q(z_t | x_<=t, z_<t) ``[B, 1]``, from x_t ``[B, 1, C, H, W]`` (equation 9)."""
        seen = torch.cat((self.model.once(self.model.seen, x), past.h), -1)
        loc, scale = self.phi_enc(seen)[:, None].chunk(2, -1)
        return diagonal_normal(loc, positive(scale, SCALE_SHIFT))

    def forward(self, video: Tensor, *, memory: Memory | None = None, **_: Any) -> Inferred:
        """Sample the posterior of the observed frames.

        Args:
            video: ``[B, T, C, H, W]`` in [0, 1]. The model's other arguments change nothing here.
            memory: after the frames before these; none begins anew.

        Returns:
            The latents, and what to go on with.
        """
        model = self.model
        model.once.forget()
        if memory is None:
            past = model.once(model.begin, video)
        else:
            past = model.once(LstmState, *memory.foreseen)
        latents = []
        with pyro.plate("videos", len(video), dim=-2):
            for t, x in enumerate(model.once(each_frame, video)):
                z = pyro.sample(f"z_{t}", self.posterior(x, past))
                past = model.once(model.recur, x, z, past)
                latents.append(z)
        return Inferred(torch.cat(latents, 1), past)


def build_guide(config: VrnnConfig, model: Vrnn) -> VrnnGuide:
    """The guide of a configuration."""
    return VrnnGuide(config.guide, model)
