"""How SQAIR's posterior finds objects, one a step."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from scalor_ppl.nn.layers import Size, mlp, positive, starting_small
from scalor_ppl.sqair.posterior_networks import FrameFeatures, PlaceAttention, biased

# Standard deviation of z_where before anything is learned (before softplus): 0.05.
FOUND_SHIFT = -3.0


class FirstGuess(NamedTuple):
    """Where a step of discovery supposes an object, before it is looked at closely.

    Attributes:
        raw: z_where ``[B, 4]``.
        known: the state and what is seen at that place ``[B, hidden + maps]``.
    """

    raw: Tensor
    known: Tensor


class DiscoveryCell(nn.Module):
    """The RNN over the steps of discovery, and what it says in each.

    A cell of the features is as wide as some strokes are apart: it tells where to look, and not to
    a pixel what is there. So a step looks twice: a glimpse at its guess says whether there is an
    object, and puts its box right. (In the authors' code the state alone says both.)

    Args:
        what: dimension of z_what.
        grid: rows and columns of the features.
        maps: channels of the features.
        hidden: width.
        odds: added to the log-odds of finding an object.
    """

    def __init__(self, what: int, grid: Size, maps: int, hidden: int, odds: float) -> None:
        super().__init__()
        self.beginning = nn.Parameter(torch.zeros(hidden))
        self.rnn = nn.GRUCell(2 * hidden + what + 4, hidden)
        self.attention = PlaceAttention(grid, maps, hidden)
        self.aim = mlp(hidden + maps, hidden, 4)
        self.presence = biased(mlp(2 * hidden + maps, hidden, 1), odds)
        self.where = starting_small(mlp(2 * hidden + maps + 4, hidden, 8))

    def guess(
        self, seen: FrameFeatures, whole: Tensor, summary: Tensor, last: Tensor, state: Tensor
    ) -> tuple[FirstGuess, Tensor]:
        """Where a step looks.

        Args:
            seen: of the frame.
            whole: the same as one vector ``[B, hidden]``.
            summary: of the objects that went on ``[B, hidden]``.
            last: z_what and z_where found in the step before, zeros in the first, ``[B, D + 4]``.
            state: of the RNN ``[B, hidden]``.

        Returns:
            The guess, and the state.
        """
        state = self.rnn(torch.cat((whole, summary, last), -1), state)
        there, place = self.attention(seen, state[:, None])
        known = torch.cat((state, there[:, 0]), -1)
        offset, size = self.aim(known).split(2, -1)
        return FirstGuess(torch.cat((place[:, 0] + offset, size), -1), known), state

    def decide(
        self, guess: FirstGuess, extent: Tensor, look: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What a step finds.

        Args:
            guess: where it looked.
            extent: width and height of the box there, as shares of the frame's ``[B, 2]``.
            look: what is in the box ``[B, hidden]``.

        Returns:
            Log-odds ``[B, 1]``, mean and standard deviation of z_where ``[B, 1, 4]``.
        """
        known = torch.cat((guess.known, look), -1)
        change, scale = self.where(torch.cat((known, guess.raw), -1)).chunk(2, -1)
        # A glimpse shows how far off it is as a share of the box.
        change = torch.cat((change[:, :2] * extent, change[:, 2:]), -1)
        loc = (guess.raw + change)[:, None]
        return self.presence(known), loc, positive(scale, FOUND_SHIFT)[:, None]
