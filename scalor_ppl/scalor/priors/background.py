"""Background transitions."""

import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn

from scalor_ppl.nn.distributions import diagonal_normal
from scalor_ppl.nn.gathered import GatheredGRUCell
from scalor_ppl.nn.kernels import KernelNormals
from scalor_ppl.nn.layers import mlp, positive, starting_small
from scalor_ppl.nn.tempered import FreeMixture
from scalor_ppl.scalor.priors.base import BackgroundPrior
from scalor_ppl.scalor.priors.tables import Table
from scalor_ppl.scalor.settings import ModelConfig
from scalor_ppl.scalor.slots import Objects

COMPONENTS = 768


class RecurrentBackground(BackgroundPrior):
    """p(z_bg_t | z_bg_<t, z_fg_t) of the paper: a GRU over the past and the objects present.

    The first frame's z_bg is standard normal plus what the objects say.

    Args:
        config: of the model.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        background, hidden = config.background_dim, config.hidden
        self.background = background
        self.hidden = hidden
        self.embed = mlp(6 + config.what, hidden, hidden)
        self.cell = GatheredGRUCell(background, hidden)
        self.first = nn.Parameter(torch.zeros(hidden))
        self.head = starting_small(mlp(2 * hidden, hidden, 2 * background))

    def initial(self, videos: int) -> Tensor:
        """The state before the first frame, ``[B, hidden]``."""
        return self.first.expand(videos, self.hidden)

    def update(self, state: Tensor, z_bg: Tensor) -> Tensor:
        """The state after z_bg ``[B, background]`` of a frame is known."""
        return self.cell(z_bg, state)

    def forward(self, state: Tensor, last: Tensor | None, objects: Objects) -> TorchDistribution:
        """Normal about the last z_bg, given the state and the mean object, weighted by z_pres."""
        foreground = (
            self.embed(objects.code(self.config.anywhere)) * objects.presence[..., None]
        ).sum(1)
        foreground = foreground / (1 + objects.presence.sum(1, keepdim=True))
        loc, scale = self.head(torch.cat((state, foreground), -1)).chunk(2, -1)
        if last is not None:
            loc = loc + last
        # softplus^-1(1): the first prior starts as a standard normal.
        return diagonal_normal(loc[:, None], positive(scale, 0.5413)[:, None])


class IndependentBackground(BackgroundPrior):
    """z_bg ~ N(0, 1) in every frame: the background of a frame says nothing of the next.

    A baseline: what the transition is worth is the difference to this. Generated videos flicker.
    """

    def forward(self, state: Tensor, last: Tensor | None, objects: Objects) -> TorchDistribution:
        """Standard normal."""
        loc = self.zero.expand(len(objects.presence), 1, self.config.background_dim)
        return diagonal_normal(loc, torch.ones_like(loc))


class MixtureBackground(BackgroundPrior):
    """z_bg from a kernel density at first, then about a filtered mean, which a GRU sees drift.

    What a posterior says of a background jitters; the mean follows it by learned gains, so that the
    jitter does not add up to a walk. But most of the noise is no jitter: where a background will be
    some frames later is not to be foreseen, and on average over all of that it is grey. So its
    noise is never scaled. What the objects are is not asked for.

    Args:
        config: of the model.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        background, hidden = config.background_dim, config.hidden
        self.widths = (hidden, background, 1)
        self.background = background
        self.first = KernelNormals(COMPONENTS, background, 1)
        self.cell = GatheredGRUCell(2 * background, hidden)
        self.gain = Table(torch.zeros(background))
        self.head = starting_small(mlp(hidden, hidden, 2 * background))
        self.noise = Table(torch.full((background,), -2.0))

    def initial(self, videos: int) -> Tensor:
        """The state before the first frame: nothing is known."""
        return self.zero.expand(videos, sum(self.widths))

    def update(self, state: Tensor, z_bg: Tensor) -> Tensor:
        """The state after z_bg ``[B, background]`` of a frame is known."""
        hidden, mean, age = state.split(self.widths, -1)
        surprise = (z_bg - mean).masked_fill(age == 0, 0.0)
        hidden = self.cell(torch.cat((z_bg, surprise), -1), hidden)
        mean = torch.where(age == 0, z_bg, mean + torch.sigmoid(self.gain()) * surprise)
        drift, _ = self.head(hidden).chunk(2, -1)
        return torch.cat((hidden, mean + drift, age + 1), -1)

    def forward(self, state: Tensor, last: Tensor | None, objects: Objects) -> TorchDistribution:
        """The kernel density in the first frame, later a normal about the mean."""
        if last is None:
            return self.first(self.zero.expand(len(state), 1, 1)).first(self.background)
        hidden, mean, _ = state.split(self.widths, -1)
        _, scale = self.head(hidden).chunk(2, -1)
        normal = diagonal_normal(mean[:, None, None], positive(scale + self.noise())[:, None, None])
        alone = self.zero.expand(len(state), 1, 1)
        free = torch.ones_like(alone, dtype=torch.bool)
        return FreeMixture(dist.Categorical(logits=alone), normal, free)

    def begin(self, draws: Tensor) -> None:
        """Begin from z_bg of any frames, ``[R, background]``, R >= 2."""
        self.first.begin(draws, draws, self.zero.expand(len(draws), 1))
