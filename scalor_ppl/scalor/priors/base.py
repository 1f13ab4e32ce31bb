"""What the three kinds of priors offer, and what they are put together from."""

import math
from typing import NamedTuple

import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn

from scalor_ppl.nn.distributions import Presence, diagonal_normal
from scalor_ppl.scalor.settings import ModelConfig
from scalor_ppl.scalor.slots import Objects, Trackers


class ObjectDistributions(NamedTuple):
    """Distributions of the four latents of n objects, batch shape ``[B, n]``.

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


class DiscoveryPrior(Prior):
    """What a discovery prior offers.

    Attributes:
        rate: the probability that a cell proposes, between 0 and 1; the training's schedule drives
            it.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.rate = config.discovery_rate

    def forward(
        self,
        presence: Presence,
        shape: tuple[int, int],
        rate: float | None = None,
        frame: int = 0,
    ) -> ObjectDistributions:
        """Distributions of one frame's proposals.

        Only z_pres may depend on the frame: the guide asks once for where, depth and what, which
        are the posterior of absent proposals in all frames.

        Args:
            presence: what z_pres is.
            shape: B, N.
            rate: probability in place of the annealed one (0 switches discovery off).
            frame: its number; 0 is the first of the clip.
        """
        raise NotImplementedError

    def standard(self, presence: Presence, logits: Tensor) -> ObjectDistributions:
        """Proposals with these log-odds ``[B, N]`` of z_pres, the rest standard normal."""
        loc = self.zero.expand(*logits.shape, 5 + self.config.what)
        return object_distributions(presence, logits, loc, torch.ones_like(loc))


class PropagationPrior(Prior):
    """What a propagation prior offers: a state per tracker, and what it foresees.

    The state is what the prior remembers beyond the last frame. One that needs no more than that
    leaves ``initial`` and ``update`` as they are here: a state of width 0.
    """

    def initial(self, shape: tuple[int, int]) -> Tensor:
        """The state of objects just discovered, ``[B, n, hidden]``."""
        return self.zero.expand(*shape, 0)

    def update(self, state: Tensor, trackers: Trackers) -> Tensor:
        """The state after the trackers' latents of this frame are known, ``[B, K, hidden]``."""
        return state

    def forward(self, presence: Presence, state: Tensor, trackers: Trackers) -> ObjectDistributions:
        """Distributions of the trackers' next latents, batch shape ``[B, K]``."""
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
    where, depth, what = zip(*(x.tensor_split((4, 5), -1) for x in (loc, scale)), strict=True)
    return ObjectDistributions(
        presence.distribution(logits),
        diagonal_normal(*where),
        dist.Normal(*(x.squeeze(-1) for x in depth)),
        diagonal_normal(*what),
    )


def persistence(last: Objects) -> Tensor:
    """Raw where, depth and what if nothing changed: no movement, same rest; ``[B, n, 5 + D]``."""
    still = torch.zeros_like(last.raw[..., :2])
    return torch.cat((still, last.raw[..., 2:], last.depth[..., None], last.what), -1)


def log_odds(probability: float) -> float:
    """Log-odds of a probability, also of 0 and 1."""
    # Beyond float32's reach of a probability, 1e-12 stands for never.
    probability = min(max(probability, 1e-12), 1 - 1e-12)
    return math.log(probability) - math.log1p(-probability)
