"""Discovery priors: where and how often new objects are proposed."""

import torch

from scalor_ppl.nn.distributions import Presence
from scalor_ppl.scalor.priors.base import DiscoveryPrior, ObjectDistributions, log_odds
from scalor_ppl.scalor.priors.tables import Table
from scalor_ppl.scalor.settings import ModelConfig
from scalor_ppl.scalor.slots import Objects


class ConstantDiscovery(DiscoveryPrior):
    """p(z^D proposals | z^P) of the paper: the same in every cell and frame (equation 5).

    z_pres is Bernoulli with one probability (annealed during training); where, depth and what are
    standard normal (appendix E).
    """

    def forward(
        self,
        presence: Presence,
        shape: tuple[int, int],
        rate: float | None = None,
        frame: int = 0,
        tracked: Objects | None = None,
    ) -> ObjectDistributions:
        """The same distributions in every cell."""
        logit = log_odds(self.rate if rate is None else rate)
        return self.standard(presence, self.zero.expand(shape) + logit)


class LearnedDiscovery(DiscoveryPrior):
    """Where objects enter, learned: log-odds by cell, for the first frame and for later ones.

    With r the annealed rate, cell n of a frame proposes with the log-odds

        logit r + level_f + map_f[n] - mean(map_f),    f = 0 in the first frame and 1 later,

    so that level says how often and the map says where: all that is in view is new in the first
    frame of a clip, and at the edges later. A rate that is given takes the place of r and of level
    (it is how often), and the map stays. At 0 and at 1 the map does not matter either. Where,
    depth and what are standard normal, as in :class:`ConstantDiscovery`, which this is before
    training.

    Args:
        config: of the model; the map has its grid.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.level = Table(torch.zeros(2))
        self.map = Table(torch.zeros(2, config.grid[0] * config.grid[1]))

    def forward(
        self,
        presence: Presence,
        shape: tuple[int, int],
        rate: float | None = None,
        frame: int = 0,
        tracked: Objects | None = None,
    ) -> ObjectDistributions:
        """Log-odds by cell, the same in every video."""
        later = min(frame, 1)
        cells = self.map()[later]
        cells = cells - cells.mean()
        if rate is None:
            logits = cells + self.level()[later] + log_odds(self.rate)
        else:
            logits = cells * (0 < rate < 1) + log_odds(rate)
        return self.standard(presence, logits.expand(shape))
