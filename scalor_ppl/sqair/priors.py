"""SQAIR's priors: how objects go on, and how new ones are found. Both are learned."""

import torch
from torch import Tensor, nn

from scalor_ppl.nn.layers import mlp, positive
from scalor_ppl.sqair.slots import Slots, carried

# Before anything is learned an object goes on with odds of e to this power, and z_where and z_what
# change with these standard deviations (before softplus).
GOES_ON = 4.0
WHERE_SHIFT = -1.0
WHAT_SHIFT = -1.0
# Log-odds of one more object after the first frame.
LATER = -4.0
# Of the recurrent prior of places within a frame.
PLACES = 128


class SqairPropagationPrior(nn.Module):
    """p(z^P_t | z_<t): a GRU for each object, all alike and independent of each other.

    Means are relative to the values before, as in the authors' guided random walk.

    Args:
        what: dimension of z_what.
        hidden: width of the GRU.
    """

    def __init__(self, what: int, hidden: int) -> None:
        super().__init__()
        self.what = what
        self.newborn = nn.Parameter(torch.zeros(hidden))
        self.gru = nn.GRUCell(what + 4, hidden)
        self.head = nn.Linear(hidden, 1 + 2 * (4 + what))
        nn.init.normal_(self.head.weight, std=1e-2)
        nn.init.zeros_(self.head.bias)

    def forward(self, last: Slots, states: Tensor | None) -> tuple[Tensor, ...]:
        """The priors of all slots, one frame on.

        Args:
            last: the slots after the frame before.
            states: the GRU's in the slots before that, ``[B, N, hidden]``.

        Returns:
            Log-odds of presence ``[B, N]``, mean and standard deviation of z_where ``[B, N, 4]``
            and of z_what ``[B, N, D]``, and the GRU's states ``[B, N, hidden]``.
        """
        before = carried(states, self.newborn, last.order).flatten(0, 1)
        code = torch.cat((last.what, last.raw), -1).flatten(0, 1)
        state = self.gru(code, before).unflatten(0, last.presence.shape)
        presence, where, where_scale, what, what_scale = self.head(state).split(
            (1, 4, 4, self.what, self.what), -1
        )
        return (
            presence.squeeze(-1) + GOES_ON,
            last.raw + where,
            positive(where_scale, WHERE_SHIFT),
            last.what + what,
            positive(what_scale, WHAT_SHIFT),
            state,
        )


class Summary(nn.Module):
    """What discovery is told of the objects that went on: a sum over their codes.

    Args:
        what: dimension of z_what.
        hidden: width.
    """

    def __init__(self, what: int, hidden: int) -> None:
        super().__init__()
        self.layers = mlp(what + 4, hidden, hidden)

    def forward(self, presence: Tensor, raw: Tensor, what: Tensor) -> Tensor:
        """``[B, hidden]`` of objects ``[B, N]``, ``[B, N, 4]``, ``[B, N, D]``."""
        return (self.layers(torch.cat((what, raw), -1)) * presence[..., None]).sum(1)


class SqairDiscoveryPrior(nn.Module):
    """p(z^D_t | z^P_t): how many objects are new, and where.

    Steps follow each other until the first finds nothing: with one chance for all steps the number
    of new objects would be geometric; the chance is learned for each number of objects that are
    there already, in the first frame and in later ones. Where objects lie follows from where
    those before them in the same frame do, by an RNN that begins with a summary of those that went
    on. What they look like is standard normal.

    Args:
        objects: most at once.
        what: dimension of z_what.
    """

    def __init__(self, objects: int, what: int) -> None:
        super().__init__()
        self.odds = nn.Parameter(torch.stack((torch.zeros(objects), torch.full((objects,), LATER))))
        self.summary = Summary(what, PLACES)
        self.begin = nn.Sequential(nn.Linear(PLACES, PLACES), nn.CELU())
        self.beginning = nn.Parameter(torch.zeros(4))
        self.rnn = nn.RNNCell(4, PLACES)
        self.head = nn.Linear(PLACES, 8)
        nn.init.normal_(self.head.weight, std=1e-2)
        nn.init.zeros_(self.head.bias)

    def log_odds(self, first: bool, there: Tensor) -> Tensor:
        """Log-odds of one more object ``[B, 1]``, where so many are there already ``[B, 1]``."""
        row = self.odds[0 if first else 1]
        return row[there.long().clamp(max=len(row) - 1)]

    def place(self, last: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and standard deviation of z_where ``[B, 1, 4]``, and the RNN's state.

        Args:
            last: z_where of the object found before, or ``beginning``, ``[B, 4]``.
            state: of the RNN, or what ``begin`` makes of the summary, ``[B, 128]``.
        """
        state = self.rnn(last, state)
        loc, scale = self.head(state)[:, None].chunk(2, -1)
        # Standard normal before anything is learned: softplus(0.54) = 1.
        return loc, positive(scale, 0.54), state
