"""What pairs of tracked objects do to each other's motion."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from scalor_ppl.nn.layers import mlp, starting_small
from scalor_ppl.scalor.priors.bodies import Body
from scalor_ppl.scalor.priors.contacts import Collisions, Contact

WIDTH, LOOKS, MESSAGE = 64, 4, 16
# Figures of a pair: distances now and after the step, speeds along and across, velocities' sizes.
FIGURES = 6
NEIGHBOURS = 5
# Where a neighbour that is not there is put, in steps.
FAR = 1e3


class Pushes(NamedTuple):
    """What the others do to each object in the step that comes.

    Attributes:
        velocity: change of its velocity ``[B, K, 2]``, in steps.
        position: change of where it comes to, beyond its velocity ``[B, K, 2]``, in steps.
        message: anything else ``[B, K, MESSAGE]``.
        contact: what comes on top if it collides with one of them, lengths in steps.
    """

    velocity: Tensor
    position: Tensor
    message: Tensor
    contact: Contact


class PairForces(nn.Module):
    """Sums of pair forces, which turn with the pair.

    With r the offset of the other, n its direction and v its velocity against one's own, both
    change by a_1 n + a_2 v, where a_1 and a_2 are a network's of what does not turn: distances,
    speeds, sizes and looks. :class:`Collisions` come on top. Each object sees its nearest
    neighbours.

    Args:
        rest: width of what is known of an object beside its place and velocity.
    """

    def __init__(self, rest: int) -> None:
        super().__init__()
        self.collisions = Collisions(rest)
        self.look = nn.Linear(rest, LOOKS)
        self.network = starting_small(mlp(FIGURES + 2 * LOOKS, WIDTH, WIDTH, 4 + MESSAGE))

    def forward(
        self, place: Tensor, velocity: Tensor, body: Body, rest: Tensor, alive: Tensor
    ) -> Pushes:
        """The pushes of the step that comes.

        Args:
            place: centres ``[B, K, 2]``, in steps.
            velocity: ``[B, K, 2]``, in steps a frame.
            body: of each, ``[B, K]``.
            rest: what else is known ``[B, K, n]``.
            alive: which are there ``[B, K]``.
        """
        slots = place.shape[1]
        with torch.no_grad():
            ahead = place + velocity
            apart = torch.cdist(ahead, ahead)
            oneself = torch.eye(slots, dtype=torch.bool, device=place.device)
            heard = alive[:, None] & alive[:, :, None] & ~oneself
            apart = apart.masked_fill(~heard, torch.inf)
            count = min(NEIGHBOURS, slots)
            near = apart.topk(count, -1, largest=False)
            there = torch.isfinite(near.values)[..., None]

        def others(values: Tensor) -> Tensor:
            flat = near.indices.flatten(1)[..., None].expand(-1, -1, values.shape[-1])
            return values.gather(1, flat).unflatten(1, (slots, count))

        r = others(place) - place[:, :, None]
        v = others(velocity) - velocity[:, :, None]
        distance = length(r)
        n = r / distance
        along = (n * v).sum(-1, keepdim=True)
        across = length(v - along * n)
        after = length(r + v)
        looks = self.look(rest)
        figures = (
            torch.log(distance),
            after,
            distance - after,
            along,
            across,
            torch.exp(-after),
            looks[:, :, None].expand(-1, -1, count, -1),
            others(looks),
        )
        out = self.network(torch.cat(figures, -1)) * there
        a, b, c, d, message = out.split((1, 1, 1, 1, MESSAGE), -1)
        apart = r + others(body.offset) - body.offset[:, :, None]
        apart = torch.where(there, apart, torch.full_like(r, FAR))
        contact = self.collisions(apart, v, body.radius, others(body.radius), rest, others(rest))
        return Pushes(
            (a * n + b * v).sum(2),
            (c * n + d * v).sum(2),
            message.sum(2),
            contact,
        )


def length(vector: Tensor) -> Tensor:
    """Of vectors ``[..., 2]``, ``[..., 1]``, with a gradient at 0."""
    return (vector.square().sum(-1, keepdim=True) + 1e-6).sqrt()
