"""How SQAIR's posterior follows objects."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from scalor_ppl.nn.layers import Size, mlp, positive
from scalor_ppl.sqair.posterior_networks import (
    WHAT_SHIFT,
    FrameFeatures,
    PlaceAttention,
    biased,
)

# Standard deviation of z_where before anything is learned (before softplus): 0.02.
FOLLOWED_SHIFT = -4.0
# How far an object's own state counts in where to look for it; how fast places lose weight with the
# squared distance from there (a cell counts a tenth at 0.4 half-widths); how much wider, before it
# is bounded, the first look is.
AIM = 0.1
NEARNESS = 14.0
WIDER = 1.0


class Expected(NamedTuple):
    """Where objects seem to be, before they are looked at closely.

    Attributes:
        raw: z_where: the place attended to, and a size somewhat larger than before ``[B, N, 4]``.
        there: features of that place ``[B, N, maps]``.
        attention: how far the pixels of a glimpse belong to the object ``[B, N, h * w]``.
    """

    raw: Tensor
    there: Tensor
    attention: Tensor


class PropagationCell(nn.Module):
    """How an object is followed: a recurrent state of its own, and one over the objects in order.

    Args:
        what: dimension of z_what.
        grid: rows and columns of the features.
        maps: channels of the features.
        glimpse: height and width of a glimpse.
        hidden: width.
        odds: added to the log-odds of going on.
    """

    def __init__(
        self, what: int, grid: Size, maps: int, glimpse: Size, hidden: int, odds: float
    ) -> None:
        super().__init__()
        self.newborn = nn.Parameter(torch.zeros(hidden))
        self.beginning = nn.Parameter(torch.zeros(hidden))
        self.aim = mlp(hidden, hidden // 2, 2)
        self.nearness = nn.Parameter(torch.tensor(NEARNESS))
        self.place = PlaceAttention(grid, maps, hidden)
        self.pixels = mlp(hidden, hidden // 2, glimpse[0] * glimpse[1])
        # What is seen, the object before in this frame, and the object itself a frame ago.
        self.relation = nn.GRUCell(hidden + maps + (what + 5) + (what + 8) + hidden, hidden)
        self.presence = biased(mlp(2 * hidden, hidden // 2, 1), odds)
        self.where = mlp(2 * hidden + 4, hidden, 8)
        self.time = nn.GRUCell(hidden + 4 + 2 * what, hidden)
        self.imagined = nn.Linear(hidden, 2 * what)
        self.gates = nn.Linear(hidden, 3 * what)
        nn.init.constant_(self.gates.bias, 1.0)

    def expected(self, seen: FrameFeatures, raw: Tensor, memory: Tensor) -> Expected:
        """Where to look for objects, and at which pixels of the glimpse.

        Args:
            seen: of the frame.
            raw: z_where a frame ago ``[B, N, 4]``.
            memory: the objects' own states ``[B, N, hidden]``.
        """
        position, size = raw.split(2, -1)
        ahead = torch.tanh(position + AIM * self.aim(memory))
        near = -self.nearness * self.place.away(ahead)
        there, place = self.place(seen, memory, near)
        # It may have gone anywhere: the first look is a little wider than the object.
        return Expected(torch.cat((place, size + WIDER), -1), there, self.attend(memory))

    def attend(self, memory: Tensor) -> Tensor:
        """How far the pixels of a glimpse belong to the object, ``[B, n, h * w]`` in [0, 1]."""
        return torch.sigmoid(self.pixels(memory) + 1)

    def relate(self, *seen: Tensor, state: Tensor) -> Tensor:
        """The state over the objects in order, one further; everything ``[B, .]``."""
        return self.relation(torch.cat(seen, -1), state)

    def moved(
        self, raw: Tensor, place: Tensor, relation: Tensor, memory: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of z_where ``[B, 1, 4]``.

        Args:
            raw: z_where a frame ago ``[B, 4]``.
            place: the position that was attended to ``[B, 2]``.
            relation, memory: states ``[B, hidden]``.
        """
        seen = torch.cat((relation, raw, memory), -1)
        loc, scale = self.where(seen)[:, None].chunk(2, -1)
        start = torch.cat((place, raw[:, 2:]), -1)
        return start[:, None] + loc, positive(scale, FOLLOWED_SHIFT)

    def changed(
        self,
        last: Tensor,
        look: tuple[Tensor, Tensor],
        raw: Tensor,
        relation: Tensor,
        memory: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What an object looks like: what it was, what is seen, and what its own state expects.

        Args:
            last: z_what a frame ago ``[B, 1, D]``.
            look: mean and standard deviation of what is seen ``[B, 1, D]``.
            raw: z_where now ``[B, 1, 4]``.
            relation, memory: states ``[B, hidden]``.

        Returns:
            Mean and standard deviation of z_what ``[B, 1, D]``, and the object's own new state.
        """
        loc, scale = look
        seen = torch.cat((relation, raw[:, 0], loc[:, 0], scale[:, 0]), -1)
        memory = self.time(seen, memory)
        own, own_scale = self.imagined(memory)[:, None].chunk(2, -1)
        # Not quite 1, so that no standard deviation comes to 0.
        keep, seen_gate, own_gate = (0.9999 * torch.sigmoid(self.gates(memory)))[:, None].chunk(
            3, -1
        )
        mean = keep * last + (1 - seen_gate) * loc + (1 - own_gate) * own
        deviation = (1 - seen_gate) * scale + (1 - own_gate) * positive(own_scale, WHAT_SHIFT)
        return mean, deviation, memory
