"""Any distribution of the objects that are there, in a bound that absent proposals do not change.

The guide's posterior of what an absent proposal would be is standard normal, and so must be the
prior of it. With z_pres = 1 the prior is free. In between, where presence is relaxed, it is

    p(z | z_pres) = m p_1(z) + (1 - m) N(z; 0, 1),      m = min(2 z_pres, 1),

a density for every z_pres, so that the bound stays one; and with hard presence no mixture at all.
Over several latents the chain rule holds: what is given next has m's posterior in place of m.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from torch import Size, Tensor
from torch.distributions import constraints
from torch.nn.functional import logsigmoid

from scalor_ppl.nn.distributions import ModalDistribution, Presence
from scalor_ppl.nn.modes import mode_of
from scalor_ppl.nn.tempered import tempered_by_itself
from scalor_ppl.scalor.priors.base import Site
from scalor_ppl.scalor.slots import Latents

# Log-odds of being there, once something is known, stay within: neither side is lost to rounding.
CERTAIN = 20.0

Looks = Callable[[Site], tuple[Tensor, Tensor, Tensor]]
"""Asks a site for where, depth and what of proposals that are there, in this order."""


class PresentOrAbsent(ModalDistribution):
    """A distribution of what is there, mixed with the standard normal of what is not.

    Args:
        odds: log-odds of being there, batch shape.
        present: any distribution of real values, of that batch shape.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    has_rsample = False

    def __init__(
        self, odds: Tensor, present: TorchDistribution, validate_args: bool | None = None
    ) -> None:
        self.odds = odds
        self.present = present
        self._asked: tuple[Tensor, bool, tuple[Tensor, Tensor]] | None = None
        super().__init__(odds.shape, present.event_shape, validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        """Real values."""
        return constraints.independent(constraints.real, len(self.event_shape))

    def expand(self, batch_shape: Any, _instance: Any = None) -> "PresentOrAbsent":
        """The same distribution over a larger batch shape."""
        shape = Size(batch_shape)
        if shape == self.batch_shape:
            return self
        return PresentOrAbsent(self.odds.expand(shape), self.present.expand(shape), False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of both together."""
        there, not_there = self._terms(value)
        return torch.logaddexp(there, not_there)

    def odds_given(self, value: Tensor) -> Tensor:
        """Log-odds of being there once a value is known."""
        there, not_there = self._terms(value)
        return (there - not_there).clamp(-CERTAIN, CERTAIN)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """A value of what is there, or standard normal noise."""
        shape = Size(sample_shape)
        with torch.no_grad():
            return self._either(self.present.expand(self.batch_shape).sample(shape))

    def tempered(self, temperature: float) -> Tensor:
        """A sample; what enters is sampled as it is, but for what it calls jitter itself."""
        present = self.present.expand(self.batch_shape)
        return self._either(tempered_by_itself(present, temperature))

    @property
    def mode(self) -> Tensor:
        """What stands for what is there, where it is; else the middle of the noise."""
        present = mode_of(self.present.expand(self.batch_shape))
        if present is None:
            present = self.present.expand(self.batch_shape).sample()
        there = (self.odds > 0).reshape(self.odds.shape + (1,) * len(self.event_shape))
        return torch.where(there, present, torch.zeros_like(present))

    def _either(self, present: Tensor) -> Tensor:
        event = len(self.event_shape)
        shape = present.shape[: present.dim() - event]
        there = torch.rand(shape).to(present) < torch.sigmoid(self.odds)
        there = there.reshape(there.shape + (1,) * event)
        return torch.where(there, present, torch.randn_like(present))

    def _terms(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Log-density of each side, weighted.

        A drawn value is asked about twice, for the odds of what comes next and for its density, so
        the last answer is kept.
        """
        graph = torch.is_grad_enabled()
        if self._asked is not None and self._asked[0] is value and self._asked[1] == graph:
            return self._asked[2]
        absent = dist.Normal(torch.zeros_like(value), 1.0).to_event(len(self.event_shape))
        found = (
            logsigmoid(self.odds) + self.present.log_prob(value),
            logsigmoid(-self.odds) + absent.log_prob(value),
        )
        self._asked = (value, graph, found)
        return found


class PresentObjects:
    """The joint distribution of proposals whose where, depth and what may be of any kind.

    Args:
        kind: what z_pres is.
        presence: its distribution, batch shape ``[B, N]``.
        looks: of the proposals that are there, of the same batch shape.
    """

    def __init__(self, kind: Presence, presence: TorchDistribution, looks: Looks) -> None:
        self.kind = kind
        self.presence = presence
        self.looks = looks

    def sample(self, site: Site) -> Latents:
        """See :class:`~scalor_ppl.scalor.priors.base.JointDistribution`."""
        presence = site("presence", self.presence)
        odds = log_odds_there(self.kind.weight(presence))

        def mixed(name: str, fn: TorchDistribution) -> Tensor:
            nonlocal odds
            both = PresentOrAbsent(odds, fn)
            value = site(name, both)
            odds = both.odds_given(value)
            return value

        return Latents(presence, *self.looks(mixed))


def log_odds_there(weight: Tensor) -> Tensor:
    """Log-odds of m = min(2 z_pres, 1)."""
    share = (2 * weight).clamp(max=1)
    return torch.logit(share, eps=1e-6)
