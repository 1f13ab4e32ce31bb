"""How SQAIR's posterior finds objects, one a step."""

import torch
from torch import Tensor, nn

from scalor_ppl.nn.layers import Size, mlp, positive
from scalor_ppl.sqair.posterior_networks import FrameFeatures, PlaceAttention, biased

# Standard deviation of z_where before anything is learned (before softplus): 0.05.
FOUND_SHIFT = -3.0


class DiscoveryCell(nn.Module):
    """The RNN over the steps of discovery, and what it says in each.

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
        self.presence = biased(mlp(hidden + maps, hidden, 1), odds)
        self.where = mlp(hidden + maps, hidden, 8)

    def forward(
        self, seen: FrameFeatures, whole: Tensor, summary: Tensor, last: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """A step.

        Args:
            seen: of the frame.
            whole: the same as one vector ``[B, hidden]``.
            summary: of the objects that went on ``[B, hidden]``.
            last: z_what and z_where found in the step before, zeros in the first, ``[B, D + 4]``.
            state: of the RNN ``[B, hidden]``.

        Returns:
            Log-odds ``[B, 1]``, mean and standard deviation of z_where ``[B, 1, 4]``, the state.
        """
        state = self.rnn(torch.cat((whole, summary, last), -1), state)
        there, place = self.attention(seen, state[:, None])
        known = torch.cat((state, there[:, 0]), -1)
        loc, scale = self.where(known)[:, None].chunk(2, -1)
        loc = torch.cat((loc[..., :2] + place, loc[..., 2:]), -1)
        return self.presence(known), loc, positive(scale, FOUND_SHIFT), state
