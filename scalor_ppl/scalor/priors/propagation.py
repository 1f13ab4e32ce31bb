"""Propagation priors in which every tracker goes its own way."""

import torch
from torch import Tensor, nn

from scalor_ppl.nn.distributions import Presence
from scalor_ppl.nn.gathered import GatheredGRUCell
from scalor_ppl.nn.layers import mlp, positive, starting_small
from scalor_ppl.scalor.priors.base import (
    ObjectDistributions,
    PropagationPrior,
    object_distributions,
    persistence,
)
from scalor_ppl.scalor.priors.tables import Table
from scalor_ppl.scalor.settings import ModelConfig
from scalor_ppl.scalor.slots import Objects, Trackers

# Log-odds of survival before training. High, against propagation collapse.
SURVIVAL = 5.0
# Shifts before softplus: standard deviations of 0.31 and of 1.
NARROW, WIDE = -1.0, 0.5413


class RecurrentPropagation(PropagationPrior):
    """p(z^P_t | z_<t) of the paper: a GRU per tracker (equation 4), all in parallel.

    From the state h of a tracker: the log-odds beta(h) of z_pres; the next movement; size, depth
    and z_what as changes of the last ones, so that without evidence an object stays what it is.

    Args:
        config: of the model.
        survival: log-odds of survival before training.
    """

    def __init__(self, config: ModelConfig, survival: float = SURVIVAL) -> None:
        super().__init__(config)
        what, hidden = config.what, config.hidden
        self.what = what
        self.survival = survival
        self.hidden = hidden
        self.embed = mlp(6 + what, hidden)
        self.cell = GatheredGRUCell(hidden, hidden)
        self.newborn = nn.Parameter(torch.zeros(hidden))
        self.head = starting_small(mlp(hidden, hidden, 1 + 2 * (4 + 1 + what)))

    def initial(self, shape: tuple[int, int]) -> Tensor:
        """The state of objects just discovered, ``[B, n, hidden]``."""
        return self.newborn.expand(*shape, self.hidden)

    def update(self, state: Tensor, trackers: Trackers) -> Tensor:
        """The state after the trackers' latents of this frame are known, ``[B, K, hidden]``."""
        code = self.embed.celu(self.seen(trackers.objects))
        return self.cell(code.flatten(0, 1), state.flatten(0, 1)).unflatten(0, state.shape[:2])

    def forward(self, presence: Presence, state: Tensor, trackers: Trackers) -> ObjectDistributions:
        """Distributions of the trackers' next latents, batch shape ``[B, K]``."""
        survive, loc, scale = self.head(state).split((1, 5 + self.what, 5 + self.what), -1)
        return object_distributions(
            presence,
            survive.squeeze(-1) + self.survival,
            loc + self.expected(trackers.objects),
            positive(scale, NARROW),
        )

    def seen(self, objects: Objects) -> Tensor:
        """What the state is told of the objects of a frame, ``[B, K, n]``; n as `embed` takes."""
        return objects.code(self.config.anywhere)

    def expected(self, last: Objects) -> Tensor:
        """Raw where, depth and what that the head's changes are added to, ``[B, K, 5 + D]``."""
        return persistence(last)


class MomentumPropagation(RecurrentPropagation):
    """The paper's GRU, which also knows the last movement and expects it to go on.

    The paper's prior sees places, has to remember the last one to know a velocity, and expects an
    object to stand still until it has learned otherwise; in trainings of minutes it does not. Here
    the state gets the movement as well, and the next one is foreseen as a change of the last.

    Args:
        config: of the model.
        survival: log-odds of survival before training.
    """

    def __init__(self, config: ModelConfig, survival: float = SURVIVAL) -> None:
        super().__init__(config, survival)
        self.embed = mlp(6 + config.what + 2, self.hidden)

    def seen(self, objects: Objects) -> Tensor:
        """As the paper's, and the last movement: ``[B, K, 6 + D + 2]``."""
        return torch.cat((super().seen(objects), objects.raw[..., :2]), -1)

    def expected(self, last: Objects) -> Tensor:
        """The same movement again, all else as it is: ``[B, K, 5 + D]``."""
        return torch.cat((last.raw[..., :2], super().expected(last)[..., 2:]), -1)


class VelocityPropagation(PropagationPrior):
    """Constant velocity with noise: no network, and no memory beyond the last frame.

    With m the movement before it is bounded (``z_where[..., :2]``), and s, d, w the rest,

        m_t ~ N(gain * m_{t-1}, sigma_m)       of an object that was there before
        m_t ~ N(0, sigma_1)                    of one found in the last frame: it has not moved yet
        (s, d, w)_t ~ N((s, d, w)_{t-1}, sigma)
        z_pres ~ Bernoulli(sigmoid(survival)).

    As a step is ``max_step * tanh(m)``, a constant m is a constant velocity in the image. Gain (one
    for x, one for y, 1 before training), all sigmas (by coordinate) and survival are learned.

    Args:
        config: of the model.
        survival: log-odds of survival before training.
    """

    def __init__(self, config: ModelConfig, survival: float = SURVIVAL) -> None:
        super().__init__(config)
        self.gain = Table(torch.ones(2))
        self.first = Table(torch.zeros(2))
        self.scale = Table(torch.zeros(4 + 1 + config.what))
        self.survival = Table(torch.tensor(survival))

    def forward(self, presence: Presence, state: Tensor, trackers: Trackers) -> ObjectDistributions:
        """Distributions of the trackers' next latents, batch shape ``[B, K]``."""
        last = trackers.objects
        loc = torch.cat((self.gain() * last.raw[..., :2], persistence(last)[..., 2:]), -1)
        scale = positive(self.scale(), NARROW)
        first = torch.cat((positive(self.first(), WIDE), scale[2:]))
        return object_distributions(
            presence,
            self.survival().expand(loc.shape[:2]),
            loc,
            torch.where(trackers.discovered[..., None], first, scale),
        )
