"""Whether the program can use a prior of somebody's own: a try on made-up objects.

Training runs without Pyro's checks of shapes, so that a wrong one would go unnoticed there: it
would count a density twice, or mix up videos.
"""

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor

from scalor_ppl.nn.distributions import Presence
from scalor_ppl.scalor.priors.base import (
    BackgroundPrior,
    DiscoveryPrior,
    JointDistribution,
    Prior,
    PropagationPrior,
)
from scalor_ppl.scalor.settings import ModelConfig, RulesConfig
from scalor_ppl.scalor.slots import Objects, Trackers, update_trackers

VIDEOS = 2


def check_prior(prior: Prior, config: ModelConfig) -> None:
    """Use a prior as the program does, for two frames of two videos.

    Raises:
        ValueError: what it returns has another shape than its interface says, or is not finite.
    """
    # The program's own parameters must not depend on whether this was done.
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        match prior:
            case DiscoveryPrior():
                _check_discovery(prior, config)
            case PropagationPrior():
                _check_propagation(prior, config)
            case BackgroundPrior():
                _check_background(prior, config)


def _check_discovery(prior: DiscoveryPrior, config: ModelConfig) -> None:
    shape = (VIDEOS, config.grid[0] * config.grid[1])
    for part in prior.absent(Presence(config.presence), shape):
        _check_shape("absent", part.shape, (*shape, 5 + config.what))
    tracked = made_up(config).objects
    for frame, rate in enumerate((None, 0.5, 0.0)):
        before = tracked if frame else None
        found = prior(Presence(config.presence), shape, rate, frame, before)
        _check_objects(found, shape, config.what)


def _check_propagation(prior: PropagationPrior, config: ModelConfig) -> None:
    trackers = made_up(config)
    shape = (VIDEOS, config.capacity)
    # The program asks for as many states as there are proposals, not trackers.
    more = (VIDEOS, config.capacity + 1)
    state = prior.initial(more)
    _check_shape("initial", state.shape, (*more, *state.shape[2:]))
    state = prior.initial(shape)
    for _ in range(2):
        before = (*shape, *state.shape[2:])
        _check_shape("initial", state.shape, before)
        state = prior.update(state, trackers)
        _check_shape("update", state.shape, before)
        _check_objects(prior(Presence(config.presence), state, trackers), shape, config.what)


def _check_background(prior: BackgroundPrior, config: ModelConfig) -> None:
    objects = made_up(config).objects
    state, last = prior.initial(VIDEOS), None
    for _ in range(2):
        before = (VIDEOS, *state.shape[1:])
        _check_shape("initial", state.shape, before)
        last = _sample("z_bg", prior(state, last, objects), (VIDEOS, 1), (config.background_dim,))
        last = last.squeeze(1)
        state = prior.update(state, last)
        _check_shape("update", state.shape, before)


def made_up(config: ModelConfig) -> Trackers:
    """Trackers of two videos after a first frame with objects in random places."""
    shape = (VIDEOS, config.capacity)
    where = torch.rand(*shape, 4) * torch.tensor([2.0, 2.0, 0.2, 0.2])
    where = where + torch.tensor([-1.0, -1.0, 0.1, 0.1])
    objects = Objects(
        presence=torch.rand(shape),
        where=where,
        raw=torch.randn(*shape, 4),
        depth=torch.randn(shape),
        what=torch.randn(*shape, config.what),
        glimpse=torch.rand(*shape, (config.channels or 3) + 1, *config.glimpse),
        box=where,
    )
    # No rule that looks at pixels: there is no image here.
    rules = RulesConfig(vanish=False, doubled=False)
    return update_trackers(None, None, objects, config.capacity, rules, (1, 1))


def _check_objects(found: JointDistribution, shape: tuple[int, int], what: int) -> None:
    events = {"presence": (), "where": (4,), "depth": (), "what": (what,)}
    found.sample(lambda name, fn: _sample(name, fn, shape, events[name]))


def _sample(
    name: str, fn: TorchDistribution, batch: tuple[int, ...], event: tuple[int, ...]
) -> Tensor:
    _check_shape(f"the batch of {name}", fn.batch_shape, batch)
    _check_shape(f"the event of {name}", fn.event_shape, event)
    value = fn.sample()
    if not torch.isfinite(fn.log_prob(value)).all():
        raise ValueError(f"the density of {name} is not finite")
    return value


def _check_shape(what: str, found: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    if tuple(found) != wanted:
        raise ValueError(f"{what} has shape {list(found)}, not {list(wanted)}")
