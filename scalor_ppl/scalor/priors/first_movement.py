"""How what is new moves at first, which is all there is to know of its velocity."""

import math
from typing import NamedTuple

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from scalor_ppl.nn.distributions import diagonal_normal
from scalor_ppl.nn.layers import inverse_softplus, mlp, positive, starting_small
from scalor_ppl.nn.mixtures import clusters
from scalor_ppl.scalor.priors.tables import Table

# Velocities before training: so many directions of each of some speeds, in units of z_where.
DIRECTIONS, SPEEDS = 32, (0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0)
FIRST = DIRECTIONS * len(SPEEDS)
# About how many of these a movement may lie far off, how much farther, and log-odds of that before
# training.
ASTRAY, WIDER, SELDOM = 16, 4.0, -2.0
# Least noise before training, least share of a velocity in draws.
LEAST_NOISE, LEAST_COUNT = 0.02, 0.5
# Of balancing: rounds, and how many draws the chances before are worth.
ROUNDS, WORTH = 50, 100


class FirstMoves(NamedTuple):
    """A mixture of ``C = FIRST + ASTRAY`` normals for each of some objects.

    Attributes:
        logits: log-weights ``[..., C]``.
        loc, scale: of the movement ``[..., C, 2]``.
    """

    logits: Tensor
    loc: Tensor
    scale: Tensor

    def of_velocity(self, velocity: Tensor, width: Tensor) -> Tensor:
        """Log-density of a velocity that is no longer unsure ``[..., 2]``: ``[...]``.

        Of those that are likely, without what was found badly. With the noise of one movement,
        which it does not have, the likely ones would lie farther in.

        Args:
            velocity: of each object.
            width: of the normals, see :meth:`FirstMovement.spacing`.
        """
        loc = self.loc[..., :FIRST, :]
        near = dist.MixtureSameFamily(
            dist.Categorical(logits=self.logits[..., :FIRST]),
            diagonal_normal(loc, width.expand_as(loc)),
        )
        density: Tensor = near.log_prob(velocity)
        return density


class FirstMovement(nn.Module):
    """A first movement: one of many velocities, and the jitter of two draws.

    The velocities begin as those of draws, and are learned. Which of them are likely is a network's
    word, by where an object is and how it looks: what enters at the left moves to the right. Some
    movements lie far from any velocity, as something was found badly; with one width for all, the
    likely velocities would be drawn to their middle.

    Args:
        told: figures about an object.
        hidden: width of the network.
    """

    def __init__(self, told: int, hidden: int) -> None:
        super().__init__()
        turn = torch.arange(DIRECTIONS) * (2 * torch.pi / DIRECTIONS)
        ring = torch.stack((turn.cos(), turn.sin()), -1)
        self.velocity = nn.Parameter(torch.cat([speed * ring for speed in SPEEDS]))
        self.network = starting_small(mlp(told, hidden, FIRST + ASTRAY))
        self.noise = Table(torch.tensor([[-2.0, -2.0], [-1.0, -1.0]]))

    @torch.no_grad()
    def begin(self, moves: Tensor, settled: Tensor) -> None:
        """Stand on draws.

        Args:
            moves: first movements ``[R, 2]``.
            settled: the median of each and those after it ``[R, 2]``.
        """
        means, own = clusters(settled, FIRST)
        # One of each cluster, as their means are slower.
        members = [settled[own == n][:1] for n in range(FIRST)]
        self.velocity.copy_(
            torch.cat([m if len(m) else means[n, None] for n, m in enumerate(members)])
        )
        count = torch.bincount(own, minlength=FIRST).clamp(min=LEAST_COUNT)
        last = self.network[-1]
        assert isinstance(last, nn.Linear)
        last.bias[:FIRST] = torch.log(count / count.sum())
        last.bias[FIRST:] = SELDOM - math.log(ASTRAY)
        # The median is not moved by those astray; of normals it is .67 deviations.
        width = ((moves - means[own]).abs().median(0).values / 0.67).clamp(min=LEAST_NOISE)
        self.noise.put(inverse_softplus(torch.stack((width, WIDER * width))))

    def forward(self, told: Tensor) -> FirstMoves:
        """The mixture, from figures about each object ``[..., n]``."""
        # What lies astray would draw those that it lies about to its own middle.
        loc = torch.cat((self.velocity, self.velocity[:ASTRAY].detach()))
        near, far = positive(self.noise()).split(1)
        scale = torch.cat((near.expand(FIRST, 2), far.expand(ASTRAY, 2)))
        shape = (*told.shape[:-1], FIRST + ASTRAY, 2)
        return FirstMoves(self.network(told), loc.expand(shape), scale.expand(shape))

    @torch.no_grad()
    def balance(self, logits: Tensor, velocity: Tensor) -> None:
        """Make each velocity as likely as draws say, on average over what the network is told.

        The chance of what lies astray stays. Expectation maximisation of the last layer's bias.

        Args:
            logits: log-weights of R objects ``[R, FIRST + ASTRAY]``.
            velocity: that they settled at ``[R, 2]``.
        """
        if not len(velocity):
            return
        logits = logits[:, :FIRST]
        near = diagonal_normal(self.velocity, self.spacing().expand_as(self.velocity))
        density = near.log_prob(velocity[:, None])
        shift, before = torch.zeros_like(logits[0]), logits.softmax(-1).mean(0)
        for _ in range(ROUNDS):
            chance = (logits + shift).softmax(-1).mean(0)
            count = (logits + shift + density).softmax(-1).sum(0) + WORTH * before
            shift += (count / (len(logits) + WORTH) / chance).log()
        shift -= ((logits + shift).logsumexp(-1) - logits.logsumexp(-1)).mean()
        last = self.network[-1]
        assert isinstance(last, nn.Linear)
        last.bias[:FIRST] += shift

    @torch.no_grad()
    def spacing(self) -> Tensor:
        """Half of how far apart neighbouring velocities lie, a number."""
        apart = torch.cdist(self.velocity, self.velocity).fill_diagonal_(torch.inf)
        return (apart.min(-1).values.median() / 2).clamp(min=LEAST_NOISE)
