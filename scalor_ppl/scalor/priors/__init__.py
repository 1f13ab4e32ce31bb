"""Priors: modules that return distributions. Any of them can be exchanged without the rest.

Each gets what the model knows of the past and returns the distributions of this frame's latents.
None of them sees data. ``base`` says what each kind offers, ``registry`` which there are by name.
Shapes: B videos, K tracker slots, N cells, D dims of z_what.
"""

from scalor_ppl.scalor.priors.background import (
    IndependentBackground,
    MixtureBackground,
    RecurrentBackground,
)
from scalor_ppl.scalor.priors.base import (
    BackgroundPrior,
    DiscoveryPrior,
    JointDistribution,
    ObjectDistributions,
    Prior,
    PropagationPrior,
    log_density,
    log_odds,
    object_distributions,
    persistence,
)
from scalor_ppl.scalor.priors.discovery import ConstantDiscovery, LearnedDiscovery
from scalor_ppl.scalor.priors.dynamics import DynamicsPropagation
from scalor_ppl.scalor.priors.filtering import Transitions
from scalor_ppl.scalor.priors.interaction import InteractionPropagation
from scalor_ppl.scalor.priors.mixture import Discovered, MixtureDiscovery
from scalor_ppl.scalor.priors.propagation import (
    MomentumPropagation,
    RecurrentPropagation,
    VelocityPropagation,
)
from scalor_ppl.scalor.priors.tables import Table

__all__ = [
    "BackgroundPrior",
    "ConstantDiscovery",
    "Discovered",
    "DiscoveryPrior",
    "DynamicsPropagation",
    "IndependentBackground",
    "InteractionPropagation",
    "JointDistribution",
    "LearnedDiscovery",
    "MixtureBackground",
    "MixtureDiscovery",
    "MomentumPropagation",
    "ObjectDistributions",
    "Prior",
    "PropagationPrior",
    "RecurrentBackground",
    "RecurrentPropagation",
    "Table",
    "Transitions",
    "VelocityPropagation",
    "log_density",
    "log_odds",
    "object_distributions",
    "persistence",
]
