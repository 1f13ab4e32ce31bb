"""What may become of an object in the frame that comes, judged once that frame is seen.

An object goes on, meets a wall, collides, or turns round. Which of these it will be is a chance;
which it was is seen in the next frame, as in an interacting multiple model filter (Blom and
Bar-Shalom 1988). A filter that goes by their average would lose the speed of whatever might have
turned.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import StudentT
from torch.nn import functional

from scalor_ppl.nn.layers import mlp, starting_small

# It passes through walls or not, and through other objects or not; it turns round along x, or y.
STRAIGHT, TURNS = 4, 2
FUTURES = STRAIGHT + TURNS
# Log-odds of turning: before training, and of what meets another object.
SELDOM, NEVER = -4.0, -20.0
# A turn lies anywhere in the frame, so that the place after it is uniform over a way of twice the
# velocity: its standard deviation.
SPREAD = 1 / math.sqrt(3)
# Where nothing was foreseen, no future is to be certain: tails of the judgement.
TAILS = 8.0
# Least chance of a contact, and of none.
LEAST_CHANCE = 1e-6


class Futures(NamedTuple):
    """Of each tracker, ``F = FUTURES`` of them.

    Attributes:
        centre: where it comes to ``[..., F, 2]``, in image coordinates.
        velocity: with which it goes on from there ``[..., F, 2]``, in steps a frame.
        log_chance: of each ``[..., F]``.
    """

    centre: Tensor
    velocity: Tensor
    log_chance: Tensor

    @classmethod
    def of(cls, flat: Tensor) -> "Futures":
        """As :meth:`flat` has written them."""
        centre, velocity, log_chance = flat.split((2 * FUTURES, 2 * FUTURES, FUTURES), -1)
        return cls(
            centre.unflatten(-1, (FUTURES, 2)), velocity.unflatten(-1, (FUTURES, 2)), log_chance
        )

    def flat(self) -> Tensor:
        """All in one, ``[..., WIDTH]``."""
        return torch.cat((self.centre.flatten(-2), self.velocity.flatten(-2), self.log_chance), -1)

    @torch.no_grad()
    def judged(self, seen: Tensor, width: Tensor) -> Tensor:
        """How likely each of them has become, ``[..., F]``, without a gradient.

        Whether it has turned is decided: on average over both its velocity would be lost.

        Args:
            seen: the centre ``[..., 2]``.
            width: how far from each it may lie ``[..., F, 2]``, in image coordinates.
        """
        near = StudentT(TAILS, self.centre, width, validate_args=False)
        weight = self.log_chance + near.log_prob(seen[..., None, :]).sum(-1)
        straight, turns = weight.split((STRAIGHT, TURNS), -1)
        turned = turns.amax(-1, keepdim=True) > straight.logsumexp(-1, keepdim=True)
        which = functional.one_hot(turns.argmax(-1), TURNS).to(weight)
        return torch.cat((straight.softmax(-1) * ~turned, which * turned), -1)


WIDTH = 5 * FUTURES


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


def turned_widths(width: Tensor, velocity: Tensor) -> Tensor:
    """How far from each future an object may lie ``[..., F, 2]``.

    Args:
        width: of those in which it does not turn ``[..., 2]``.
        velocity: of the object ``[..., 2]``, in the same units a frame.
    """
    width, velocity = torch.broadcast_tensors(width, velocity)
    turns = width[..., None, :] + SPREAD * torch.diag_embed(velocity.abs())
    return torch.cat((width[..., None, :].expand(*width.shape[:-1], STRAIGHT, 2), turns), -2)


class Turning(nn.Module):
    """The chance of turning round along x and along y, and what comes of it.

    It depends on where the object is and how it moves, and on nothing else, and what meets another
    object does not turn: or else it would take the place of collisions, of which nothing could be
    learned then.

    Args:
        moving: figures about that.
        hidden: width of the network.
    """

    def __init__(self, moving: int, hidden: int) -> None:
        super().__init__()
        self.network = starting_small(mlp(moving, hidden, TURNS))
        last = self.network[-1]
        assert isinstance(last, nn.Linear)
        nn.init.constant_(last.bias, SELDOM)

    def forward(
        self, moving: Tensor, meets: Tensor, centre: Tensor, velocity: Tensor, straight: Futures
    ) -> Futures:
        """All futures.

        Args:
            moving: of each tracker ``[B, K, n]``.
            meets: whether it meets another object, bool ``[B, K, 1]``.
            centre: where it is ``[B, K, 2]``.
            velocity: ``[B, K, 2]``, in steps a frame.
            straight: those in which it does not turn, with their chances if it does not.
        """
        odds = self.network(moving).masked_fill(meets, NEVER)
        turns = torch.log_softmax(torch.cat((torch.zeros_like(odds[..., :1]), odds), -1), -1)
        along = torch.eye(2, dtype=torch.bool, device=centre.device)
        places = torch.where(along, centre[..., None, :], straight.centre[..., :1, :])
        speeds = torch.where(along, -velocity[..., None, :], straight.velocity[..., :1, :])
        return Futures(
            torch.cat((straight.centre, places), -2),
            torch.cat((straight.velocity, speeds), -2),
            torch.cat((straight.log_chance + turns[..., :1], turns[..., 1:]), -1),
        )
