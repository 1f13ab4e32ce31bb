"""What the three kinds of priors offer, and what they are put together from."""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol, overload

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn

from scalor_ppl.nn.distributions import Gaussian, Presence, diagonal_normal
from scalor_ppl.nn.kernels import KernelNormals
from scalor_ppl.scalor.settings import ModelConfig
from scalor_ppl.scalor.slots import Latents, Objects, Trackers

Site = Callable[[str, TorchDistribution], Tensor]
"""Gives the value of a latent (``presence``, ``where``, ``depth``, ``what``), which has a
distribution."""


class JointDistribution(Protocol):
    """The joint distribution of the four latents of n objects, by the chain rule."""

    def sample(self, site: Site) -> Latents:
        """The values that ``site`` gives, asked in the order presence, where, depth, what.

        Each distribution that it is asked with has batch shape ``[B, n]``, and may depend on the
        values given before.
        """


def log_density(joint: JointDistribution, latents: Latents) -> Tensor:
    """Log-density of all four latents together, ``[B, n]``."""
    return density_of(joint.sample, latents)


def density_of(asking: Callable[[Site], object], latents: Latents) -> Tensor:
    """Log-density of the latents that a site is asked for, together, in their batch shape."""
    terms: list[Tensor] = []

    def scored(name: str, fn: TorchDistribution) -> Tensor:
        value: Tensor = getattr(latents, name)
        terms.append(fn.log_prob(value))
        return value

    asking(scored)
    return torch.stack(terms).sum(0)


class ObjectDistributions(NamedTuple):
    """Independent distributions of the four latents of n objects, batch shape ``[B, n]``.

    Attributes:
        presence: of z_pres (its logit where presence is relaxed), no event dims.
        where: of z_where before it is bounded, event shape ``[4]``.
        depth: of z_depth, no event dims.
        what: of z_what, event shape ``[D]``.
    """

    presence: TorchDistribution
    where: TorchDistribution
    depth: TorchDistribution
    what: TorchDistribution

    def sample(self, site: Site) -> Latents:
        """Each from its own distribution; see :class:`JointDistribution`."""
        return Latents(*(site(name, fn) for name, fn in zip(self._fields, self, strict=True)))


class Prior(nn.Module):
    """What every prior has: it is made from the model's configuration and from nothing else.

    Args:
        config: of the model.

    Attributes:
        zero: the number 0 in the type and on the device of the program.
    """

    zero: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("zero", torch.zeros(()), persistent=False)

    def progress(self, share: float) -> None:
        """Hear how much of the priors' own training is done, 0 to 1; most priors need not."""

    def learned(self) -> Iterable[nn.Parameter]:
        """The parameters that the priors' own training moves.

        All but kernels, which stand on draws of those that the rest is trained at.
        """
        kernels = {
            id(p)
            for part in self.modules()
            if isinstance(part, KernelNormals)
            for p in part.parameters()
        }
        return (p for p in self.parameters() if id(p) not in kernels)


class DiscoveryPrior(Prior):
    """What a discovery prior offers.

    Attributes:
        rate: the probability that a cell proposes, between 0 and 1; the training's schedule drives
            it.
        knows_rate: whether it has learned how often something new is seen, in the first frame and
            later, so that videos can be sampled without a rate being set.
    """

    knows_rate = False

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.rate = config.discovery_rate

    def forward(
        self,
        presence: Presence,
        shape: tuple[int, int],
        rate: float | None = None,
        frame: int = 0,
        tracked: Objects | None = None,
    ) -> JointDistribution:
        """The joint distribution of one frame's proposals.

        Where, depth and what of a proposal that is absent must be distributed as :meth:`absent`
        says, so that they cancel in the bound against the guide's posterior of them. Those of one
        that is present may be distributed in any way: see
        :class:`~scalor_ppl.scalor.priors.absence.PresentObjects`.

        Args:
            presence: what z_pres is.
            shape: B, N.
            rate: probability in place of the annealed one (0 switches discovery off).
            frame: its number; 0 is the first of the clip.
            tracked: the objects propagated to this frame, ``[B, K]``; none in the first. Priors
                may use all but their glimpses.
        """
        raise NotImplementedError

    def log_density(
        self, presence: Presence, latents: Latents, frame: int, tracked: Objects | None
    ) -> Tensor:
        """Log-density of hard proposals, less that of what absent ones would be, ``[B]``.

        The latter is :meth:`absent`'s, which the guide's posterior cancels in the bound.

        Args:
            presence: what z_pres is: hard.
            latents: values of the sites.
            frame, tracked: as of :meth:`forward`.
        """
        videos, cells = latents.presence.shape
        shape = (videos, cells)
        found = log_density(self(presence, shape, None, frame, tracked), latents)
        loc, scale = self.absent(presence, shape)
        value = _side_by_side(latents.where, latents.depth, latents.what)
        absent = diagonal_normal(loc, scale).log_prob(value)
        return (found - absent * (latents.presence < 0.5)).sum(-1)

    def absent(self, presence: Presence, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Location and scale of where, depth and what of absent proposals, ``[B, N, 5 + D]`` each.

        The guide's posterior of them is this, in all frames: of a prior that does not ask for
        presence its own mean and standard deviation, otherwise standard normal.

        Args:
            presence: what z_pres is.
            shape: B, N.
        """
        found = self(presence, shape)
        if isinstance(found, ObjectDistributions):
            where, depth, what = found.where, found.depth, found.what
            return (
                _side_by_side(where.mean, depth.mean, what.mean),
                _side_by_side(where.stddev, depth.stddev, what.stddev),
            )
        loc = self.zero.expand(*shape, 5 + self.config.what)
        return loc, torch.ones_like(loc)

    def standard(self, presence: Presence, logits: Tensor) -> ObjectDistributions:
        """Proposals with these log-odds ``[B, N]`` of z_pres, the rest standard normal."""
        loc = self.zero.expand(*logits.shape, 5 + self.config.what)
        return object_distributions(presence, logits, loc, torch.ones_like(loc))


class PropagationPrior(Prior):
    """What a propagation prior offers: a state per tracker, and what it foresees.

    The state is what the prior remembers beyond the last frame. One that needs no more than that
    leaves ``initial`` and ``update`` as they are here: a state of width 0. Priors see all of the
    objects but their glimpses.
    """

    def initial(self, shape: tuple[int, int]) -> Tensor:
        """The state of objects just discovered, ``[B, n, hidden]``."""
        return self.zero.expand(*shape, 0)

    def update(self, state: Tensor, trackers: Trackers) -> Tensor:
        """The state after the trackers' latents of this frame are known, ``[B, K, hidden]``."""
        return state

    def forward(self, presence: Presence, state: Tensor, trackers: Trackers) -> JointDistribution:
        """The joint distribution of the trackers' next latents, batch shape ``[B, K]``."""
        raise NotImplementedError


class BackgroundPrior(Prior):
    """What a background transition offers: a state, and z_bg given the objects.

    One that remembers nothing leaves ``initial`` and ``update`` as they are here.
    """

    def initial(self, videos: int) -> Tensor:
        """The state before the first frame, ``[B, hidden]``."""
        return self.zero.expand(videos, 0)

    def update(self, state: Tensor, z_bg: Tensor) -> Tensor:
        """The state after z_bg ``[B, E]`` of a frame is known."""
        return state

    def forward(self, state: Tensor, last: Tensor | None, objects: Objects) -> TorchDistribution:
        """Distribution of z_bg.

        Args:
            state: ``[B, hidden]``.
            last: z_bg of the frame before ``[B, E]``; none in the first frame.
            objects: the objects of this frame.

        Returns:
            Batch shape ``[B, 1]`` (the second dim is that of trackers and cells), event ``[E]``.
        """
        raise NotImplementedError


def object_distributions(
    presence: Presence, logits: Tensor, loc: Tensor, scale: Tensor
) -> ObjectDistributions:
    """Presence with these log-odds, and normal where, depth and what.

    Args:
        presence: what z_pres is.
        logits: log-odds of z_pres, ``[B, n]``.
        loc: locations of where, depth and what side by side, ``[B, n, 5 + D]``.
        scale: standard deviations, likewise.
    """
    widths = (4, 1, loc.shape[-1] - 5)
    where, depth, what = zip(*(x.split(widths, -1) for x in (loc, scale)), strict=True)
    return ObjectDistributions(
        presence.distribution(logits),
        diagonal_normal(*where),
        Gaussian(*(x.squeeze(-1) for x in depth)),
        diagonal_normal(*what),
    )


def persistence(last: Objects) -> Tensor:
    """Raw where, depth and what if nothing changed: no movement, same rest; ``[B, n, 5 + D]``."""
    movement, size = last.raw.split(2, -1)
    return torch.cat((torch.zeros_like(movement), size, last.depth[..., None], last.what), -1)


def _side_by_side(where: Tensor, depth: Tensor, what: Tensor) -> Tensor:
    return torch.cat((where, depth[..., None], what), -1)


@overload
def log_odds(probability: float) -> float: ...
@overload
def log_odds(probability: Tensor) -> Tensor: ...
def log_odds(probability: float | Tensor) -> float | Tensor:
    """Log-odds of a probability, also of 0 and 1; a tensor in a graph, where it changes."""
    # Beyond float32's reach of a probability, 1e-12 stands for never.
    if isinstance(probability, Tensor):
        return probability.clamp(min=1e-12).log() - torch.log1p(-probability.clamp(max=1 - 1e-6))
    probability = min(max(probability, 1e-12), 1 - 1e-12)
    return math.log(probability) - math.log1p(-probability)
