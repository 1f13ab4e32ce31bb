"""A prior of one's own: objects that are slowed down by friction."""

import torch
from torch import Tensor

from scalor_ppl.nn.distributions import Presence
from scalor_ppl.scalor.priors import (
    ObjectDistributions,
    PropagationPrior,
    Table,
    object_distributions,
    persistence,
)
from scalor_ppl.scalor.settings import ModelConfig
from scalor_ppl.scalor.slots import Trackers


class Friction(PropagationPrior):
    """The next movement is the recent average of movements, less what friction takes of it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.friction = Table(torch.tensor(-2.0))  # log-odds of what it takes in a frame
        self.scale = Table(torch.full((5 + config.what,), -1.0))  # logs

    def initial(self, shape: tuple[int, int]) -> Tensor:
        """What is just found has not moved."""
        return self.zero.expand(*shape, 2)

    def update(self, state: Tensor, trackers: Trackers) -> Tensor:
        """The average of the movements."""
        return torch.lerp(state, trackers.objects.raw[..., :2], 0.7)

    def forward(self, presence: Presence, state: Tensor, trackers: Trackers) -> ObjectDistributions:
        """Everything but the movement stays as it is."""
        movement = torch.sigmoid(-self.friction()) * state
        loc = torch.cat((movement, persistence(trackers.objects)[..., 2:]), -1)
        survival = torch.full_like(loc[..., 0], 5.0)
        return object_distributions(presence, survival, loc, self.scale().exp().expand_as(loc))
