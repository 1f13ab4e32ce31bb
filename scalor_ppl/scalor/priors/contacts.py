"""Contacts: bounces at walls and between objects, whose place and strength are learned.

A network can learn a bounce only from the rare frames that have one, and a bounce is no smooth
function of what came before. So the geometry is given, what a wall gives back of a velocity is
measured, and the rest is learned: where the walls are, how far from its centre an object touches,
and what touches at all. Where nothing bounces, nothing is learned to touch.

Lengths are in steps (the mean of ``max_step`` along both axes), velocities in steps a frame.
"""

from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor, nn

from scalor_ppl.nn.layers import mlp
from scalor_ppl.scalor.priors.tables import Table
from scalor_ppl.scalor.priors.turning_points import TurningPoints, WallsBySide, outermost

# Log-odds of the strength of a wall over 2, from which it is counted; strengths are up to ELASTIC.
STRONG, ELASTIC = 2.0, 1.995
# How far objects reach towards a wall, as a share of their boxes, before training.
REACH = 0.7
LOOKS, WIDTH = 4, 32
# Where two objects graze, the moment of contact has no slope: below this no gradient is taken.
GRAZING = 3e-3


class Bounce(NamedTuple):
    """What a bounce in the frame that comes changes, ``[B, K, 2]`` each.

    Attributes:
        velocity: after the frame.
        position: after it, beyond where the velocity before leads.
    """

    velocity: Tensor
    position: Tensor


class Contact(NamedTuple):
    """What walls, or other objects, do that one meets in the frame that comes.

    Attributes:
        bounce: off those of them that it does collide with, ``[B, K, 2]`` each.
        chance: that it does, and does not pass through, ``[B, K, 1]``; 0 where it meets none.
    """

    bounce: Bounce
    chance: Tensor


class Walls(nn.Module):
    """Four walls along the edges of the frame.

    One that would end the frame at a distance d behind a wall ends it d (strength - 1) before it,
    and strength - 1 of its velocity comes back: strength 2 is elastic. Whether it does is a chance:
    were it the strength, a wall that some pass through would take the speed of all.

    The strength is measured where objects turn round, and is no matter of the likelihood: an object
    that the edge cuts seems slower than it is, and a wall that slows what passes through it would
    explain that. What is sampled would lose its speed there for good.

    Args:
        edge: of the frame from its centre ``[2]``, in steps.
    """

    edge: Tensor

    def __init__(self, edge: Tensor) -> None:
        super().__init__()
        self.register_buffer("edge", edge, persistent=False)
        # Low and high, x and y: how far inside the edge a wall lies, its strength.
        self.inside = Table(torch.zeros(2, 2))
        self.strength = Table(torch.full((2, 2), STRONG), learned=False)
        self.strength.put(as_odds(torch.full((2, 2), ELASTIC)))
        self.solid = Table(torch.zeros(2, 2))
        self.reach = Table(torch.full((2, 2), REACH))

    def begin(self, turns: TurningPoints) -> WallsBySide:
        """Stand where objects of a posterior's draws have turned round farthest out.

        A wall beyond all that objects reach is never met, so that nothing would be learned of it.

        Args:
            turns: lengths in steps.

        Returns:
            As of `measure`.
        """
        walls = self.measure(turns)
        inside, reach = self.inside().clone(), self.reach().clone()
        for (side, axis), wall in walls.items():
            inside[side, axis], reach[side, axis] = wall.inside, wall.reach
        self.inside.put(inside)
        self.reach.put(reach)
        return walls

    def measure(self, turns: TurningPoints) -> WallsBySide:
        """Take the strength from where objects have turned; elastic where they turn anywhere.

        Returns:
            The walls that they have turned at.
        """
        strength = torch.full_like(self.inside(), ELASTIC)
        found: WallsBySide = {}
        for side, axis in product(range(2), repeat=2):
            wall = outermost(turns.at(side, axis))
            if wall is not None:
                found[side, axis] = wall
                strength[side, axis] = min(1 + wall.kept, ELASTIC)
        self.strength.put(as_odds(strength))
        return found

    def forward(self, place: Tensor, velocity: Tensor, size: Tensor) -> Contact:
        """What the walls do to objects at places ``[B, K, 2]``, half as large as size."""
        total = torch.zeros_like(place)
        turned = torch.zeros_like(place)
        chance = torch.zeros_like(place)
        strength = 2 * torch.sigmoid(self.strength())
        for side, sign in enumerate((-1.0, 1.0)):
            wall = self.edge - self.inside()[side] - self.reach()[side] * size
            behind = (sign * (place + velocity) - wall).clamp(min=0)
            hits = (behind > 0) & (sign * velocity > 0)
            total = total - torch.where(hits, sign * strength[side] * behind, 0.0)
            turned = turned - torch.where(hits, strength[side] * velocity, 0.0)
            chance = chance + torch.where(hits, torch.sigmoid(self.solid()[side]), 0.0)
        return Contact(Bounce(turned, total), chance.amax(-1, keepdim=True))


def as_odds(strength: Tensor) -> Tensor:
    """Log-odds of strengths over 2."""
    return torch.logit(strength / 2)


class Collisions(nn.Module):
    """Bounces of two objects of equal mass off each other.

    They touch at the sum of their reaches. The impulse is elastic and acts along the line of
    centres at the moment of contact, within the frame. Whether there is one, or they pass through
    each other, depends on the two objects' looks, and is a chance: with a strength in between,
    objects of which most pass through would soon be told that all do.

    Args:
        rest: width of what is known of an object beside its place and velocity.
    """

    def __init__(self, rest: int) -> None:
        super().__init__()
        self.look = nn.Linear(rest, LOOKS)
        self.odds = mlp(3 * LOOKS, WIDTH, 1)

    def forward(
        self,
        offset: Tensor,
        velocity: Tensor,
        radius: Tensor,
        radii: Tensor,
        rest: Tensor,
        others: Tensor,
    ) -> Contact:
        """What neighbours do to each object.

        Args:
            offset: of M neighbours ``[B, K, M, 2]``.
            velocity: theirs against one's own, likewise.
            radius: how far the object reaches ``[B, K, 1]``.
            radii: its neighbours ``[B, K, M, 1]``.
            rest: what is known of the object ``[B, K, n]``.
            others: of its neighbours ``[B, K, M, n]``.
        """
        distance = radius[:, :, None] + radii
        a = velocity.square().sum(-1, keepdim=True) + 1e-6
        b = (offset * velocity).sum(-1, keepdim=True)
        c = offset.square().sum(-1, keepdim=True) - distance.square()
        root = b.square() - a * c
        inside = c < 0
        moment = (-b - root.clamp(min=GRAZING).sqrt()) / a
        moment = torch.where(inside, torch.zeros_like(moment), moment)
        hits = (b < 0) & (inside | ((root > 0) & (moment < 1)))
        moment = moment.clamp(0, 1)
        line = offset + moment * velocity
        line = line / (line.square().sum(-1, keepdim=True) + 1e-6).sqrt()
        own, theirs = self.look(rest)[:, :, None], self.look(others)
        seen = torch.cat(((own - theirs).square(), own + theirs, own * theirs), -1)
        chance = torch.sigmoid(self.odds(seen)) * hits
        most = chance.amax(2)
        # Of several at once those count that are about as likely as the likeliest.
        share = (chance / most[:, :, None].clamp(min=1e-6)).detach()
        push = share * (velocity * line).sum(-1, keepdim=True) * line
        push = torch.where(hits, push, torch.zeros_like(push))
        return Contact(Bounce(push.sum(2), ((1 - moment) * push).sum(2)), most)
