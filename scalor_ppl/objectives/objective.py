"""An objective of a model and its guide, as a module."""

from typing import Any

from pyro.infer import ELBO
from torch import nn

from scalor_ppl.objectives.estimate import Estimate
from scalor_ppl.objectives.particles import ParticleEstimator


class Objective(nn.Module):
    """An estimator of a model and its guide, as a module: its parameters are those of both.

    Args:
        estimator: any of Pyro's; one of this package says what it computed.
        model: the generative program.
        guide: its posterior.
    """

    def __init__(self, estimator: ELBO, model: nn.Module, guide: nn.Module) -> None:
        super().__init__()
        self.estimator = estimator
        self.model = model
        self.guide = guide

    def forward(self, *args: Any, **kwargs: Any) -> Estimate:
        """Estimate the objective for the videos given; arguments are those of the program."""
        if isinstance(self.estimator, ParticleEstimator):
            return self.estimator.estimate(self.model, self.guide, *args, **kwargs)
        loss = self.estimator.differentiable_loss(self.model, self.guide, *args, **kwargs)
        return Estimate(loss)
