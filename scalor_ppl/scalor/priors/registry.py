"""Priors by name: what the table ``prior`` of the configuration chooses from."""

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from scalor_ppl.code import chosen_class
from scalor_ppl.errors import UserError
from scalor_ppl.scalor.priors.background import (
    IndependentBackground,
    MixtureBackground,
    RecurrentBackground,
)
from scalor_ppl.scalor.priors.base import BackgroundPrior, DiscoveryPrior, Prior, PropagationPrior
from scalor_ppl.scalor.priors.check import check_prior
from scalor_ppl.scalor.priors.discovery import ConstantDiscovery, LearnedDiscovery
from scalor_ppl.scalor.priors.dynamics import DynamicsPropagation, ForkingPropagation
from scalor_ppl.scalor.priors.interaction import InteractionPropagation
from scalor_ppl.scalor.priors.mixture import MixtureDiscovery
from scalor_ppl.scalor.priors.propagation import (
    MomentumPropagation,
    RecurrentPropagation,
    VelocityPropagation,
)
from scalor_ppl.scalor.settings import ModelConfig, PriorConfig, PriorsTraining, ScalorConfig

Kind = TypeVar("Kind", bound=Prior)

DISCOVERY: dict[str, type[DiscoveryPrior]] = {
    "constant": ConstantDiscovery,
    "learned": LearnedDiscovery,
    "mixture": MixtureDiscovery,
}
PROPAGATION: dict[str, type[PropagationPrior]] = {
    "recurrent": RecurrentPropagation,
    "momentum": MomentumPropagation,
    "velocity": VelocityPropagation,
    "interaction": InteractionPropagation,
    "dynamics": DynamicsPropagation,
    "forks": ForkingPropagation,
}
BACKGROUND: dict[str, type[BackgroundPrior]] = {
    "recurrent": RecurrentBackground,
    "independent": IndependentBackground,
    "mixture": MixtureBackground,
}


class Priors(NamedTuple):
    """The priors of a program; no background where the model has a black one."""

    discovery: DiscoveryPrior
    propagation: PropagationPrior
    background: BackgroundPrior | None


def build_priors(config: ScalorConfig) -> Priors:
    """The priors that a configuration names.

    Raises:
        UserError: one of them is not known, or cannot be used.
    """
    names, model = config.prior, config.model
    # All are looked up first: a wrong name is told even where nothing asks for that prior, or only
    # the training's last phase will. And they are made in this order: a seed gives the parameters
    # that it gave before there was a choice.
    if config.train.priors.steps:
        _classes("train.priors", config.train.priors)
    discovery, propagation, background = _classes("prior", names)
    backdrop = None if model.background == "none" else _made("background", background, model)
    return Priors(
        _made("discovery", discovery, model), _made("propagation", propagation, model), backdrop
    )


def _classes(
    table: str, names: PriorConfig | PriorsTraining
) -> tuple[type[DiscoveryPrior], type[PropagationPrior], type[BackgroundPrior]]:
    """The classes behind the names in a table of the configuration."""
    return (
        _class(f"{table}.discovery", names.discovery, DISCOVERY, DiscoveryPrior),
        _class(f"{table}.propagation", names.propagation, PROPAGATION, PropagationPrior),
        _class(f"{table}.background", names.background, BACKGROUND, BackgroundPrior),
    )


def _class(
    setting: str, name: str, known: Mapping[str, type[Kind]], kind: type[Kind]
) -> type[Kind]:
    """The class behind a prior's name."""
    called = f"scalor_ppl.scalor.priors.{kind.__name__}"
    return chosen_class(setting, name, known, kind, called)


def _made(role: str, chosen: type[Kind], config: ModelConfig) -> Kind:
    """The prior, from the model's configuration; one of somebody's own is tried first."""
    if chosen.__module__.startswith(f"{__package__}."):
        return chosen(config)
    try:
        prior = chosen(config)
        check_prior(prior, config)
    except Exception as error:  # whatever a class of somebody's own does
        raise UserError(
            f"prior.{role}: {chosen.__name__} cannot be used: {type(error).__name__}: {error}"
        ) from error
    return prior
