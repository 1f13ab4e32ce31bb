"""Priors: modules that return distributions. Any of them can be exchanged without the rest.

Each gets what the model knows of the past and returns the distributions of this frame's latents.
None of them sees data. Shapes: B videos, K tracker slots, N cells, D dims of z_what.
"""

import math
from typing import NamedTuple

import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn

from scalor_ppl.distributions import Presence, diagonal_normal
from scalor_ppl.networks import mlp, positive
from scalor_ppl.objects import Objects, Trackers


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


class DiscoveryPrior(nn.Module):
    """What a discovery prior offers; ``rate`` is what the training's schedule drives."""

    rate: float

    def forward(
        self, presence: Presence, shape: tuple[int, int], rate: float | None = None
    ) -> ObjectDistributions:
        """Distributions of one frame's proposals.

        Args:
            presence: what z_pres is.
            shape: B, N.
            rate: probability in place of the annealed one (0 switches discovery off).
        """
        raise NotImplementedError


class PropagationPrior(nn.Module):
    """What a propagation prior offers: a recurrent state per tracker, and what it foresees."""

    def initial(self, shape: tuple[int, int]) -> Tensor:
        """The state of objects just discovered, ``[B, n, hidden]``."""
        raise NotImplementedError

    def update(self, state: Tensor, trackers: Trackers) -> Tensor:
        """The state after the trackers' latents of this frame are known, ``[B, K, hidden]``."""
        raise NotImplementedError

    def forward(self, presence: Presence, state: Tensor, trackers: Trackers) -> ObjectDistributions:
        """Distributions of the trackers' next latents, batch shape ``[B, K]``."""
        raise NotImplementedError


class BackgroundPrior(nn.Module):
    """What a background transition offers: a recurrent state, and z_bg given the objects."""

    def initial(self, videos: int) -> Tensor:
        """The state before the first frame, ``[B, hidden]``."""
        raise NotImplementedError

    def update(self, state: Tensor, z_bg: Tensor) -> Tensor:
        """The state after z_bg ``[B, E]`` of a frame is known."""
        raise NotImplementedError

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


class ConstantDiscovery(DiscoveryPrior):
    """p(z^D proposals | z^P) of the paper: the same in every cell and frame (equation 5).

    z_pres is Bernoulli with one probability (annealed during training); where, depth and what are
    standard normal (appendix E).

    Args:
        what: dimension of z_what.
        rate: probability that a cell proposes; between 0 and 1.
    """

    zero: Tensor
    one: Tensor

    def __init__(self, what: int, rate: float) -> None:
        super().__init__()
        self.what = what
        self.rate = rate
        self.register_buffer("zero", torch.zeros(()), persistent=False)
        self.register_buffer("one", torch.ones(()), persistent=False)

    def forward(
        self, presence: Presence, shape: tuple[int, int], rate: float | None = None
    ) -> ObjectDistributions:
        """The same distributions in every cell."""
        zero, one = self.zero, self.one
        probability = self.rate if rate is None else rate
        # Beyond float32's reach of a probability, 1e-12 stands for never.
        probability = min(max(probability, 1e-12), 1 - 1e-12)
        logit = math.log(probability) - math.log1p(-probability)
        logits = torch.full(shape, logit, dtype=zero.dtype, device=zero.device)
        return ObjectDistributions(
            presence.distribution(logits),
            diagonal_normal(zero.expand(*shape, 4), one.expand(*shape, 4)),
            dist.Normal(zero.expand(shape), one.expand(shape)),
            diagonal_normal(zero.expand(*shape, self.what), one.expand(*shape, self.what)),
        )


class RecurrentPropagation(PropagationPrior):
    """p(z^P_t | z_<t) of the paper: a GRU per tracker (equation 4), all in parallel.

    From the state h of a tracker: the log-odds beta(h) of z_pres; the next movement; size, depth
    and z_what as changes of the last ones, so that without evidence an object stays what it is.

    Args:
        what: dimension of z_what.
        hidden: width of h.
        survival: log-odds of survival before training. High, against propagation collapse.
    """

    def __init__(self, what: int, hidden: int, survival: float = 5.0) -> None:
        super().__init__()
        self.what = what
        self.survival = survival
        self.hidden = hidden
        self.embed = mlp(6 + what, hidden)
        self.cell = nn.GRUCell(hidden, hidden)
        self.newborn = nn.Parameter(torch.zeros(hidden))
        self.head = mlp(hidden, hidden, 1 + 2 * (4 + 1 + what))
        with torch.no_grad():
            last = self.head[-1]
            assert isinstance(last, nn.Linear)
            last.weight.mul_(0.1)
            last.bias.zero_()

    def initial(self, shape: tuple[int, int]) -> Tensor:
        """The state of objects just discovered, ``[B, n, hidden]``."""
        return self.newborn.expand(*shape, self.hidden)

    def update(self, state: Tensor, trackers: Trackers) -> Tensor:
        """The state after the trackers' latents of this frame are known, ``[B, K, hidden]``."""
        code = torch.celu(self.embed(trackers.objects.code()))
        return self.cell(code.flatten(0, 1), state.flatten(0, 1)).unflatten(0, state.shape[:2])

    def forward(self, presence: Presence, state: Tensor, trackers: Trackers) -> ObjectDistributions:
        """Distributions of the trackers' next latents, batch shape ``[B, K]``."""
        last = trackers.objects
        survive, loc, scale = self.head(state).split((1, 5 + self.what, 5 + self.what), -1)
        loc = loc + persistence(last)
        scale = positive(scale, -1.0)
        where_loc, depth_loc, what_loc = loc.split((4, 1, self.what), -1)
        where_scale, depth_scale, what_scale = scale.split((4, 1, self.what), -1)
        return ObjectDistributions(
            presence.distribution(survive.squeeze(-1) + self.survival),
            diagonal_normal(where_loc, where_scale),
            dist.Normal(depth_loc.squeeze(-1), depth_scale.squeeze(-1)),
            diagonal_normal(what_loc, what_scale),
        )


def persistence(last: Objects) -> Tensor:
    """Raw where, depth and what if nothing changed: no movement, same rest; ``[B, n, 5 + D]``."""
    still = torch.zeros_like(last.raw[..., :2])
    return torch.cat((still, last.raw[..., 2:], last.depth[..., None], last.what), -1)


class RecurrentBackground(BackgroundPrior):
    """p(z_bg_t | z_bg_<t, z_fg_t) of the paper: a GRU over the past and the objects present.

    The first frame's z_bg is standard normal plus what the objects say.

    Args:
        background: dimension of z_bg.
        what: dimension of z_what.
        hidden: width of the state.
    """

    def __init__(self, background: int, what: int, hidden: int) -> None:
        super().__init__()
        self.background = background
        self.hidden = hidden
        self.embed = mlp(6 + what, hidden, hidden)
        self.cell = nn.GRUCell(background, hidden)
        self.first = nn.Parameter(torch.zeros(hidden))
        self.head = mlp(2 * hidden, hidden, 2 * background)
        with torch.no_grad():
            last = self.head[-1]
            assert isinstance(last, nn.Linear)
            last.weight.mul_(0.1)
            last.bias.zero_()

    def initial(self, videos: int) -> Tensor:
        """The state before the first frame, ``[B, hidden]``."""
        return self.first.expand(videos, self.hidden)

    def update(self, state: Tensor, z_bg: Tensor) -> Tensor:
        """The state after z_bg ``[B, background]`` of a frame is known."""
        return self.cell(z_bg, state)

    def forward(self, state: Tensor, last: Tensor | None, objects: Objects) -> TorchDistribution:
        """Normal about the last z_bg, given the state and the mean object, weighted by z_pres."""
        foreground = (self.embed(objects.code()) * objects.presence[..., None]).sum(1)
        foreground = foreground / (1 + objects.presence.sum(1, keepdim=True))
        loc, scale = self.head(torch.cat((state, foreground), -1)).chunk(2, -1)
        if last is not None:
            loc = loc + last
        # softplus^-1(1): the first prior starts as a standard normal.
        return diagonal_normal(loc[:, None], positive(scale, 0.5413)[:, None])
