"""What may become of an object in the frame that comes, judged once that frame is seen.

An object goes on, meets a wall, collides, turns round, or, where ways may fork, bends to one side
or the other. Which of these it will be is a chance; which it was is seen in the next frame, as in
an interacting multiple model filter (Blom and Bar-Shalom 1988). A filter that goes by their average
would lose the speed of whatever might have turned, and where a way forks go on between both.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import StudentT
from torch.nn import functional

from scalor_ppl.nn.layers import mlp, starting_small

# It passes through walls or not, and through other objects or not; where ways may fork, its own
# bends to either side; it turns round along x, or y.
STRAIGHT, BENDS, TURNS = 4, 2, 2
# Those of the first in which it is hit by another object.
HIT = [1, 3]
# Numbers that each of them takes.
WIDTH = 7
# Log-odds of bending and turning: before training, and of what meets another object; what bending
# has at least while it is learned how ways bend.
SELDOM, NEVER, OFTEN = -4.0, -20.0, -1.5
# A fork is one place, and the chance there has to change within a step: how much faster than other
# figures it is learned.
SHARP = 5.0
# By how much a way bends, as shares of half a turn: less goes on, more turns round.
LEAST_BEND, MOST_BEND = 1 / 6, 5 / 6
# A turn lies anywhere in the frame, so that the place after it is uniform over a way of twice the
# velocity: its standard deviation.
SPREAD = 1 / math.sqrt(3)
# Where nothing was foreseen, no future is to be certain: tails of the judgement.
TAILS = 8.0
# Least chance of a contact, and of none.
LEAST_CHANCE = 1e-6


class Futures(NamedTuple):
    """Of each tracker, F of them: ``STRAIGHT``, ``BENDS`` where ways may fork, and ``TURNS``.

    Attributes:
        centre: where it comes to ``[..., F, 2]``, in image coordinates.
        velocity: with which it goes on from there ``[..., F, 2]``, in steps a frame.
        spread: how much farther from there it may lie than by its noise ``[..., F, 2]``, in steps.
        log_chance: of each ``[..., F]``.
    """

    centre: Tensor
    velocity: Tensor
    spread: Tensor
    log_chance: Tensor

    @classmethod
    def of(cls, flat: Tensor) -> "Futures":
        """As :meth:`flat` has written them."""
        count = flat.shape[-1] // WIDTH
        *pairs, log_chance = flat.split((2 * count, 2 * count, 2 * count, count), -1)
        centre, velocity, spread = (each.unflatten(-1, (count, 2)) for each in pairs)
        return cls(centre, velocity, spread, log_chance)

    def flat(self) -> Tensor:
        """All in one, ``[..., WIDTH F]``."""
        pairs = (self.centre, self.velocity, self.spread)
        return torch.cat((*(each.flatten(-2) for each in pairs), self.log_chance), -1)

    @torch.no_grad()
    def judged(self, seen: Tensor, width: Tensor, astray: Tensor) -> Tensor:
        """How likely each of them has become, ``[..., F]``, without a gradient.

        Whether it has bent or turned is decided: on average its velocity would be lost. What none
        of them explains has not turned, though a turn lies nearest: it went on, and is put right.

        Args:
            seen: the centre ``[..., 2]``.
            width: how far from each it may lie ``[..., F, 2]``, in image coordinates.
            astray: log-density of the place if none of them has come true ``[..., 1]``.
        """
        near = StudentT(TAILS, self.centre, width, validate_args=False)
        weight = self.log_chance + near.log_prob(seen[..., None, :]).sum(-1)
        straight, others = weight[..., :STRAIGHT], weight[..., STRAIGHT:]
        going_on = torch.cat((straight, astray), -1).logsumexp(-1, keepdim=True)
        other = others.amax(-1, keepdim=True) > going_on
        which = functional.one_hot(others.argmax(-1), others.shape[-1]).to(weight)
        return torch.cat((straight.softmax(-1) * ~other, which * other), -1)


def combined(wall: Tensor, hit: Tensor) -> Tensor:
    """What contacts come to, in all four cases: neither, the hit alone, the wall alone, both.

    Args:
        wall: what a wall does ``[..., n]``.
        hit: what other objects do ``[..., n]``.

    Returns:
        ``[..., STRAIGHT, n]``.
    """
    nothing = torch.zeros_like(hit)
    return torch.stack((nothing, hit, wall, wall + hit), -2)


def log_chances(wall: Tensor, hit: Tensor) -> Tensor:
    """Log-chances of the same four cases ``[..., STRAIGHT]``, of chances ``[..., 1]``."""
    either = [
        torch.cat((torch.log1p(-chance), torch.log(chance)), -1)
        for chance in (each.clamp(LEAST_CHANCE, 1 - LEAST_CHANCE) for each in (wall, hit))
    ]
    return (either[0][..., :, None] + either[1][..., None, :]).flatten(-2)


class Bending(nn.Module):
    """How an object's way bends: to one side, to the other, each by an angle and at a pace.

    Before training by a right angle, at the same pace, and so wide that any bend is explained by
    one of the two: or else what goes on would take it up, by widths that never go down again.

    Args:
        moving: figures about where the object is and how it moves.
        hidden: width of the network.
    """

    def __init__(self, moving: int, hidden: int) -> None:
        super().__init__()
        self.network = starting_small(mlp(moving, hidden, 4 * BENDS))

    def forward(self, moving: Tensor, velocity: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log-odds of bending ``[..., BENDS]``, velocities after and spread ``[..., BENDS, 2]``.

        Args:
            moving: of each object ``[..., n]``.
            velocity: before ``[..., 2]``, in a unit that is the same along x and y.
        """
        odds, angle, pace, spread = self.network(moving).chunk(4, -1)
        side = torch.tensor([1.0, -1.0], dtype=angle.dtype, device=angle.device)
        odds = SELDOM + SHARP * odds
        share = LEAST_BEND + (MOST_BEND - LEAST_BEND) * torch.sigmoid(angle)
        angle = side * math.pi * share
        cos, sin = torch.cos(angle), torch.sin(angle)
        x, y = velocity.split(1, -1)
        bent = torch.stack((cos * x - sin * y, sin * x + cos * y), -1)
        # At most e times as fast, or as slow.
        bent = torch.exp(torch.tanh(pace))[..., None] * bent
        spread = torch.sigmoid(spread) * velocity.norm(dim=-1, keepdim=True)
        return odds, bent, spread[..., None].expand(bent.shape)


class Turning(nn.Module):
    """The chance of bending, and of turning round along x and along y, and what comes of it.

    It depends on where the object is and how it moves, and on nothing else, and what meets another
    object does neither: or else that would take the place of collisions, of which nothing could be
    learned then.

    Args:
        moving: figures about that.
        hidden: width of the network.
        forks: ways may fork: an object may bend.
    """

    def __init__(self, moving: int, hidden: int, *, forks: bool) -> None:
        super().__init__()
        self.network = starting_small(mlp(moving, hidden, TURNS))
        last = self.network[-1]
        assert isinstance(last, nn.Linear)
        nn.init.constant_(last.bias, SELDOM)
        self.bending = Bending(moving, hidden) if forks else None

    def forward(
        self,
        moving: Tensor,
        meets: Tensor,
        centre: Tensor,
        velocity: Tensor,
        straight: Futures,
        step: Tensor,
        unit: Tensor,
        *,
        often: bool = False,
    ) -> Futures:
        """All futures.

        Args:
            moving: of each tracker ``[B, K, n]``.
            meets: whether it meets another object, bool ``[B, K, 1]``.
            centre: where it is ``[B, K, 2]``.
            velocity: ``[B, K, 2]``, in steps a frame.
            straight: those in which it does neither, with their chances if it does not.
            step: in image coordinates ``[2]``.
            unit: of image coordinates, one that is the same along x and y ``[2]``.
            often: ways may bend everywhere. How they bend is to be learned first: what leads
                nowhere yet would be given up, and a fork explained by a wide way on.
        """
        odds = self.network(moving)
        bent = wide = velocity.new_zeros(*velocity.shape[:-1], 0, 2)
        if self.bending is not None:
            scale = step * unit
            bends, bent, wide = self.bending(moving, velocity * scale)
            bends = torch.logaddexp(bends, torch.full_like(bends, OFTEN)) if often else bends
            bent, wide = (bent / scale).clamp(-1, 1), wide / scale
            odds = torch.cat((bends, odds), -1)
        odds = odds.masked_fill(meets, NEVER)
        turns = torch.log_softmax(torch.cat((torch.zeros_like(odds[..., :1]), odds), -1), -1)
        along = torch.eye(2, dtype=torch.bool, device=centre.device)
        places = torch.where(along, centre[..., None, :], straight.centre[..., :1, :])
        speeds = torch.where(along, -velocity[..., None, :], straight.velocity[..., :1, :])
        spread = (straight.spread, wide, SPREAD * torch.diag_embed(velocity.abs()))
        return Futures(
            torch.cat((straight.centre, centre[..., None, :] + step * bent, places), -2),
            torch.cat((straight.velocity, bent, speeds), -2),
            torch.cat(spread, -2),
            torch.cat((straight.log_chance + turns[..., :1], turns[..., 1:]), -1),
        )
