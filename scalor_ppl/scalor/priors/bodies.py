"""Where objects touch what they meet: the middle of each one's body and its reach, by its looks.

The centre of what is seen of an object need not be the point that it bounces about: the centroid of
a heart lies an eighth of its side from the middle of its box. And what is long, or has corners, may
collide as something else than its box.
"""

from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from scalor_ppl.nn.layers import mlp, silent, starting_silent

# How far an object reaches towards others before training, as a share of its box. Less than their
# true reach, and those that collide would never seem to meet.
TOUCH = 0.9
# The logarithm of how much farther or less far it may. Within bounds: where many pass through each
# other, no reach at all would be the quickest way to be less wrong, and leaves nothing to learn
# from which of them collide.
LEEWAY = 0.5
# How far a middle may lie from the centre, in half sides of the box.
OFFSET = 0.5
WIDTH = 32
# Of measuring it: steps, their size, what weights cost, and from which error on, in steps, a
# turning point is taken for one with something else.
STEPS, RATE, DECAY, ODD = 600, 5e-3, 1e-2, 0.05
# Every fourth turning point is held out, and looked at every 25 steps; which share of their error
# has to go at least, or nothing is learned of it: where objects turn anywhere, looks do not tell.
HELD_OUT, CHECK_EVERY, LEAST_GAIN = 4, 25, 0.1


class Body(NamedTuple):
    """Bodies of objects, lengths in steps.

    Attributes:
        offset: of the middle from the centre ``[..., 2]``.
        radius: how far it reaches from there towards another object ``[..., 1]``.
    """

    offset: Tensor
    radius: Tensor


class Bodies(nn.Module):
    """Bodies of objects that look like this.

    Before anything is known a body is about the centre, and as large for all as their boxes. Where
    its middle is, is measured first, where walls have turned objects round: a likelihood that is
    sure of all other bounces takes those of what lies astray for turns of no cause, and learns
    nothing of them.

    Args:
        rest: width of what is known of an object beside its place and velocity.
    """

    def __init__(self, rest: int) -> None:
        super().__init__()
        self.middle = starting_silent(mlp(rest, WIDTH, WIDTH, 2))
        self.reach = silent(nn.Linear(rest, 1))
        self.bulge = starting_silent(mlp(rest, WIDTH, 1))

    def forward(self, rest: Tensor, size: Tensor) -> Body:
        """Bodies.

        Args:
            rest: what is known of the objects ``[..., n]``.
            size: half of the sides of their boxes ``[..., 2]``, in steps.
        """
        reach = TOUCH * torch.exp(LEEWAY * torch.tanh(self.reach(rest) + self.bulge(rest)))
        return Body(self._offset(rest) * size, reach * size.mean(-1, keepdim=True))

    def _offset(self, rest: Tensor) -> Tensor:
        """Of the middle, in half sides of the box."""
        return OFFSET * torch.tanh(self.middle(rest))

    @torch.enable_grad()
    def measure(self, rest: Tensor, axis: Tensor, size: Tensor, offset: Tensor) -> None:
        """Learn where middles are of R objects that a wall has turned round, if looks tell.

        Args:
            rest: what is known of them ``[R, n]``.
            axis: 0 for x, 1 for y ``[R]``.
            size: half of their sides along it ``[R]``, in steps.
            offset: how far along it the middle lies from the centre ``[R]``, in steps.
        """
        held = torch.arange(len(rest), device=rest.device) % HELD_OUT == 0
        if held.all():
            return
        optimizer = torch.optim.AdamW(self.middle.parameters(), RATE, weight_decay=DECAY)

        def error(those: Tensor) -> Tensor:
            found = self._offset(rest[those]).gather(1, axis[those][:, None]).squeeze(1)
            return nn.functional.huber_loss(found * size[those], offset[those], delta=ODD)

        least, best = (1 - LEAST_GAIN) * error(held).item(), deepcopy(self.middle.state_dict())
        for step in range(1, STEPS + 1):
            loss = error(~held)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step % CHECK_EVERY == 0 and (now := error(held).item()) < least:
                least, best = now, deepcopy(self.middle.state_dict())
        self.middle.load_state_dict(best)

    def complete(self, weights: dict[str, Tensor], prefix: str) -> None:
        """Bodies lay about their centres; see :class:`scalor_ppl.nn.older.ReadsOlder`."""
        for name, network in (("middle", self.middle), ("bulge", self.bulge)):
            last = f"{prefix}{name}.{len(network) - 1}."
            for key, value in network.state_dict(prefix=f"{prefix}{name}.").items():
                # Only the last layer is silent: with all of them so, nothing would be learned.
                weights.setdefault(key, torch.zeros_like(value) if key.startswith(last) else value)


def own_their_reach(weights: dict[str, Tensor], prefix: str) -> None:
    """Hand bodies what collisions knew of how far objects reach, in weights of older dynamics."""
    before, now = f"{prefix}pairs.collisions.", f"{prefix}bodies.reach."
    nearness = weights.pop(f"{before}nearness", None)
    if nearness is not None:
        none = torch.zeros_like(weights[f"{before}look.weight"][:1])
        weights[f"{now}bias"] = nearness[None]
        weights[f"{now}weight"] = weights.pop(f"{before}breadth.weight", none)
